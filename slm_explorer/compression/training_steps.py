"""The steps of a recipe that train: distil makes a student and teaches it, heal teaches what the
steps before it have left. The teacher is always the original model.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path

from slm_explorer.compression.calibration import Cancel
from slm_explorer.compression.recipes import Step
from slm_explorer.compression.students import make_student
from slm_explorer.compression.training import train
from slm_explorer.compression.training_plan import (
    DEFAULT_MINUTES,
    StudentPlan,
    TrainingControl,
    TrainingPlan,
    TrainingPoint,
)

Tell = Callable[[str, float, TrainingPoint | None], None]
"""Called with (what is being done, its fraction 0..1, a point of the learning or None)."""


def train_step(
    step: Step,
    teacher: Path,
    source: Path,
    out: Path,
    text: str | None,
    memory_bytes: int | None,
    tell: Tell,
    cancelled: Cancel,
    control: TrainingControl,
) -> dict[str, object]:
    """Do one training step on the checkpoint in `source`, written as the new folder `out`; says
    what the training says of itself. Raises what make_student and train raise.
    """
    minutes = step.value if step.name == "heal" else step.option("minutes")
    steps = step.option("steps")
    plan = TrainingPlan(
        minutes=DEFAULT_MINUTES if minutes is None else minutes,
        steps=None if steps is None else int(steps),
        memory_bytes=memory_bytes,
    )
    if step.name == "heal":
        return asdict(train(teacher, source, out, plan, tell, cancelled, control, text))
    student = out.with_name(f"{out.name}-student")
    width = step.option("width")
    kept = make_student(
        source,
        student,
        StudentPlan(
            depth=int(step.value or 0),
            width=None if width is None else int(width),
            fresh=step.has("fresh"),
        ),
        cancelled,
    )
    summary = train(teacher, student, out, plan, tell, cancelled, control, text)
    shutil.rmtree(student)
    return {"layers_of_the_parent": list(kept), **asdict(summary)}

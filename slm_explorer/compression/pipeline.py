"""A whole recipe, step by step: each step reads a checkpoint and writes the next one, inside one
folder that becomes the result at once, or is gone.
"""

from __future__ import annotations

import shutil
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from slm_explorer.compression.calibration import Cancel
from slm_explorer.compression.recipes import (
    CompressionResult,
    LayerReport,
    Step,
    StepReport,
    parse_recipe,
    why_not,
)
from slm_explorer.compression.streaming import compress_checkpoint
from slm_explorer.compression.structure import apply_structure
from slm_explorer.compression.training_plan import TrainingControl, TrainingPoint
from slm_explorer.compression.workspace import check_target, new_folder
from slm_explorer.engines.folder import read_config, weight_files
from slm_explorer.engines.memory import private_memory
from slm_explorer.errors import InvalidRequest, UnsupportedModel

# A step's share of the whole in the progress: about as long as it takes on a small model.
_SECONDS_OF_A_STEP = 10.0


class Tell(Protocol):
    """Called with the fraction (0 to 1) of the whole run, and what has just come to be known."""

    def __call__(
        self,
        fraction: float,
        *,
        stage: str,
        layer: LayerReport | None = None,
        training: TrainingPoint | None = None,
    ) -> None: ...


@dataclass(frozen=True)
class Job:
    """A run as ordered. `text` is the user's own, to measure and to train on; None: `sample` is
    what structural steps read, and training steps find their own.
    """

    source: Path
    out: Path
    recipe: str
    sample: str
    text: str | None = None
    threads: int = 1
    memory_bytes: int | None = None


def run_recipe(
    job: Job, tell: Tell, cancelled: Cancel, control: TrainingControl
) -> CompressionResult:
    """Write `job.source`, made as the recipe says, as the new folder `job.out`.

    Raises InvalidRequest for a wrong recipe or where `out` exists, UnsupportedModel where a step
    cannot be used on this model, BadCheckpoint for one that is broken or holds NaN or infinite
    weights, StorageError for a full disk, Cancelled; nothing is left then.
    """
    started = time.perf_counter()
    steps = parse_recipe(job.recipe)
    check_target(job.out)
    config = read_config(job.source)
    reason = why_not(job.recipe, config.to_dict())
    if reason is not None:
        raise UnsupportedModel(f"{job.source.name} cannot be made {job.recipe}. {reason}")
    done = [step for step in steps if step.name != "native"]
    if not done:
        raise InvalidRequest("The recipe native changes nothing: choose another one.")
    before = _weight_bytes(job.source)
    reports: list[StepReport] = []
    layers: tuple[LayerReport, ...] = ()
    # Of the checkpoints between the steps, two are on the disk at a time.
    with new_folder(job.out, before * min(len(done) - 1, 2)) as work:
        current = job.source
        shares = [_share(step) for step in done]
        for number, step in enumerate(done):
            begun = time.perf_counter()
            target = work / f"step-{number}"
            at = sum(shares[:number]) / sum(shares)
            say = _Stage(tell, step.text, at, shares[number] / sum(shares))
            if step.recipe.storage is not None:
                stored = compress_checkpoint(
                    current,
                    target,
                    step.text,
                    say.layer,
                    cancelled,
                    whole=job.recipe,
                    text=job.text,
                    sample=job.sample,
                )
                layers, detail = stored.layers, stored.steps[0].detail
            elif step.recipe.kind == "training":
                # Here, since most recipes train nothing.
                from slm_explorer.compression.training_steps import train_step

                detail = train_step(
                    step,
                    job.source,
                    current,
                    target,
                    job.text,
                    job.memory_bytes,
                    say.training,
                    cancelled,
                    control,
                )
            else:
                detail = apply_structure(
                    step, current, target, job.text or job.sample, job.threads, say, cancelled
                )
            if current != job.source:
                shutil.rmtree(current)
            current = target
            reports.append(
                StepReport(step.text, time.perf_counter() - begun, _weight_bytes(target), detail)
            )
        for entry in list(current.iterdir()):
            entry.rename(work / entry.name)
        current.rmdir()
    return CompressionResult(
        recipe=job.recipe,
        seconds=time.perf_counter() - started,
        peak_memory_bytes=private_memory().peak,
        bytes_before=before,
        bytes_after=reports[-1].bytes_after,
        layers=layers,
        steps=tuple(reports),
    )


class _Stage:
    """One step's part of the whole run's progress."""

    def __init__(self, tell: Tell, name: str, start: float, share: float) -> None:
        self._tell, self._name, self._start, self._share = tell, name, start, share

    def __call__(self, fraction: float) -> None:
        self._tell(self._at(fraction), stage=self._name)

    def layer(self, fraction: float, layer: LayerReport | None) -> None:
        self._tell(self._at(fraction), stage=self._name, layer=layer)

    def training(self, doing: str, fraction: float, point: TrainingPoint | None) -> None:
        self._tell(self._at(fraction), stage=f"{self._name}: {doing}", training=point)

    def _at(self, fraction: float) -> float:
        return self._start + self._share * min(1.0, fraction)


def _share(step: Step) -> float:
    if step.recipe.kind != "training":
        return _SECONDS_OF_A_STEP
    minutes = step.value if step.name == "heal" else step.option("minutes")
    return max(_SECONDS_OF_A_STEP, 60 * (5.0 if minutes is None else minutes))


def _weight_bytes(folder: Path) -> int:
    """Bytes of the tensors of a checkpoint; the files' headers do not count."""
    total = 0
    for path in weight_files(folder):
        with path.open("rb") as file:
            header = int.from_bytes(file.read(8), "little")
        total += path.stat().st_size - 8 - header
    return total

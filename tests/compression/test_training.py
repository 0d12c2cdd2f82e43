"""A student learns: equally from equal seeds, better with its teacher, and until it is told to
stop.
"""

from __future__ import annotations

import random
import threading
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from slm_explorer.compression.students import make_student
from slm_explorer.compression.training import train
from slm_explorer.compression.training_plan import (
    StudentPlan,
    TrainingControl,
    TrainingPlan,
    TrainingPoint,
    TrainingSummary,
)
from slm_explorer.engines.checkpoint import load_model
from slm_explorer.errors import (
    BadCheckpoint,
    Cancelled,
    DoesNotFit,
    InvalidRequest,
    TrainingDiverged,
    UnsupportedModel,
)
from slm_explorer.types import ModelSpec
from tests.compression.conftest import names
from tests.compression.models import save_other
from tests.conftest import ROOT
from tests.engines.models import TEXT, build_tokenizer, save_model

SPROUT = ROOT / "assets" / "sprouts" / "sprout-300k"
PLAN = TrainingPlan(steps=12, window=48)
Tell = Callable[[str, float, TrainingPoint | None], None]


def story() -> str:
    """A text of a few words in many orders: easy to get better at, and never the same."""
    draw = random.Random(0)
    words = ["fox", "moon", "owl", "hill", "far", "walk"]
    return " ".join(f"The {draw.choice(words)} saw the {draw.choice(words)}." for _ in range(400))


def trained(
    parent: Path,
    student: Path,
    out: Path,
    plan: TrainingPlan = PLAN,
    *,
    text: str | None = None,
    tell: Tell = lambda _doing, _fraction, _point: None,
    cancelled: Callable[[], bool] = lambda: False,
    control: TrainingControl | None = None,
) -> TrainingSummary:
    return train(parent, student, out, plan, tell, cancelled, control or TrainingControl(), text)


def weights(folder: Path) -> dict[str, Tensor]:
    return load_file(folder / "model.safetensors")


@pytest.fixture(scope="module")
def student(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One of the Sprout's four layers, the others gone."""
    folder = tmp_path_factory.mktemp("students") / "student"
    make_student(SPROUT, folder, StudentPlan(1))
    return folder


def test_the_loss_falls_and_the_student_loads(tmp_path: Path, tiny_llama: Path) -> None:
    make_student(tiny_llama, tmp_path / "student", StudentPlan(1, fresh=True))
    points: list[TrainingPoint] = []
    plan = replace(PLAN, teacher_share=0.0, steps=40)
    summary = trained(
        tiny_llama,
        tmp_path / "student",
        tmp_path / "out",
        plan,
        text=story(),
        tell=lambda _doing, _fraction, point: points.append(point) if point else None,
    )
    assert summary.steps == points[-1].step == 40
    assert summary.tokens == points[-1].tokens == 40 * summary.batch_tokens
    assert summary.loss_after < 0.7 * summary.loss_before
    assert (summary.text, summary.ended) == ("user", "steps")
    assert summary.kl_after is None is points[-1].kl
    assert points[-1].sample
    spec = ModelSpec(model="out", path=str(tmp_path / "out"), threads=1)
    assert load_model(spec, lambda _fraction, _stage: None).tokenizer is not None
    before, after = weights(tmp_path / "student"), weights(tmp_path / "out")
    assert before.keys() == after.keys()
    assert all(before[name].dtype == after[name].dtype for name in before)
    assert not any(torch.equal(before[name], after[name]) for name in before)


def test_equal_seeds_give_equal_weights(tmp_path: Path, student: Path) -> None:
    for name, seed in (("a", 1), ("b", 1), ("c", 2)):
        trained(SPROUT, student, tmp_path / name, replace(PLAN, steps=3, seed=seed))
    first, again, other = (weights(tmp_path / name) for name in "abc")
    assert all(torch.equal(first[name], again[name]) for name in first)
    assert not all(torch.equal(first[name], other[name]) for name in first)


def test_a_teacher_helps_at_equal_steps(tmp_path: Path, student: Path) -> None:
    taught = trained(SPROUT, student, tmp_path / "taught")
    alone = trained(SPROUT, student, tmp_path / "alone", replace(PLAN, teacher_share=0.0))
    assert taught.steps == alone.steps
    assert taught.loss_before == pytest.approx(alone.loss_before, rel=1e-3)
    assert taught.loss_after < alone.loss_after
    assert taught.parent_loss is not None
    assert taught.parent_loss < taught.loss_after < taught.loss_before
    assert taught.kl_before is not None
    assert taught.kl_after is not None
    assert taught.kl_after < taught.kl_before


def test_an_encoder_learns_to_fill_in_words(tmp_path: Path) -> None:
    parent = save_other(tmp_path / "parent", "bert")
    tokenizer = build_tokenizer()
    tokenizer.add_special_tokens(
        {"mask_token": "<|endoftext|>", "cls_token": "<|im_start|>", "sep_token": "<|im_end|>"}
    )
    tokenizer.save_pretrained(parent)
    make_student(parent, tmp_path / "student", StudentPlan(1))
    plan = replace(PLAN, teacher_share=1.0)
    summary = trained(parent, tmp_path / "student", tmp_path / "out", plan, text=story())
    assert summary.kl_before is not None
    assert summary.kl_after is not None
    assert summary.kl_after < summary.kl_before
    with pytest.raises(InvalidRequest, match="give a text"):
        trained(parent, tmp_path / "student", tmp_path / "none")


def test_finish_keeps_what_was_learnt(tmp_path: Path, student: Path) -> None:
    control = TrainingControl()

    def tell(_doing: str, _fraction: float, point: TrainingPoint | None) -> None:
        if point is not None and point.step >= 2:
            control.finish()

    plan = TrainingPlan(minutes=600, window=48)
    # A text of one's own, since the parent would write for a quarter of the time.
    text = (TEXT + story()) * 2
    summary = trained(
        SPROUT, student, tmp_path / "out", plan, text=text, tell=tell, control=control
    )
    assert summary.ended == "finished"
    assert summary.steps >= 2
    assert summary.loss_after < summary.loss_before
    assert weights(tmp_path / "out").keys() == weights(student).keys()


def test_a_pause_holds_until_it_ends(tmp_path: Path, student: Path) -> None:
    control = TrainingControl()
    paused = threading.Event()
    steps: list[int] = []

    def tell(doing: str, _fraction: float, point: TrainingPoint | None) -> None:
        if doing == "learning" and point is not None:
            steps.append(point.step)
        if doing == "paused":
            paused.set()

    control.pause()
    run = threading.Thread(
        target=trained,
        args=(SPROUT, student, tmp_path / "out", replace(PLAN, steps=2)),
        kwargs={"text": story(), "tell": tell, "control": control},
        daemon=True,
    )
    run.start()
    assert paused.wait(60)
    assert steps == []
    control.resume()
    run.join(60)
    assert steps[-1] == 2


def test_cancel_ends_it_anywhere_and_writes_nothing(tmp_path: Path, student: Path) -> None:
    for moment in ("the parent writes text", "learning", "paused"):
        stop = threading.Event()
        control = TrainingControl()

        def tell(
            doing: str,
            _fraction: float,
            point: TrainingPoint | None,
            moment: str = moment,
            stop: threading.Event = stop,
            control: TrainingControl = control,
        ) -> None:
            if doing == moment:
                stop.set()
            if point is not None and moment == "paused":
                control.pause()

        with pytest.raises(Cancelled):
            trained(
                SPROUT,
                student,
                tmp_path / "out",
                PLAN if moment.startswith("the") else replace(PLAN, steps=1000),
                text=None if moment.startswith("the") else story(),
                tell=tell,
                cancelled=stop.is_set,
                control=control,
            )
        assert names(tmp_path) == []


def test_a_loss_that_is_no_number_ends_it(tmp_path: Path, student: Path) -> None:
    plan = replace(PLAN, learning_rate=1e30)
    with pytest.raises(TrainingDiverged, match="lower learning rate"):
        trained(SPROUT, student, tmp_path / "out", plan, text=story())
    assert names(tmp_path) == []


def test_broken_weights_are_named_before_anything_is_learnt(
    tmp_path: Path, tiny_llama: Path
) -> None:
    broken = make_broken(tiny_llama, tmp_path / "broken")
    for parent, pupil, who in ((broken, tiny_llama, "parent"), (tiny_llama, broken, "student")):
        with pytest.raises(BadCheckpoint, match=f"The {who} computes"):
            trained(parent, pupil, tmp_path / "out", text=story())
    with pytest.raises(BadCheckpoint, match="parent computes"):
        trained(broken, tiny_llama, tmp_path / "out")


def make_broken(source: Path, out: Path) -> Path:
    out.mkdir()
    for entry in source.iterdir():
        (out / entry.name).write_bytes(entry.read_bytes())
    tensors = weights(out)
    tensors["model.norm.weight"][0] = float("nan")
    save_file(tensors, out / "model.safetensors", {"format": "pt"})
    return out


def test_what_cannot_be_trained_is_refused(tmp_path: Path, tiny_llama: Path) -> None:
    with pytest.raises(InvalidRequest, match="vocabulary"):
        trained(tiny_llama, SPROUT, tmp_path / "out", text=story())
    with pytest.raises(InvalidRequest, match="1,000"):
        trained(tiny_llama, tiny_llama, tmp_path / "out", text="Too short.")
    plan = replace(PLAN, memory_bytes=1_000_000)
    with pytest.raises(DoesNotFit, match="unload models"):
        trained(tiny_llama, tiny_llama, tmp_path / "out", plan, text=story())
    t5 = save_other(tmp_path / "t5", "t5")
    with pytest.raises(UnsupportedModel, match="text-to-text"):
        trained(t5, t5, tmp_path / "out", text=story())
    assert names(tmp_path) == ["t5"]


@pytest.mark.parametrize("kind", ["gpt2", "opt", "falcon", "gemma3_text", "granite", "lfm2"])
def test_other_architectures_learn(tmp_path: Path, kind: str) -> None:
    parent = save_model(tmp_path / "parent", kind)
    summary = trained(parent, parent, tmp_path / "out", replace(PLAN, steps=1), text=story())
    assert summary.steps == 1
    assert names(tmp_path / "out") == names(parent)


def test_less_memory_is_taken_with_fewer_rows_at_once(tmp_path: Path, tiny_llama: Path) -> None:
    make_student(tiny_llama, tmp_path / "student", StudentPlan(1))
    whole = replace(PLAN, steps=2, learning_rate=1e-3)
    trained(tiny_llama, tmp_path / "student", tmp_path / "whole", whole, text=story())
    from slm_explorer.engines.memory import private_memory

    here = private_memory().now
    if here is None:
        pytest.skip("this system does not tell a process's private memory")
    rows = replace(whole, memory_bytes=here + 8_000_000)
    trained(tiny_llama, tmp_path / "student", tmp_path / "parts", rows, text=story())
    first, second = weights(tmp_path / "whole"), weights(tmp_path / "parts")
    for name in first:
        assert torch.allclose(first[name], second[name], atol=2e-3), name

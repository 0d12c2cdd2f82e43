"""Whole recipes: what each step leaves for the next, and what is left when a run ends early."""

from __future__ import annotations

import json
import resource
import shutil
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import torch

from slm_explorer.compress import CompressionProgress, compress, influence, sample_text
from slm_explorer.compression.pipeline import Job, run_recipe
from slm_explorer.compression.recipes import CompressionResult, LayerInfluence, LayerReport
from slm_explorer.compression.training_plan import TrainingControl, TrainingPoint
from slm_explorer.compression.workspace import new_folder
from slm_explorer.engines.checkpoint import load_model
from slm_explorer.errors import Cancelled, InvalidRequest, StorageError, UnsupportedModel
from slm_explorer.types import ModelSpec
from tests.compression.conftest import names
from tests.conftest import ROOT
from tests.engines.models import TEXT, save_model

SPROUT = ROOT / "assets" / "sprouts" / "sprout-300k"
LONG = "drop-layers:1+prune-mlp:25+prune-heads:50+prune-magnitude:10+int4"


class Told:
    """What a run tells, in order."""

    def __init__(self) -> None:
        self.fractions: list[float] = []
        self.stages: list[str] = []
        self.layers: list[LayerReport] = []
        self.points: list[TrainingPoint] = []

    def __call__(
        self,
        fraction: float,
        *,
        stage: str,
        layer: LayerReport | None = None,
        training: TrainingPoint | None = None,
    ) -> None:
        self.fractions.append(fraction)
        if stage not in self.stages:
            self.stages.append(stage)
        self.layers += [] if layer is None else [layer]
        self.points += [] if training is None else [training]


def run(source: Path, out: Path, recipe: str, told: Told, cancelled: Any = None) -> Any:
    job = Job(source, out, recipe, sample=TEXT * 3)
    return run_recipe(job, told, cancelled or (lambda: False), TrainingControl())


def model_of(folder: Path) -> Any:
    return load_model(ModelSpec(folder.name, str(folder)), lambda _fraction, _stage: None).model


def test_each_step_works_on_what_the_one_before_has_left(tiny_llama: Path, tmp_path: Path) -> None:
    told = Told()
    result = run(tiny_llama, tmp_path / "child", LONG, told)
    assert names(tmp_path) == ["child"]
    assert [step.name for step in result.steps] == LONG.split("+")
    assert told.stages == LONG.split("+")
    assert told.fractions == sorted(told.fractions)
    assert told.fractions[-1] == pytest.approx(1.0)
    assert tuple(told.layers) == result.layers
    sizes = [result.bytes_before, *(step.bytes_after for step in result.steps)]
    assert sizes[0] > sizes[1] > sizes[2] > sizes[3] == sizes[4] > sizes[5] == result.bytes_after
    config = json.loads((tmp_path / "child" / "config.json").read_text())
    assert config["slm_explorer"]["recipe"] == LONG
    assert config["num_hidden_layers"] == 2
    assert config["intermediate_size"] == 72
    assert config["num_key_value_heads"] == 1
    child = model_of(tmp_path / "child")
    assert torch.isfinite(child(input_ids=torch.tensor([[3, 4, 5]])).logits).all()


def test_a_structural_step_alone_leaves_an_ordinary_checkpoint(
    tiny_llama: Path, tmp_path: Path
) -> None:
    result = run(tiny_llama, tmp_path / "child", "drop-layers:2+native", Told())
    assert [step.name for step in result.steps] == ["drop-layers:2"]
    assert result.layers == ()
    assert "slm_explorer" not in json.loads((tmp_path / "child" / "config.json").read_text())
    assert names(tmp_path / "child") == names(tiny_llama)


def test_the_text_decides_which_layer_goes(tiny_llama: Path, tmp_path: Path) -> None:
    def first_of(text: str | None, out: str) -> Any:
        job = Job(tiny_llama, tmp_path / out, "drop-layers:1", sample=TEXT, text=text)
        return run_recipe(job, Told(), lambda: False, TrainingControl()).steps[0].detail

    assert first_of(None, "a") == first_of(TEXT, "b")
    assert first_of(None, "c")["influence"] != first_of("0123456789 " * 20, "d")["influence"]


@pytest.mark.parametrize(
    ("recipe", "error", "said"),
    [
        ("drop-layers:3+int4", UnsupportedModel, "3 layers, and at least one must stay"),
        ("drop-layers:2+drop-layers:1", InvalidRequest, "has 1 layer, and at least 1 must stay"),
        ("native", InvalidRequest, "changes nothing"),
        ("int4+drop-layers:1", InvalidRequest, "comes last"),
    ],
)
def test_what_cannot_be_done_leaves_nothing(
    recipe: str, error: type[Exception], said: str, tiny_llama: Path, tmp_path: Path
) -> None:
    with pytest.raises(error, match=said):
        run(tiny_llama, tmp_path / "child", recipe, Told())
    assert names(tmp_path) == []


def test_it_can_be_cancelled_at_every_moment(tiny_llama: Path, tmp_path: Path) -> None:
    recipe = "drop-layers:1+prune-mlp:25+int4"
    asked = 0

    def count() -> bool:
        nonlocal asked
        asked += 1
        return False

    run(tiny_llama, tmp_path / "whole", recipe, Told(), count)
    moments = asked
    assert moments > 20
    shutil.rmtree(tmp_path / "whole")
    stages = set()
    for moment in range(1, moments + 1, 3):
        told, asked = Told(), 0

        def cancelled(last: int = moment) -> bool:
            nonlocal asked
            asked += 1
            return asked >= last

        with pytest.raises(Cancelled):
            run(tiny_llama, tmp_path / "no", recipe, told, cancelled)
        assert names(tmp_path) == []
        stages.update(told.stages[-1:])
    assert stages >= {"drop-layers:1", "int4"}


@contextmanager
def small_disk(size: int) -> Iterator[None]:
    """Files can grow to `size` bytes, as on a disk that is full then."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    previous = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
        signal.signal(signal.SIGXFSZ, previous)


@pytest.mark.parametrize("recipe", ["drop-layers:1", "prune-mlp:25+int4", "prune-magnitude:10+f32"])
def test_a_full_disk_is_said_and_leaves_nothing(
    recipe: str, tiny_llama: Path, tmp_path: Path
) -> None:
    with small_disk(40_000), pytest.raises(StorageError, match="free some space"):
        run(tiny_llama, tmp_path / "child", recipe, Told())
    assert names(tmp_path) == []


def test_room_for_the_steps_between_is_asked_for_first(
    tiny_llama: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[int] = []

    def watched(out: Path, needed: int) -> Any:
        asked.append(needed)
        return new_folder(out, needed)

    monkeypatch.setattr("slm_explorer.compression.pipeline.new_folder", watched)
    size = run(tiny_llama, tmp_path / "one", "int8", Told()).bytes_before
    run(tiny_llama, tmp_path / "two", "drop-layers:1+int8", Told())
    run(tiny_llama, tmp_path / "four", LONG, Told())
    assert asked == [0, size, 2 * size]


def test_healing_trains_what_is_left(tiny_llama: Path, tmp_path: Path) -> None:
    told = Told()
    job = Job(tiny_llama, tmp_path / "child", "drop-layers:1+heal:1,steps=3+int8", "", TEXT * 40)
    result = run_recipe(job, told, lambda: False, TrainingControl())
    drop, heal, stored = result.steps
    assert heal.detail["steps"] == 3
    assert heal.bytes_after == drop.bytes_after > stored.bytes_after
    assert told.points[-1].step == 3
    assert len(model_of(tmp_path / "child").model.layers) == 2


def test_a_student_takes_its_parents_place(tiny_llama: Path, tmp_path: Path) -> None:
    job = Job(tiny_llama, tmp_path / "child", "distil:1,steps=2+int8", "", TEXT * 40)
    result = run_recipe(job, Told(), lambda: False, TrainingControl())
    assert result.steps[0].detail["steps"] == 2
    assert len(model_of(tmp_path / "child").model.layers) == 1
    assert names(tmp_path) == ["child"]


def test_the_process_tells_stages_and_steps(tmp_path: Path) -> None:
    recipe = "drop-layers:1+int4"
    cancel = threading.Event()
    *progress, result = compress(SPROUT, tmp_path / "child", recipe, threads=1, cancel=cancel)
    assert isinstance(result, CompressionResult)
    told = [each for each in progress if isinstance(each, CompressionProgress)]
    assert list(dict.fromkeys(each.stage for each in told)) == recipe.split("+")
    drop = result.steps[0]
    assert drop.seconds > 0
    assert drop.detail["layers_after"] == 3


def test_the_process_measures_the_curve() -> None:
    *_, found = influence(SPROUT, threads=1, cancel=threading.Event())
    assert isinstance(found, LayerInfluence)
    assert len(found.influence) == 4
    assert found.losses_without is not None
    assert found.tokens > 500


def test_the_sample_is_not_in_the_text_that_both_are_compared_on() -> None:
    measured = (ROOT / "assets" / "evaluation" / "sprout-text.txt").read_text(encoding="utf-8")
    for paragraph in sample_text().split("\n\n"):
        assert paragraph not in measured


def test_a_cancelled_process_leaves_nothing(tmp_path: Path) -> None:
    source = save_model(tmp_path / "parent", "llama", num_hidden_layers=6)
    cancel = threading.Event()
    running = compress(source, tmp_path / "out" / "no", LONG, threads=1, cancel=cancel)

    def watch() -> None:
        for event in running:
            assert isinstance(event, CompressionProgress)
            if event.stage.startswith("prune-mlp"):
                cancel.set()

    with pytest.raises(Cancelled):
        watch()
    assert names(tmp_path / "out") == []

"""Recipes that train, in their own process: watched, paused, ended early and cancelled."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest

from slm_explorer.compress import CompressionProgress, compress
from slm_explorer.compression.recipes import CompressionResult
from slm_explorer.compression.training_plan import TrainingControl
from slm_explorer.errors import Cancelled, InvalidRequest
from tests.compression.conftest import names
from tests.conftest import ROOT

SPROUT = ROOT / "assets" / "sprouts" / "sprout-300k"
TEXT = "Once there was a fox who saw the moon over the hill. What did the fox see? The moon. " * 80


def test_a_student_is_paused_resumed_and_finished(tmp_path: Path) -> None:
    control = TrainingControl()
    seen: list[str] = []
    result = None
    for event in compress(
        SPROUT,
        tmp_path / "child",
        "distil:2,minutes=200+int8",
        threads=1,
        cancel=threading.Event(),
        text=TEXT,
        control=control,
    ):
        if isinstance(event, CompressionResult):
            result = event
            continue
        if event.stage.endswith("paused"):
            seen.append("paused")
            control.resume()
        elif event.training is not None and "paused" in seen:
            seen.append("learnt")
            control.finish()
        elif event.training is not None:
            control.pause()
    assert result is not None
    assert seen[0] == "paused"
    assert "learnt" in seen
    distilled, stored = result.steps
    assert distilled.detail["ended"] == "finished"
    assert distilled.detail["text"] == "user"
    assert distilled.detail["layers_of_the_parent"] == [0, 3]
    assert stored.name == "int8"
    assert result.bytes_after < distilled.bytes_after < result.bytes_before
    assert names(tmp_path) == ["child"]


def test_pruning_is_healed_and_stored_in_one_run(tmp_path: Path) -> None:
    points = []
    result = None
    recipe = "drop-layers:1+heal:1,steps=6+int4"
    for event in compress(
        SPROUT, tmp_path / "child", recipe, threads=1, cancel=threading.Event(), text=TEXT
    ):
        if isinstance(event, CompressionProgress):
            points += [event.training] if event.training else []
        else:
            result = event
    assert result is not None
    detail = result.steps[1].detail
    assert detail["steps"] == points[-1].step == 6
    after, before = detail["kl_after"], detail["kl_before"]
    assert isinstance(after, float)
    assert isinstance(before, float)
    assert after < before


def test_a_cancelled_training_leaves_nothing(tmp_path: Path) -> None:
    cancel = threading.Event()
    run = compress(SPROUT, tmp_path / "child", "distil:2", threads=1, cancel=cancel, text=TEXT)
    for event in run:
        if isinstance(event, CompressionProgress) and event.training is not None:
            cancel.set()
            break
    with pytest.raises(Cancelled):
        list(run)
    assert names(tmp_path) == []


def test_a_short_text_is_refused_in_words(tmp_path: Path) -> None:
    with pytest.raises(InvalidRequest, match="give a longer text"):
        list(
            compress(
                SPROUT,
                tmp_path / "child",
                "distil:2",
                threads=1,
                cancel=threading.Event(),
                text="Too short.",
            )
        )
    assert names(tmp_path) == []

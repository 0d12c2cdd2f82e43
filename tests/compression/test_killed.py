"""A run in its own process: what it tells, and what is left when it is killed or stopped."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from slm_explorer.compress import CompressionProgress, compare, compress
from slm_explorer.compression.recipes import CompressionResult, Divergence, LayerReport
from slm_explorer.compression.workspace import remove_leftovers
from slm_explorer.errors import Cancelled, InvalidRequest, SlmError
from tests.compression.conftest import names
from tests.conftest import ROOT

SPROUTS = ROOT / "assets" / "sprouts"
SMALL, LARGE = SPROUTS / "sprout-300k", SPROUTS / "sprout-5m"


def never() -> threading.Event:
    return threading.Event()


def test_it_tells_each_layer_and_ends_with_the_result(tmp_path: Path) -> None:
    *progress, result = compress(SMALL, tmp_path / "child", "int8", threads=1, cancel=never())
    assert isinstance(result, CompressionResult)
    fractions = [each.fraction for each in progress if isinstance(each, CompressionProgress)]
    assert fractions == sorted(fractions)
    assert fractions[-1] == pytest.approx(1.0)
    layers = [
        each.layer
        for each in progress
        if isinstance(each, CompressionProgress) and isinstance(each.layer, LayerReport)
    ]
    assert tuple(layers) == result.layers
    assert result.peak_memory_bytes is None or result.peak_memory_bytes > 10**7


def test_its_errors_come_back_as_they_were_raised(tmp_path: Path) -> None:
    with pytest.raises(InvalidRequest, match="int5"):
        list(compress(SMALL, tmp_path / "child", "int5", threads=1, cancel=never()))
    with pytest.raises(SlmError, match=r"config\.json"):
        list(compress(tmp_path, tmp_path / "child", "int4", threads=1, cancel=never()))


def test_a_cancelled_run_says_so_and_leaves_nothing(tmp_path: Path) -> None:
    cancel = never()
    run = iter(compress(LARGE, tmp_path / "no", "int4-refined", threads=1, cancel=cancel))
    next(run)
    cancel.set()
    with pytest.raises(Cancelled):
        list(run)
    assert names(tmp_path) == []


def test_a_reader_who_leaves_stops_the_run(tmp_path: Path) -> None:
    run = compress(LARGE, tmp_path / "no", "int4-refined", threads=1, cancel=never())
    next(iter(run))
    run.close()  # type: ignore[attr-defined]
    assert names(tmp_path) == []


def test_killed_at_any_moment_there_is_all_or_nothing(tmp_path: Path) -> None:
    draw = random.Random(7)
    finished = 0
    for number in range(5):
        out = tmp_path / "children" / f"child{number}"
        order = {
            "do": "compress",
            "source": str(LARGE),
            "out": str(out),
            "recipe": "int4",
            "threads": 1,
        }
        child = subprocess.Popen(
            [sys.executable, "-P", "-m", "slm_explorer.compression.child"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
        )
        assert child.stdin is not None
        assert child.stdout is not None
        child.stdin.write(json.dumps(order).encode() + b"\n")
        child.stdin.flush()
        # The moment is counted in what it says, so that a slow machine changes nothing.
        for _ in range(draw.randrange(0, 58)):
            if not child.stdout.readline():
                break
        time.sleep(draw.random() * 0.02)
        child.send_signal(signal.SIGKILL)
        child.wait()
        child.stdin.close()
        child.stdout.close()
        if out.exists():
            finished += 1
            assert (out / "config.json").is_file()
    remove_leftovers(tmp_path / "children")
    left = names(tmp_path / "children") if (tmp_path / "children").exists() else []
    assert len(left) == finished
    assert all(name.startswith("child") for name in left)


def test_a_child_is_compared_with_its_parent(tmp_path: Path) -> None:
    list(compress(SMALL, tmp_path / "child", "int8", threads=1, cancel=never()))
    text = (ROOT / "assets" / "evaluation" / "sprout-text.txt").read_text()[:6000]
    *_, found = compare(SMALL, tmp_path / "child", text, threads=1, cancel=never())
    assert isinstance(found, Divergence)
    assert len(found.before) == len(found.after) > 2
    assert [w.tokens for w in found.before] == [w.tokens for w in found.after]
    assert sum(w.bytes for w in found.before) == len(text.encode())
    assert 0 < found.kl < 0.01
    assert found.kl_interval is not None
    assert found.kl_interval[0] < found.kl < found.kl_interval[1]
    assert 0.95 < found.top1_agreement < 1
    *_, same = compare(SMALL, SMALL, text, threads=1, cancel=never())
    assert isinstance(same, Divergence)
    assert same.kl == pytest.approx(0, abs=1e-6)
    assert same.top1_agreement == 1

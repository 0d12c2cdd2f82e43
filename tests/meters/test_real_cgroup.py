"""The app inside a real, small control group: what it shows, and that nothing knocks it over."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest

SCRIPT = Path(__file__).parents[2] / "scripts" / "try_memory.py"
LIMIT = 2 * 10**9


@pytest.fixture
def script(monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.syspath_prepend(str(SCRIPT.parent))
    return import_module("try_memory")


@pytest.fixture
def group(script: Any) -> Iterator[Path]:
    try:
        with script.group_of(LIMIT) as folder:
            script.kernel_kills(folder)
            yield folder
    except script.NoGroups as error:
        if os.environ.get("CI"):
            pytest.fail(f"The real limit was not tested: {error}")
        pytest.skip(f"THE REAL MEMORY LIMIT WAS NOT TESTED: {error}")


def test_the_limit_is_shown_and_cannot_be_exceeded(script: Any, group: Path) -> None:
    def join() -> None:
        (group / "cgroup.procs").write_text(str(os.getpid()))

    command = [sys.executable, str(SCRIPT), "inside", "--tries", "10", "--limit", str(LIMIT)]
    done = subprocess.run(command, preexec_fn=join, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr[-2000:]
    assert '"source": "cgroup v' in done.stdout
    endings = json.loads(done.stdout.splitlines()[-1])["endings"]
    assert sum(endings.values()) == 10
    # Its fence stops it, or the watchdog does, whichever comes first: never the kernel.
    assert not any("WorkerCrashed" in ending for ending in endings)
    for way in ("at once", "in steps", "three together", "while loading"):
        taken = " ".join(ending for ending in endings if ending.startswith(way))
        assert "WorkerError" in taken or "Evicted" in taken
    assert script.kernel_kills(group) == 0

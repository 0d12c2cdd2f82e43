"""The private memory of a process, measured in processes that take a known amount."""

from __future__ import annotations

import subprocess
import sys

import pytest

pytestmark = pytest.mark.skipif(
    sys.platform != "linux", reason="only Linux tells a process's private memory"
)

MEASURE = """
from slm_explorer.engines.memory import private_memory
before = private_memory()
block = bytearray(80_000_000)
block[::4096] = b"x" * len(block[::4096])
held = private_memory()
del block
after = private_memory()
print(before.now, held.now, held.peak, after.now, after.peak)
"""


def test_now_falls_when_memory_is_given_back_and_the_peak_stays() -> None:
    done = subprocess.run(
        [sys.executable, "-c", MEASURE], capture_output=True, text=True, check=True, timeout=60
    )
    before, held, held_peak, after, after_peak = map(int, done.stdout.split())
    taken = 80_000_000
    assert held - before == pytest.approx(taken, rel=0.05)
    assert after - before < taken // 10
    assert held_peak >= held
    assert after_peak - before == pytest.approx(taken, rel=0.1)


def test_shared_pages_are_not_counted() -> None:
    script = (
        "import os, sys\n"
        "block = bytearray(80_000_000)\n"
        "block[::4096] = b'x' * len(block[::4096])\n"
        "child = os.fork()\n"
        "if child == 0:\n"
        "    from slm_explorer.engines.memory import private_memory\n"
        "    print(private_memory().now, private_memory().peak, flush=True)\n"
        "    os._exit(0)\n"
        "os.waitpid(child, 0)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True, timeout=60
    )
    now, peak = map(int, done.stdout.split())
    assert now < 40_000_000
    assert peak < 40_000_000

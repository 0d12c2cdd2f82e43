"""What the kernel holds a worker to between two rounds of the watchdog."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from slm_explorer.runtime.budget import Claim, MemoryView
from slm_explorer.runtime.fence import LEAST_GROWTH, fence, room_to_grow
from tests.runtime.conftest import MakeManager
from tests.runtime.visits import Visit, echo

GB = 10**9
MB = 10**6
linux = pytest.mark.skipif(sys.platform != "linux", reason="only Linux has prlimit")


def view(available: float, limit: float = 10) -> MemoryView:
    return MemoryView(int(limit * GB), None, int(available * GB), "test")


def claim(idle: float | None) -> Claim:
    return Claim("a", GB, GB, loading=False, idle_s=idle)


def test_what_is_left_below_the_end_is_shared_by_those_at_work_and_one_more() -> None:
    assert room_to_grow([claim(None)], view(4.3)) == pytest.approx(4 * GB)
    assert room_to_grow([claim(None), claim(5.0)], view(4.3)) == pytest.approx(2 * GB)
    assert room_to_grow([claim(5.0)], view(4.3)) == pytest.approx(4 * GB)
    assert room_to_grow([claim(None), claim(None)], view(4.3)) == pytest.approx(2 * GB)
    assert room_to_grow([claim(None)], view(0.2)) == LEAST_GROWTH
    assert room_to_grow([], view(4.3)) > 0


@linux
def test_a_process_gets_an_error_for_more_and_may_take_it_when_allowed() -> None:
    code = (
        "import sys\n"
        "print('ready', flush=True)\n"
        "for line in sys.stdin:\n"
        "    try:\n"
        "        bytearray(int(line)); print('took it', flush=True)\n"
        "    except MemoryError:\n"
        "        print('refused', flush=True)\n"
    )
    with subprocess.Popen(
        [sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"

        def take(size: int) -> str:
            assert process.stdin is not None
            assert process.stdout is not None
            process.stdin.write(f"{size}\n")
            process.stdin.flush()
            return process.stdout.readline().strip()

        fence(process.pid, 50 * MB)
        assert take(200 * MB) == "refused"
        assert take(20 * MB) == "took it"
        fence(process.pid, 400 * MB)
        assert take(200 * MB) == "took it"
        process.stdin.close()
    fence(process.pid, MB)  # it has ended, which is no error


@linux
def test_a_worker_that_takes_too_much_answers_in_words_and_the_others_go_on(
    make_manager: MakeManager,
) -> None:
    small = MemoryView(4 * GB, None, int(0.7 * GB), "test")
    manager = make_manager(memory=lambda: small)
    other = Visit(manager, echo("other"), "hello")
    other.stats()
    Visit(manager, echo("greedy"), "hello").stats()
    manager.check()
    failure = Visit(manager, echo("greedy"), f"/allocate {3 * GB}").failure()
    assert "the memory ran out" in failure.error
    assert Visit(manager, echo("greedy"), "hello").stats().output_tokens == 1
    assert Visit(manager, echo("other"), "hello").stats().output_tokens == 1


@linux
def test_a_worker_goes_before_the_app_should_the_kernel_have_to_choose(
    make_manager: MakeManager,
) -> None:
    manager = make_manager()
    Visit(manager, echo("a"), "hello").stats()
    (state,) = manager.states()

    def score(pid: int | None) -> int:
        return int(Path(f"/proc/{pid}/oom_score_adj").read_text("ascii"))

    assert score(state.pid) > score(os.getpid())

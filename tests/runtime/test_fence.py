"""What the kernel holds a worker to between two rounds of the watchdog."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from slm_explorer.errors import SlmError
from slm_explorer.runtime.budget import MemoryView
from slm_explorer.runtime.fence import LEAST_GROWTH, Fences, room_to_grow
from tests.runtime.conftest import MakeManager
from tests.runtime.visits import Visit, echo

GB = 10**9
MB = 10**6
linux = pytest.mark.skipif(sys.platform != "linux", reason="only Linux has prlimit")


def view(available: float, limit: float = 10) -> MemoryView:
    return MemoryView(int(limit * GB), None, int(available * GB), "test")


def test_what_is_left_below_the_end_is_divided() -> None:
    assert room_to_grow(view(4.3), 0, 1) == pytest.approx(4 * GB)
    assert room_to_grow(view(4.3), 0, 2) == pytest.approx(2 * GB)
    assert room_to_grow(view(4.3), GB, 2) == pytest.approx(1.5 * GB)


def test_past_the_end_enough_for_an_answer_is_left_and_at_last_nothing() -> None:
    assert room_to_grow(view(20, limit=1000), 0, 1) == LEAST_GROWTH
    for left in (0.3, 0.25, 0.2, 0.16, 0.1, 0.0):
        for parts in (1, 3, 9):
            together = parts * room_to_grow(view(left), 0, parts)
            assert together <= max(0, (left - 0.15) * GB)
    assert room_to_grow(view(0.25), 0, 1) == LEAST_GROWTH
    assert room_to_grow(view(0.25), GB, 1) == 0


class Taker:
    """A Python process that maps, writes to or takes memory when told."""

    CODE = """
import mmap, sys
kept = []
print("ready", flush=True)
for line in sys.stdin:
    what, size = line.split()
    try:
        if what == "map":
            kept.append(mmap.mmap(-1, int(size), flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS))
        elif what == "write":
            for block in kept:
                block[::4096] = b"1" * len(range(0, len(block), 4096))
        else:
            bytearray(int(size))
        print("did it", flush=True)
    except (MemoryError, OSError):
        print("refused", flush=True)
"""

    def __init__(self) -> None:
        pipe = subprocess.PIPE
        command = [sys.executable, "-c", self.CODE]
        self.process = subprocess.Popen(command, stdin=pipe, stdout=pipe, text=True)
        self.pid = self.process.pid
        assert self.heard() == "ready"

    def heard(self) -> str:
        assert self.process.stdout is not None
        return self.process.stdout.readline().strip()

    def ask(self, what: str, size: int = 0) -> str:
        assert self.process.stdin is not None
        self.process.stdin.write(f"{what} {size}\n")
        self.process.stdin.flush()
        return self.heard()

    def close(self) -> None:
        self.process.communicate()


@pytest.fixture
def takers() -> Iterator[list[Taker]]:
    made = [Taker(), Taker()]
    yield made
    for taker in made:
        taker.close()


@linux
def test_a_process_gets_an_error_for_more_and_may_take_it_when_allowed(
    takers: list[Taker],
) -> None:
    taker, _ = takers
    fences = Fences()
    fences.renew({taker.pid: False}, lambda: view(0.35))
    assert taker.ask("take", 200 * MB) == "refused"
    assert taker.ask("take", 20 * MB) == "did it"
    fences.renew({taker.pid: False}, lambda: view(0.7))
    assert taker.ask("take", 200 * MB) == "did it"
    taker.close()
    fences.renew({taker.pid: False}, lambda: view(0.7))  # it has ended, which is no error


@linux
def test_what_is_mapped_and_not_written_to_is_never_given_out_again(takers: list[Taker]) -> None:
    fences = Fences()
    mapped = 0
    for _ in range(8):
        # Nothing is written to, so the memory that is left stays the same.
        fences.renew(dict.fromkeys([taker.pid for taker in takers], False), lambda: view(0.7))
        for taker in takers:
            while taker.ask("map", 10 * MB) == "did it":
                mapped += 10 * MB
    assert 400 * MB <= mapped <= 550 * MB  # half of the last 3 % of 10 GB stays
    assert [taker.ask("write") for taker in takers] == ["did it"] * 2


@linux
def test_what_a_process_at_rest_has_mapped_is_not_held_against_its_work(
    takers: list[Taker],
) -> None:
    taker, _ = takers
    fences = Fences()
    fences.renew({taker.pid: False}, lambda: view(4.3))
    assert taker.ask("map", 300 * MB) == "did it"
    fences.renew({taker.pid: False}, lambda: view(0.5))
    assert taker.ask("take", 100 * MB) == "refused"
    for resting in (True, False):
        fences.renew({taker.pid: resting}, lambda: view(0.5))
        assert taker.ask("take", 100 * MB) == "did it"


@linux
def test_memory_is_read_after_the_processes_so_that_nothing_taken_meanwhile_is_forgotten(
    takers: list[Taker],
) -> None:
    taker, _ = takers
    left = 0.7

    def memory() -> MemoryView:
        assert taker.ask("map", 100 * MB) == "did it"
        return view(left)

    Fences().renew({taker.pid: False}, memory)
    assert taker.ask("take", 250 * MB) == "did it"
    assert taker.ask("take", 330 * MB) == "refused"


@linux
def test_a_worker_that_takes_too_much_answers_in_words_and_the_others_go_on(
    make_manager: MakeManager,
) -> None:
    small = MemoryView(4 * GB, None, int(0.7 * GB), "test")
    manager = make_manager(memory=lambda: small)
    other = Visit(manager, echo("other"), "hello")
    other.stats()
    Visit(manager, echo("greedy"), "hello").stats()
    failure = Visit(manager, echo("greedy"), f"/allocate {3 * GB}").failure()
    assert "the memory ran out" in failure.error
    assert Visit(manager, echo("greedy"), "hello").stats().output_tokens == 1
    assert Visit(manager, echo("other"), "hello").stats().output_tokens == 1


@linux
def test_a_load_that_takes_too_much_is_refused_before_any_round(make_manager: MakeManager) -> None:
    small = MemoryView(4 * GB, None, int(0.7 * GB), "test")
    manager = make_manager(memory=lambda: small)
    failure = Visit(manager, echo("greedy", allocate=3 * GB), "hello").failure()
    assert "the memory ran out" in failure.error


@linux
def test_other_work_within_the_budget_is_held_as_soon_as_it_has_a_process(
    make_manager: MakeManager, takers: list[Taker]
) -> None:
    small = MemoryView(4 * GB, None, int(0.7 * GB), "test")
    manager = make_manager(memory=lambda: small)
    told: list[SlmError] = []
    with manager.reserve("a run", 10 * MB, told.append) as reservation:
        reservation.started(takers[0].pid)
        assert takers[0].ask("take", 3 * GB) == "refused"
    assert takers[1].ask("take", 3 * GB) == "did it"


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

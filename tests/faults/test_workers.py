"""Workers that die, hang or never start: who asked is told why, and the next request works."""

# ruff: noqa: F811

from __future__ import annotations

import errno
import itertools
import multiprocessing.forkserver
import os
import random
import signal
import threading
import time
from pathlib import Path

import pytest

from slm_explorer.runtime.launcher import Launcher, LocalLauncher, Place, ThreadLauncher
from slm_explorer.runtime.wire import Alive
from slm_explorer.types import Delta, Failed, Loading, ModelSpec, Queued
from tests.runtime.conftest import MakeManager, counting, gate, local, make_manager  # noqa: F401
from tests.runtime.gated import Gate
from tests.runtime.visits import BLOCKER, PATIENCE_S, Clock, Counting, Visit, alive, echo

ROOT = Path(__file__).parent.parent.parent


def gone(*pids: int) -> bool:
    """Wait until no process of these numbers runs any more; a zombie without parent is none."""
    end = time.monotonic() + PATIENCE_S
    waiting = threading.Event()
    while any(map(running, pids)):
        if time.monotonic() > end:
            return False
        waiting.wait(0.02)
    return True


def running(pid: int) -> bool:
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return False
    return stat.rpartition(")")[2].split()[0] not in ("Z", "X")


def test_a_killed_worker_fails_its_request_and_those_in_line_are_answered_by_the_next(
    make_manager: MakeManager, counting: Counting
) -> None:
    manager = make_manager()
    ann = Visit(manager, echo(), BLOCKER, "ann")
    ann.until(Delta)
    others = [Visit(manager, echo(), f"for {name}", name) for name in ("bob", "cy")]
    for visit in others:
        visit.until(Queued)
    os.kill(counting.pids[0], signal.SIGKILL)
    failure = ann.failure()
    assert (failure.kind, ann.text) == ("WorkerCrashed", "first ")
    assert failure.error == (
        "The process that ran echo was ended by the system, likely out of memory (signal 9): "
        "unload another model or choose a smaller one."
    )
    for visit in others:
        visit.stats()
    assert [visit.text for visit in others] == ["for bob", "for cy"]
    assert Visit(manager, echo(), "next", "ann").stats().output_tokens == 1
    assert len(counting.places) == 2
    assert not alive(counting.pids[0])


def test_no_request_is_tried_more_than_twice(make_manager: MakeManager, counting: Counting) -> None:
    manager = make_manager()
    held = Visit(manager, echo(), BLOCKER, "ann")
    held.until(Delta)
    deadly = Visit(manager, echo(), "one /crash", "bob")
    deadly.until(Queued)
    unlucky = Visit(manager, echo(), "mine", "cy")
    unlucky.until(Queued)
    os.kill(counting.pids[0], signal.SIGKILL)
    for visit in (held, deadly, unlucky):
        assert visit.failure().kind == "WorkerCrashed"
    assert (deadly.text, unlucky.text) == ("one ", "")
    assert len(counting.places) == 2
    assert Visit(manager, echo(), "mine", "cy").stats().output_tokens == 1


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("one /exit 3", "ended unexpectedly (exit code 3): send the message again to load it anew"),
        ("one /exit 0", "ended unexpectedly (exit code 0)"),
    ],
)
def test_an_exit_code_is_named(make_manager: MakeManager, text: str, sentence: str) -> None:
    manager = make_manager()
    visit = Visit(manager, echo(), text)
    assert visit.failure().kind == "WorkerCrashed"
    assert sentence in visit.failure().error
    assert visit.text == "one "
    assert Visit(manager, echo(), "next").stats().output_tokens == 1


def test_a_crash_in_native_code_is_called_that(
    make_manager: MakeManager, counting: Counting
) -> None:
    visit = Visit(make_manager(), echo(), BLOCKER)
    visit.until(Delta)
    os.kill(counting.pids[0], signal.SIGSEGV)
    assert "crashed in native code (signal 11)" in visit.failure().error


def test_a_worker_that_dies_while_it_loads_fails_all_who_waited(
    make_manager: MakeManager, counting: Counting
) -> None:
    manager = make_manager()
    visits = [Visit(manager, echo(load_s=0.3, crash=True), "hi", name) for name in ("ann", "bob")]
    for visit in visits:
        assert visit.failure().kind == "WorkerCrashed"
        assert "likely out of memory" in visit.failure().error
    starts = len(counting.places)
    assert Visit(manager, echo(load_s=0.3, crash=True), "hi").failure().kind == "WorkerCrashed"
    assert len(counting.places) == starts + 1


def test_a_bug_in_the_engine_is_told_and_the_worker_goes_on(
    make_manager: MakeManager, counting: Counting
) -> None:
    manager = make_manager()
    failure = Visit(manager, echo(), "one /raise").failure()
    assert failure.kind == "WorkerError"
    assert "RuntimeError: the prompt asked for a bug" in failure.error
    assert "Traceback" in failure.trace
    assert "Traceback" not in failure.error
    assert Visit(manager, echo(), "next").stats().load_s == 0.0
    assert len(counting.places) == 1


def test_an_engine_that_hangs_is_ended_and_those_in_line_are_answered(
    make_manager: MakeManager, counting: Counting
) -> None:
    clock = Clock()
    manager = make_manager(clock=clock)
    hanging = Visit(manager, echo(), "one /hang", "ann")
    hanging.until(Delta)
    other = Visit(manager, echo(), "mine", "bob")
    other.until(Queued)
    clock.now += 121
    manager.check()
    assert hanging.failure().kind == "WorkerHung"
    assert "did not answer for 120 seconds" in hanging.failure().error
    assert other.stats().output_tokens == 1
    assert not alive(counting.pids[0])


def test_a_frozen_process_is_a_hung_one(make_manager: MakeManager, counting: Counting) -> None:
    clock = Clock()
    manager = make_manager(clock=clock)
    frozen = Visit(manager, echo(), "one /hang")
    frozen.until(Delta)
    os.kill(counting.pids[0], signal.SIGSTOP)
    clock.now += 121
    manager.check()
    assert frozen.failure().kind == "WorkerHung"
    assert Visit(manager, echo(), "next").stats().output_tokens == 1


def test_a_load_that_hangs_is_ended(make_manager: MakeManager, counting: Counting) -> None:
    clock = Clock()
    manager = make_manager(clock=clock)
    visits = [Visit(manager, echo(hang=True), "hi", name) for name in ("ann", "bob")]
    for visit in visits:
        visit.until(lambda event: isinstance(event, Loading) and event.fraction == 0.9)
    clock.now += 121
    manager.check()
    for visit in visits:
        assert visit.failure().kind == "WorkerHung"
        assert "did not load for 120 seconds" in visit.failure().error
    assert gone(*counting.pids)


def test_the_watchdog_finds_a_hung_engine_by_itself(make_manager: MakeManager) -> None:
    manager = make_manager(settings={"hang_timeout_s": 0.5})
    assert Visit(manager, echo(), "one /hang").failure().kind == "WorkerHung"


class Tapped:
    """A launcher whose workers' signs of life the test can wait for."""

    def __init__(self, launcher: Launcher) -> None:
        self._launcher = launcher
        self.alive = threading.Semaphore(0)

    def prewarm(self) -> None:
        self._launcher.prewarm()

    def start(self, spec: ModelSpec) -> Place:
        place = self._launcher.start(spec)
        receive = place.connection.recv

        def recv() -> object:
            message = receive()
            if isinstance(message, Alive):
                self.alive.release()
            return message

        place.connection.recv = recv  # type: ignore[method-assign]
        return place


def test_a_long_silence_is_no_hang_while_the_engine_looks_at_its_stop_flag(
    make_manager: MakeManager, local: LocalLauncher
) -> None:
    clock = Clock()
    tapped = Tapped(local)
    manager = make_manager(tapped, clock=clock)
    thinking = Visit(manager, echo(), "/slow 60 hm")
    for _ in range(3):
        clock.now += 100
        # When the second has come, the first has been heeded.
        for _ in range(2):
            assert tapped.alive.acquire(timeout=PATIENCE_S)
        manager.check()
    thinking.cancel.set()
    assert thinking.stats().finish_reason == "cancelled"


def test_an_engine_that_will_not_stop_is_ended(make_manager: MakeManager, gate: Gate) -> None:
    gate.load.set()
    clock = Clock()
    tapped = Tapped(ThreadLauncher())
    manager = make_manager(tapped, clock=clock)
    deaf = Visit(manager, ModelSpec(model="gated", path=None, engine="deaf"), "hello")
    deaf.until(Delta)
    deaf.cancel.set()
    # It gives signs of life all the time, so only the stop that was asked for counts.
    for _ in range(2):
        for _ in range(2):
            assert tapped.alive.acquire(timeout=PATIENCE_S)
        manager.check()
        assert deaf.reading
        clock.now += 70
    manager.check()
    assert deaf.failure().kind == "WorkerHung"


def test_a_launcher_that_cannot_start_says_so(
    make_manager: MakeManager, counting: Counting
) -> None:
    class Full(Counting):
        full = True

        def start(self, spec: ModelSpec) -> Place:
            if self.full:
                raise OSError(errno.EAGAIN, os.strerror(errno.EAGAIN))
            return super().start(spec)

    launcher = Full(counting)
    manager = make_manager(launcher)
    failure = Visit(manager, echo(), "hello").failure()
    assert failure.kind == "WorkerCrashed"
    assert "No process could be started for echo (Resource temporarily unavailable)" in (
        failure.error
    )
    launcher.full = False
    assert Visit(manager, echo(), "hello").stats().output_tokens == 1


def test_a_dead_forkserver_is_replaced_and_its_workers_can_still_be_ended(
    make_manager: MakeManager, counting: Counting
) -> None:
    manager = make_manager()
    held = Visit(manager, echo("old"), BLOCKER)
    held.until(Delta)
    server = multiprocessing.forkserver._forkserver._forkserver_pid  # type: ignore[attr-defined]
    os.kill(server, signal.SIGKILL)
    assert gone(server)
    assert Visit(manager, echo("new"), "hello").stats().output_tokens == 1
    (key,) = [state.key for state in manager.states() if state.spec.model == "old"]
    manager.unload(key)
    assert held.failure().kind == "Evicted"
    assert gone(counting.pids[0])


def test_workers_killed_at_random_lose_no_visitor(
    make_manager: MakeManager, counting: Counting
) -> None:
    manager = make_manager()
    chance = random.Random(7)
    stop = threading.Event()
    ends: list[str] = []

    def visitor(name: str) -> None:
        for number in itertools.count():
            if stop.is_set():
                return
            visit = Visit(manager, echo(), f"{name} {number} /slow 0.002 a b c d e f g", name)
            end = visit.end()
            if isinstance(end, Failed):
                assert end.kind == "WorkerCrashed", end
                ends.append("failed")
            else:
                assert visit.text == f"{name} {number} a b c d e f g"
                ends.append("done")

    threads = [threading.Thread(target=visitor, args=(f"v{n}",)) for n in range(6)]
    for thread in threads:
        thread.start()
    for _ in range(12):
        before = len(ends)
        while len(ends) < before + chance.randint(1, 6):
            stop.wait(0.005)
        for state in manager.states():
            if state.pid is not None and state.phase != "dead":
                os.kill(state.pid, signal.SIGKILL)
    stop.set()
    for thread in threads:
        thread.join(PATIENCE_S)
        assert not thread.is_alive()
    assert {"failed", "done"} == set(ends)
    assert Visit(manager, echo(), "fine").stats().output_tokens == 1
    assert len([pid for pid in counting.pids if running(pid)]) == 1


def test_unloading_while_the_process_starts_leaves_nothing(
    make_manager: MakeManager, counting: Counting
) -> None:
    manager = make_manager()
    visit = Visit(manager, echo(hang=True), "hello")
    visit.until(Loading)
    (state,) = manager.states()
    manager.unload(state.key)
    assert visit.failure().kind == "Evicted"
    assert gone(*counting.pids)

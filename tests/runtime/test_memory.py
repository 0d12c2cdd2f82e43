"""The budget and the watchdog, with real processes and figures that the test decides."""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from slm_explorer.errors import UnknownModel
from slm_explorer.runtime.launcher import Place
from slm_explorer.runtime.manager import MemoryView, ModelManager
from slm_explorer.types import Delta, Failed, Loading, ModelSpec
from tests.runtime.conftest import ROOMY, MakeManager
from tests.runtime.visits import BLOCKER, Clock, Counting, Visit, alive, ask, echo

MB = 10**6


def sized(sizes: dict[str, int]) -> Callable[[ModelSpec], int]:
    return lambda spec: sizes[spec.model]


def loaded(manager: ModelManager) -> list[str]:
    return sorted(state.spec.model for state in manager.states())


def test_the_least_recently_used_idle_worker_makes_room(make_manager: MakeManager) -> None:
    clock = Clock()
    manager = make_manager(
        footprint=sized({"a": 40 * MB, "b": 40 * MB, "c": 40 * MB, "d": 70 * MB}),
        settings={"memory_budget": 120 * MB},
        clock=clock,
    )
    for name in ("a", "b", "c", "a"):
        clock.now += 1
        Visit(manager, echo(name), "hello").stats()
    assert loaded(manager) == ["a", "b", "c"]
    clock.now += 1
    Visit(manager, echo("d"), "hello").stats()
    assert loaded(manager) == ["a", "d"]


def test_the_process_that_makes_room_is_gone_before_the_next_one_starts(
    make_manager: MakeManager, counting: Counting
) -> None:
    gone: list[bool] = []

    class Watching(Counting):
        def start(self, spec: ModelSpec) -> Place:
            gone.extend(not alive(pid) for pid in self.pids)
            return super().start(spec)

    watching = Watching(counting)
    manager = make_manager(
        watching, footprint=lambda _: 80 * MB, settings={"memory_budget": 100 * MB}
    )
    for name in ("a", "b", "c"):
        Visit(manager, echo(name), "hello").stats()
    assert gone == [True, True, True]


def test_busy_loading_and_leased_workers_are_not_asked_to_go(make_manager: MakeManager) -> None:
    manager = make_manager(footprint=lambda _: 30 * MB, settings={"memory_budget": 100 * MB})
    busy = Visit(manager, echo("busy"), BLOCKER)
    busy.until(Delta)
    loading = Visit(manager, echo("loading", hang=True), "hello")
    loading.until(lambda event: isinstance(event, Loading) and event.fraction > 0)
    with manager.lease(echo("leased"), visitor="ann", cancel=threading.Event()) as lease:
        assert lease.info.parameters == 0
        refused = Visit(manager, echo("fourth"), "hello").failure()
        assert refused.kind == "DoesNotFit"
        assert refused.error == (
            "fourth needs about 30 MB, 10 MB of the 100 MB budget is free, and the other loaded "
            "models are busy: stop one, or choose a smaller model."
        )
    assert Visit(manager, echo("fourth"), "hello").stats().output_tokens == 1
    assert loaded(manager) == ["busy", "fourth", "loading"]


def test_what_cannot_fit_is_refused_before_a_file_is_read_or_a_process_starts(
    make_manager: MakeManager, counting: Counting, tmp_path: Path
) -> None:
    checkpoint = tmp_path / "huge"
    checkpoint.mkdir()
    (checkpoint / "model.safetensors").write_bytes(b"never read")
    manager = make_manager(footprint=lambda _: 5 * 10**9, settings={"memory_budget": 10**9})
    spec = ModelSpec(model="huge", path=str(checkpoint), engine="torch")
    touched: list[str] = []
    listening = True

    def hook(event: str, arguments: tuple[object, ...]) -> None:
        if listening and event in ("open", "os.fork", "subprocess.Popen", "os.posix_spawn"):
            touched.append(f"{event} {arguments[:1]}")

    sys.addaudithook(hook)
    try:
        (event,) = manager.stream(spec, ask("hello"), threading.Event())
    finally:
        listening = False
    assert isinstance(event, Failed)
    assert event.kind == "DoesNotFit"
    assert "huge needs about 5.0 GB, more than the whole budget of 1.0 GB" in event.error
    assert touched == []
    assert counting.places == []
    assert manager.states() == ()


def test_the_number_of_workers_is_bounded(make_manager: MakeManager) -> None:
    manager = make_manager(settings={"max_workers": 2})
    held = Visit(manager, echo("a"), BLOCKER)
    held.until(Delta)
    for name in ("b", "c", "d"):
        Visit(manager, echo(name), "hello").stats()
    assert loaded(manager) == ["a", "d"]
    also = Visit(manager, echo("d"), BLOCKER)
    also.until(Delta)
    refused = Visit(manager, echo("e"), "hello").failure()
    assert refused.kind == "DoesNotFit"
    assert "all 2 loaded models are busy" in refused.error


def test_an_estimate_that_fails_is_the_answer(make_manager: MakeManager) -> None:
    def footprint(spec: ModelSpec) -> int:
        raise UnknownModel(f"There is no model called {spec.model}.")

    failure = Visit(make_manager(footprint=footprint), echo("ghost"), "hello").failure()
    assert (failure.kind, failure.error) == ("UnknownModel", "There is no model called ghost.")


def test_a_worker_that_outgrows_the_budget_is_ended_with_a_reason(
    make_manager: MakeManager, counting: Counting
) -> None:
    taken = {"old": 40 * MB, "new": 20 * MB}
    manager = make_manager(
        footprint=sized({"old": 50 * MB, "new": 30 * MB}),
        process_memory=lambda pid: taken["old" if pid == counting.pids[0] else "new"],
        settings={"memory_budget": 100 * MB},
    )
    old = Visit(manager, echo("old"), BLOCKER, "ann")
    old.until(Delta)
    new = Visit(manager, echo("new"), BLOCKER, "bob")
    new.until(Delta)
    manager.check()
    assert loaded(manager) == ["new", "old"]
    taken["new"] = 70 * MB
    manager.check()
    assert new.failure().kind == "Evicted"
    assert new.failure().error == (
        "new was unloaded because the loaded models took 110 MB of the 100 MB budget: unload "
        "another model or choose a smaller one, then try again."
    )
    assert not alive(counting.pids[1])
    old.cancel.set()
    assert old.stats().finish_reason == "cancelled"


def test_the_watchdog_comes_by_itself(make_manager: MakeManager) -> None:
    manager = make_manager(process_memory=lambda _: 200 * MB, settings={"memory_budget": 100 * MB})
    assert Visit(manager, echo(), BLOCKER).failure().kind == "Evicted"


def test_a_machine_that_runs_short_loses_a_model_before_the_kernel_takes_one(
    make_manager: MakeManager,
) -> None:
    view = ROOMY

    def memory() -> MemoryView:
        return view

    manager = make_manager(memory=memory, process_memory=lambda _: 5 * MB)
    visit = Visit(manager, echo(), BLOCKER)
    visit.until(Delta)
    view = replace(ROOMY, available=10**9)
    manager.check()
    assert "only 1.0 GB of this machine's memory was left" in visit.failure().error
    refused = Visit(manager, echo(), "hello").failure()
    assert refused.kind == "DoesNotFit"
    assert "of this machine's memory is free to use" in refused.error


def test_what_ending_workers_give_back_is_waited_for(
    make_manager: MakeManager, counting: Counting
) -> None:
    short = threading.Event()

    # The kernel has the pages of a process back when it is gone, and not before.
    def memory() -> MemoryView:
        held = short.is_set() and alive(counting.pids[0])
        return replace(ROOMY, available=0) if held else ROOMY

    manager = make_manager(memory=memory, process_memory=lambda _: 5 * MB)
    with manager.lease(echo("large"), visitor="ann", cancel=threading.Event()) as lease:
        assert lease.info.parameters == 0
        short.set()
        manager.check()
        assert Visit(manager, echo("small"), "hello").stats().output_tokens == 1


def test_what_a_worker_really_takes_counts_for_the_next_start(make_manager: MakeManager) -> None:
    manager = make_manager(
        footprint=lambda _: 30 * MB,
        process_memory=lambda _: 80 * MB,
        settings={"memory_budget": 100 * MB},
    )
    held = Visit(manager, echo("a"), BLOCKER)
    held.until(Delta)
    manager.check()
    assert "20 MB of the 100 MB budget is free" in Visit(manager, echo("b"), "x").failure().error


def test_an_idle_worker_is_unloaded_after_its_time_and_a_leased_one_is_not(
    make_manager: MakeManager,
) -> None:
    clock = Clock()
    manager = make_manager(clock=clock, settings={"idle_timeout_s": 60.0, "hang_timeout_s": 1e9})
    cancel = threading.Event()
    with manager.lease(echo("leased"), visitor="ann", cancel=cancel) as lease:
        assert lease.info.parameters == 0
        Visit(manager, echo("idle"), "hello").stats()
        busy = Visit(manager, echo("busy"), BLOCKER)
        busy.until(Delta)
        clock.now += 59
        manager.check()
        assert loaded(manager) == ["busy", "idle", "leased"]
        clock.now += 2
        manager.check()
        assert sorted(s.spec.model for s in manager.states() if s.phase != "stopping") == [
            "busy",
            "leased",
        ]
    busy.cancel.set()
    busy.stats()

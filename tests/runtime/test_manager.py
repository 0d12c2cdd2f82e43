"""One manager: loading, waiting, answering, stopping, unloading."""

from __future__ import annotations

import gc
import threading

import pytest

from slm_explorer.runtime.launcher import ThreadLauncher
from slm_explorer.runtime.manager import ModelManager
from slm_explorer.types import Delta, Done, Failed, Loading, ModelInfo, ModelSpec, Queued
from tests.runtime.conftest import MakeManager
from tests.runtime.gated import Gate
from tests.runtime.visits import BLOCKER, PATIENCE_S, Counting, Visit, alive, ask, echo


def phases(manager: ModelManager) -> list[str]:
    return [state.phase for state in manager.states()]


def settled(manager: ModelManager, *wanted: str) -> bool:
    """Whether the workers come to be in these phases, seen from a visitor's own thread."""
    waiting = threading.Event()
    for _ in range(int(PATIENCE_S / 0.01)):
        if phases(manager) == list(wanted):
            return True
        waiting.wait(0.01)
    return False


def test_the_first_request_loads_and_the_second_finds_it_warm(
    make_manager: MakeManager, counting: Counting
) -> None:
    noted: list[tuple[ModelSpec, ModelInfo, int, int | None]] = []
    manager = make_manager(on_load=lambda *facts: noted.append(facts))
    assert manager.states() == ()
    first = Visit(manager, echo(load_s=0.05), "a b c")
    stats = first.stats()
    assert first.text == "a b c"
    assert first.fractions == sorted(first.fractions)
    assert first.fractions[0] == 0.0
    assert first.fractions[-1] == 1.0
    assert stats.load_s is not None
    assert stats.load_s >= 0.05
    second = Visit(manager, echo(load_s=0.05), "d e f")
    assert second.stats().load_s == 0.0
    assert second.text == "d e f"
    assert second.fractions == []
    assert len(counting.places) == 1
    (state,) = manager.states()
    assert (state.phase, state.pid, state.waiting) == ("idle", counting.pids[0], 0)
    assert state.info is not None
    ((spec, info, predicted, peak),) = noted
    assert (spec, info, predicted) == (state.spec, state.info, 10**7)
    assert peak is not None
    assert state.peak_memory_bytes is not None
    assert 0 < peak <= state.peak_memory_bytes


def test_two_visitors_load_one_model_once(
    make_manager: MakeManager, gate: Gate, gated: ModelSpec
) -> None:
    manager = make_manager(ThreadLauncher())
    visits = [Visit(manager, gated, f"for {name}", name) for name in ("ann", "bob", "cy")]
    for visit in visits:
        visit.until(lambda e: isinstance(e, Loading) and e.stage == "waiting for the gate")
    gate.load.set()
    assert [visit.stats().output_tokens for visit in visits] == [2, 2, 2]
    assert [visit.text for visit in visits] == ["for ann", "for bob", "for cy"]
    assert gate.loads == 1


def test_a_load_outlives_the_visitor_who_began_it(
    make_manager: MakeManager, gate: Gate, gated: ModelSpec
) -> None:
    manager = make_manager(ThreadLauncher())
    ann = Visit(manager, gated, "ann's", "ann")
    ann.until(Loading)
    bob = Visit(manager, gated, "bob's", "bob")
    bob.until(Queued)
    ann.cancel.set()
    assert ann.failure().kind == "Cancelled"
    bob.until(lambda event: event == Queued(0))
    gate.load.set()
    bob.stats()
    assert (bob.text, gate.loads, gate.served) == ("bob's", 1, ["bob: bob's"])


def test_a_load_that_nobody_waits_for_is_given_up(
    make_manager: MakeManager, counting: Counting
) -> None:
    manager = make_manager()
    ann = Visit(manager, echo(hang=True), "never")
    ann.until(lambda event: isinstance(event, Loading) and event.fraction > 0)
    ann.cancel.set()
    assert ann.failure().kind == "Cancelled"
    assert settled(manager)
    assert not alive(counting.pids[0])


def test_a_failed_load_fails_for_all_who_waited_and_is_tried_anew(
    make_manager: MakeManager, counting: Counting
) -> None:
    manager = make_manager()
    broken = echo(load_s=0.3, fail="The file is cut off: download it again.")
    visits = [Visit(manager, broken, "hello", name) for name in ("ann", "bob")]
    for visit in visits:
        assert visit.failure().kind == "BadCheckpoint"
        assert visit.failure().error == "The file is cut off: download it again."
        assert "echo.py" in visit.failure().trace
    assert settled(manager)
    assert Visit(manager, broken, "hello").failure().kind == "BadCheckpoint"
    assert len(counting.places) == 2


def test_three_visitors_take_turns_and_hear_their_place(
    make_manager: MakeManager, gate: Gate, gated: ModelSpec
) -> None:
    gate.load.set()
    manager = make_manager(ThreadLauncher())
    running = Visit(manager, gated, BLOCKER, "zoe")
    running.until(Delta)
    waiting = {}
    for name, ahead in (("a1", 1), ("a2", 2), ("a3", 3), ("b1", 2), ("b2", 4), ("c1", 3)):
        waiting[name] = Visit(manager, gated, name, name[0])
        waiting[name].until(Queued)
        assert waiting[name].ahead[0] == ahead
    running.cancel.set()
    assert running.stats().finish_reason == "cancelled"
    for visit in waiting.values():
        visit.stats()
    assert gate.served[1:] == ["a: a1", "b: b1", "c: c1", "a: a2", "b: b2", "a: a3"]
    assert [waiting[name].text for name in waiting] == list(waiting)
    # Others came in between before its turn came nearer.
    assert waiting["a3"].ahead == [3, 4, 5, 6, 5, 4, 3, 2, 1]
    assert waiting["c1"].ahead == [3, 2, 1]
    queue_s = [waiting[n].stats().queue_s for n in ("a1", "b1", "c1", "a2", "b2", "a3")]
    assert all(seconds is not None and seconds > 0 for seconds in queue_s)


def test_a_stopped_request_leaves_the_line_and_those_behind_move_up(
    make_manager: MakeManager,
) -> None:
    manager = make_manager()
    running = Visit(manager, echo(), BLOCKER, "zoe")
    running.until(Delta)
    ann = Visit(manager, echo(), "never", "ann")
    ann.until(Queued)
    bob = Visit(manager, echo(), "mine", "bob")
    bob.until(Queued)
    ann.cancel.set()
    assert ann.failure().kind == "Cancelled"
    bob.until(lambda event: event == Queued(1))
    assert running.events[-1] == Delta("first ", 1)
    running.cancel.set()
    bob.stats()
    assert (ann.text, bob.text, bob.ahead) == ("", "mine", [2, 1])


def test_stopping_a_running_request_frees_its_worker(
    make_manager: MakeManager, counting: Counting
) -> None:
    manager = make_manager()
    visit = Visit(manager, echo(), BLOCKER)
    visit.until(Delta)
    assert phases(manager) == ["busy"]
    visit.cancel.set()
    stats = visit.stats()
    assert (stats.finish_reason, stats.output_tokens, visit.text) == ("cancelled", 1, "first ")
    assert phases(manager) == ["idle"]
    assert Visit(manager, echo(), "next").stats().finish_reason == "stop"
    assert len(counting.places) == 1


def test_a_request_stopped_before_it_began_starts_nothing(
    make_manager: MakeManager, counting: Counting
) -> None:
    cancel = threading.Event()
    cancel.set()
    (event,) = make_manager().stream(echo(), ask("hello"), cancel)
    assert isinstance(event, Failed)
    assert event.kind == "Cancelled"
    assert counting.places == []


@pytest.mark.parametrize("way", ["close", "drop"])
def test_a_reader_that_goes_away_frees_the_worker(make_manager: MakeManager, way: str) -> None:
    manager = make_manager()
    stream = manager.stream(echo(), ask(BLOCKER), threading.Event())
    assert any(isinstance(event, Delta) for event in stream)
    assert phases(manager) == ["busy"]
    if way == "close":
        stream.close()  # type: ignore[attr-defined]
    else:
        # A cycle, so that the garbage collector is what ends it.
        cycle: list[object] = [stream]
        cycle.append(cycle)
        del stream, cycle
        gc.collect()
    assert settled(manager, "idle")
    assert Visit(manager, echo(), "next").stats().output_tokens == 1


def test_a_reader_that_goes_away_while_it_waits_leaves_the_line(
    make_manager: MakeManager,
) -> None:
    manager = make_manager()
    running = Visit(manager, echo(), BLOCKER, "zoe")
    running.until(Delta)
    stream = manager.stream(echo(), ask("never", "ann"), threading.Event())
    assert next(stream) == Queued(1)
    bob = Visit(manager, echo(), "mine", "bob")
    bob.until(lambda event: event == Queued(2))
    stream.close()  # type: ignore[attr-defined]
    bob.until(lambda event: event == Queued(1))
    running.cancel.set()
    assert bob.stats().output_tokens == 1


def test_a_slow_reader_holds_up_nobody_and_loses_nothing(make_manager: MakeManager) -> None:
    manager = make_manager()
    text = " ".join(map(str, range(5000)))
    slow = manager.stream(echo(), ask(text, max_tokens=8192), threading.Event())
    events = [next(slow)]
    assert Visit(manager, echo(), "quick", "bob").stats().output_tokens == 1
    assert settled(manager, "idle"), "the slow reader's answer is done, read or not"
    events += list(slow)
    assert "".join(event.text for event in events if isinstance(event, Delta)) == text
    assert sum(event.tokens for event in events if isinstance(event, Delta)) == 5000
    assert len(events) < 100
    assert isinstance(events[-1], Done)


def test_equal_specs_share_a_worker_and_others_do_not(
    make_manager: MakeManager, counting: Counting
) -> None:
    manager = make_manager()
    specs = [echo(), echo(), echo(threads=2), echo(recipe="f32"), echo(load_s=0.01)]
    for spec in specs:
        Visit(manager, spec, "hello").stats()
    assert len(counting.places) == 4
    assert len({state.key for state in manager.states()}) == 4


def test_two_models_answer_at_the_same_time(make_manager: MakeManager) -> None:
    manager = make_manager()
    held = Visit(manager, echo("one"), BLOCKER)
    held.until(Delta)
    assert Visit(manager, echo("two"), "meanwhile").stats().output_tokens == 1
    held.cancel.set()
    held.stats()


def test_unloading_ends_the_process_and_the_running_request(
    make_manager: MakeManager, counting: Counting
) -> None:
    manager = make_manager()
    running = Visit(manager, echo(), BLOCKER, "ann")
    running.until(Delta)
    waiting = Visit(manager, echo(), "next in line", "bob")
    waiting.until(Queued)
    (state,) = manager.states()
    manager.unload(state.key)
    assert manager.states() == ()
    assert not alive(counting.pids[0])
    for visit in (running, waiting):
        assert visit.failure().kind == "Evicted"
        assert "echo was unloaded" in visit.failure().error
    manager.unload(state.key)  # gone already
    assert Visit(manager, echo(), "again").stats().output_tokens == 1


def test_closing_ends_everything_and_is_idempotent(
    make_manager: MakeManager, counting: Counting
) -> None:
    manager = make_manager()
    running = Visit(manager, echo("one"), BLOCKER)
    running.until(Delta)
    loading = Visit(manager, echo("two", hang=True), "never")
    loading.until(lambda event: isinstance(event, Loading) and event.fraction > 0)
    manager.close()
    manager.close()
    assert running.failure().kind == "Evicted"
    assert loading.failure().kind == "Evicted"
    assert manager.states() == ()
    assert not any(alive(pid) for pid in counting.pids)
    assert Visit(manager, echo(), "too late").failure().kind == "Evicted"
    assert len(counting.places) == 2


def test_two_managers_do_not_disturb_each_other(make_manager: MakeManager) -> None:
    one, two = make_manager(), make_manager()
    visits = [Visit(manager, echo(), BLOCKER) for manager in (one, two)]
    for visit in visits:
        visit.until(Delta)
    one.close()
    assert visits[0].failure().kind == "Evicted"
    assert phases(two) == ["busy"]
    visits[1].cancel.set()
    assert visits[1].stats().finish_reason == "cancelled"
    assert Visit(two, echo(), "fine").stats().output_tokens == 1

"""Many visitors of one model: together they get what each gets alone, and nobody's harm is
another's.
"""

from __future__ import annotations

import itertools
import os
import signal
from collections.abc import Callable
from dataclasses import replace

import pytest

from slm_explorer.assets import asset_folder
from slm_explorer.runtime.manager import ModelManager
from slm_explorer.types import (
    Delta,
    Done,
    Event,
    Failed,
    GenerateRequest,
    Loading,
    Message,
    ModelSpec,
    Queued,
    Sampling,
)
from tests.runtime.conftest import MakeManager
from tests.runtime.test_torch_worker import TINY
from tests.runtime.visits import Counting, Visit, alive

SPROUT = ModelSpec("sprout-1m", str(asset_folder() / "sprouts" / "sprout-1m"))
TOGETHER = 16
QUESTIONS = ("What is the capital of France?", "Tell me a story about a fox.", "What is 3 plus 4?")
_ids = itertools.count()


def question(at: int) -> GenerateRequest:
    """Greedy mostly; every fourth is drawn with a seed of its own."""
    temperature = 1.0 if at % 4 == 3 else 0.0
    return GenerateRequest(
        id=str(next(_ids)),
        visitor=f"visitor {at}",
        sampling=Sampling(
            temperature=temperature, seed=at, max_tokens=20 + 3 * at, ignore_eos=at > 2
        ),
        messages=(Message("user", QUESTIONS[at % 3] + " Please." * (at // 3)),),
    )


def endless(visitor: str, **changes: object) -> GenerateRequest:
    """More tokens than any test waits for."""
    asked = GenerateRequest(
        id=str(next(_ids)),
        visitor=visitor,
        sampling=Sampling(max_tokens=8192, ignore_eos=True),
        prompt_ids=(5, 6, 7),
    )
    return replace(asked, **changes)  # type: ignore[arg-type]


def short(visitor: str, **changes: object) -> GenerateRequest:
    return endless(visitor, sampling=Sampling(max_tokens=3, ignore_eos=True), **changes)


def written(visit: Visit) -> int:
    return sum(event.tokens for event in visit.events if isinstance(event, Delta))


def behind(count: int) -> Callable[[Event], bool]:
    """Told that so many come first."""
    return lambda event: event == Queued(count)


def goes_on(visit: Visit) -> None:
    """It writes more than it has now."""
    now = written(visit)
    visit.until(lambda _: written(visit) > now)


def fill(manager: ModelManager) -> list[Visit]:
    """A full batch of endless answers, all at work."""
    visits = [Visit(manager, TINY, endless(f"early {n}")) for n in range(TOGETHER)]
    for visit in visits:
        visit.until(Delta)
    return visits


def test_sixteen_visitors_get_what_each_gets_alone(
    make_manager: MakeManager, counting: Counting
) -> None:
    manager = make_manager()
    # Asked while the model loads, so that they all begin at once.
    visits = [Visit(manager, SPROUT, question(at)) for at in range(TOGETHER)]
    together = [visit.stats() for visit in visits]
    assert max(stats.batch for stats in together) > 3
    assert all(stats.energy is None or not stats.energy.known for stats in together)
    for at, (visit, stats) in enumerate(zip(visits, together, strict=True)):
        alone = Visit(manager, SPROUT, question(at))
        assert alone.stats().batch == 1
        assert visit.text == alone.text
        assert visit.text
        assert stats.output_tokens == alone.stats().output_tokens == written(visit)
        assert stats.finish_reason == alone.stats().finish_reason
        assert stats.seed == alone.stats().seed
        assert stats.ttft_s is not None
    assert len(counting.places) == 1
    (state,) = manager.states()
    assert state.phase == "idle"
    assert state.tokens == 2 * sum(stats.output_tokens for stats in together)


@pytest.mark.parametrize("way", ["stop", "close"])
def test_one_leaves_and_the_others_go_on(make_manager: MakeManager, way: str) -> None:
    manager = make_manager()
    visits = fill(manager)
    leaver, *others = visits
    if way == "stop":
        leaver.cancel.set()
        stats = leaver.stats()
        assert (stats.finish_reason, stats.output_tokens) == ("cancelled", written(leaver))
    else:
        leaver.leave()
    late = Visit(manager, TINY, short("late"))
    assert late.stats().output_tokens == 3, "the seat is free again"
    for other in others:
        goes_on(other)
        other.cancel.set()
    assert {other.stats().finish_reason for other in others} == {"cancelled"}


def test_a_killed_worker_fails_all_of_its_answers_and_the_next_one_works(
    make_manager: MakeManager, counting: Counting
) -> None:
    manager = make_manager()
    visits = fill(manager)
    waiting = Visit(manager, TINY, short("waiting"))
    waiting.until(Queued)
    os.kill(counting.pids[0], signal.SIGKILL)
    for visit in visits:
        failure = visit.failure()
        assert failure.kind == "WorkerCrashed"
        assert failure.error.count("TINY".lower()) == 1
    assert waiting.stats().output_tokens == 3, "who had only waited is served by the next worker"
    assert not alive(counting.pids[0])


def test_who_is_next_when_the_batch_is_full(make_manager: MakeManager) -> None:
    manager = make_manager()
    running = fill(manager)
    greedy = [Visit(manager, TINY, endless("greedy"))]
    greedy[0].until(behind(1))
    for turn in range(2, 5):
        greedy.append(Visit(manager, TINY, endless("greedy")))
        greedy[-1].until(behind(turn))
    modest = Visit(manager, TINY, endless("modest"))
    modest.until(behind(2))
    for leaver in running[:2]:
        leaver.cancel.set()
        leaver.stats()
    modest.until(Delta)
    greedy[0].until(Delta)
    assert written(greedy[1]) == 0
    greedy[1].until(behind(1))
    for visit in (*running[2:], *greedy, modest):
        visit.cancel.set()
    for visit in (*running[2:], modest):
        assert visit.stats().finish_reason == "cancelled"


def test_what_is_measured_runs_alone_and_nobody_overtakes_it(make_manager: MakeManager) -> None:
    manager = make_manager()
    early = [Visit(manager, TINY, endless(name)) for name in ("ann", "bob")]
    for visit in early:
        visit.until(Delta)
    measured = Visit(manager, TINY, short("bench", exclusive=True))
    measured.until(behind(1))
    late = Visit(manager, TINY, short("late"))
    late.until(behind(2))
    early[0].cancel.set()
    early[0].stats()
    goes_on(early[1])
    assert (written(measured), written(late)) == (0, 0)
    early[1].cancel.set()
    assert measured.stats().batch == 1
    assert late.stats().output_tokens == 3


def test_a_request_that_cannot_be_answered_fails_by_itself(make_manager: MakeManager) -> None:
    manager = make_manager()
    fine = Visit(manager, TINY, endless("fine"))
    fine.until(Delta)
    wrong = Visit(manager, TINY, short("wrong", prompt_ids=(5, 100_000)))
    assert wrong.failure().kind == "InvalidRequest"
    goes_on(fine)
    fine.cancel.set()
    assert fine.stats().finish_reason == "cancelled"


def test_unloading_ends_everybody_with_a_reason(make_manager: MakeManager) -> None:
    manager = make_manager()
    visits = fill(manager)
    manager.unload(manager.states()[0].key)
    assert {visit.failure().kind for visit in visits} == {"Evicted"}
    again = Visit(manager, TINY, short("again"))
    again.until(Loading)
    assert isinstance(again.end(), Done)
    assert not any(isinstance(event, Failed) for event in again.events)

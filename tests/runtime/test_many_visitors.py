"""Twenty visitors at one small worker: every answer is whole, their own, and in its turn."""

from __future__ import annotations

import threading

from slm_explorer.runtime.launcher import ThreadLauncher
from slm_explorer.types import Delta, Done, Event, GenerationStats, ModelSpec, Queued
from tests.runtime.conftest import MakeManager
from tests.runtime.gated import Gate
from tests.runtime.visits import BLOCKER, PATIENCE_S, Counting, Visit, ask, echo

VISITORS = 20
ROUNDS = 6


def test_no_answer_is_mixed_up_and_no_token_is_lost(
    make_manager: MakeManager, counting: Counting
) -> None:
    manager = make_manager()
    answers: dict[tuple[int, int], list[Event]] = {}

    def visitor(number: int) -> None:
        for turn in range(ROUNDS):
            text = " ".join(f"{number}.{turn}.{word}" for word in range(50))
            request = ask(text, f"visitor {number}")
            answers[number, turn] = list(manager.stream(echo(), request, threading.Event()))

    threads = [threading.Thread(target=visitor, args=(n,)) for n in range(VISITORS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(PATIENCE_S)
        assert not thread.is_alive()
    assert len(answers) == VISITORS * ROUNDS
    for (number, turn), events in answers.items():
        deltas = [event for event in events if isinstance(event, Delta)]
        assert "".join(delta.text for delta in deltas) == " ".join(
            f"{number}.{turn}.{word}" for word in range(50)
        )
        assert sum(delta.tokens for delta in deltas) == 50
        last = events[-1]
        assert isinstance(last, Done)
        assert isinstance(last.stats, GenerationStats)
        assert last.stats.output_tokens == 50
        # Nobody waits for more than one turn of everybody else.
        ahead = [event.ahead for event in events if isinstance(event, Queued)]
        assert max(ahead, default=0) < VISITORS
    assert len(counting.places) == 1


def test_turns_go_round_however_much_one_visitor_asks(
    make_manager: MakeManager, gate: Gate, gated: ModelSpec
) -> None:
    gate.load.set()
    manager = make_manager(ThreadLauncher())
    running = Visit(manager, gated, BLOCKER, "first")
    running.until(Delta)
    visits = []
    for number in range(VISITORS):
        for turn in range(ROUNDS if number else 3 * ROUNDS):
            visits.append(Visit(manager, gated, f"{turn}", f"{number}"))
            visits[-1].until(Queued)
    running.cancel.set()
    for visit in visits:
        visit.stats()
    served = [line.partition(":")[0] for line in gate.served[1:]]
    everybody = {str(number) for number in range(VISITORS)}
    for turn in range(ROUNDS):
        assert set(served[turn * VISITORS : (turn + 1) * VISITORS]) == everybody
    assert set(served[ROUNDS * VISITORS :]) == {"0"}
    of_zero = [line for line in gate.served if line.startswith("0:")]
    assert of_zero == [f"0: {turn}" for turn in range(3 * ROUNDS)]

from __future__ import annotations

import threading

from slm_explorer.runtime.mailbox import Mailbox
from slm_explorer.types import (
    Delta,
    Done,
    Event,
    Failed,
    Loading,
    Queued,
    ScoreStats,
    TokenDetail,
)

DONE = Done(ScoreStats(()))


def drain(mailbox: Mailbox) -> list[Event]:
    events = []
    while (event := mailbox.get(0)) is not None:
        events.append(event)
    return events


def test_a_quick_reader_gets_every_event_as_it_was() -> None:
    mailbox = Mailbox()
    sent: list[Event] = [Queued(2), Queued(1), Loading(0.1), Delta("a", 1), Delta("b", 1), DONE]
    for event in sent:
        mailbox.put(event)
    assert drain(mailbox) == sent


def test_for_a_slow_reader_text_joins_up_and_news_replaces_news() -> None:
    mailbox = Mailbox()
    for number in range(10_000):
        mailbox.put(Delta(f"{number} ", 1, (TokenDetail(f"{number} ", -1.0),)))
        mailbox.put(Queued(number))
        mailbox.put(Loading(number / 10_000))
    mailbox.put(DONE)
    events = drain(mailbox)
    assert len(events) < 100
    deltas = [event for event in events if isinstance(event, Delta)]
    assert "".join(delta.text for delta in deltas) == "".join(f"{n} " for n in range(10_000))
    assert sum(delta.tokens for delta in deltas) == 10_000
    assert sum(len(delta.details) for delta in deltas) == 10_000
    assert [event for event in events if isinstance(event, Queued)][-1] == Queued(9_999)
    assert events[-1] == DONE


def test_nothing_follows_the_final_event() -> None:
    mailbox = Mailbox()
    for event in (Failed("first"), DONE, Delta("late", 1), Failed("second")):
        mailbox.put(event)
    assert drain(mailbox) == [Failed("first")]


def test_a_waiting_reader_is_woken() -> None:
    mailbox = Mailbox()
    got: list[Event | None] = []
    reader = threading.Thread(target=lambda: got.append(mailbox.get(60)))
    reader.start()
    mailbox.put(Delta("now", 1))
    reader.join(30)
    assert got == [Delta("now", 1)]

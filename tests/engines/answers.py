"""Asking an engine, and what it said."""

from __future__ import annotations

import threading
from dataclasses import dataclass
from typing import Any

from slm_explorer.engines.base import Engine, StopFlag
from slm_explorer.tasks import TaskInput, TaskRequest, TaskStats
from slm_explorer.types import (
    Delta,
    Done,
    GenerateRequest,
    GenerationStats,
    Message,
    Sampling,
    ScoreRequest,
    ScoreStats,
)


@dataclass(frozen=True)
class Said:
    """One finished answer."""

    deltas: list[Delta]
    stats: GenerationStats

    @property
    def text(self) -> str:
        return "".join(delta.text for delta in self.deltas)

    @property
    def tokens(self) -> int:
        return sum(delta.tokens for delta in self.deltas)


class StopAfter:
    """A stop flag that is set once it has been asked `polls` times."""

    def __init__(self, polls: int) -> None:
        self._left = polls

    def is_set(self) -> bool:
        self._left -= 1
        return self._left < 0


def user(text: str) -> tuple[Message, ...]:
    return (Message("user", text),)


def request(
    sampling: Sampling | None = None,
    *,
    chat: str | None = None,
    alternatives: int = 0,
    **prompt: Any,
) -> GenerateRequest:
    return GenerateRequest(
        id="1",
        visitor="test",
        sampling=sampling or Sampling(max_tokens=24),
        chat=chat,
        alternatives=alternatives,
        **prompt,
    )


def ask(engine: Engine, asked: GenerateRequest, stop: StopFlag | None = None) -> Said:
    """Run the request to its end, which must be its only Done."""
    events = list(engine.generate(asked, stop or threading.Event()))
    done = [event for event in events if isinstance(event, Done)]
    assert done == events[-1:], "exactly one Done, at the end"
    assert isinstance(done[0].stats, GenerationStats)
    return Said([event for event in events if isinstance(event, Delta)], done[0].stats)


def score(engine: Engine, text: str, window: int = 512) -> ScoreStats:
    asked = ScoreRequest(id="1", visitor="test", text=text, window=window)
    *_progress, done = engine.score(asked, threading.Event())
    assert isinstance(done, Done)
    assert isinstance(done.stats, ScoreStats)
    return done.stats


def task(engine: Engine, given: TaskInput, stop: StopFlag | None = None) -> TaskStats:
    """Perform the task to its end, which must be its only Done."""
    events = list(engine.perform(TaskRequest("1", "test", given), stop or threading.Event()))
    done = [event for event in events if isinstance(event, Done)]
    assert done == events[-1:], "exactly one Done, at the end"
    assert isinstance(done[0].stats, TaskStats)
    return done[0].stats

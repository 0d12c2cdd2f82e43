"""What the app did and when: the marks on the meters' time axis, so that cause and effect show."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

EventKind = Literal["load", "evict", "answer", "compress", "alarm"]
KINDS: tuple[EventKind, ...] = ("load", "evict", "answer", "compress", "alarm")
_KEPT = 2000


@dataclass(frozen=True)
class Mark:
    """One event at `at` (unix seconds), in words that hold no text of a visitor."""

    at: float
    kind: EventKind
    text: str


class EventLog:
    """The newest events. Any thread may call it; `note` never blocks on anything slow."""

    def __init__(self, clock: Callable[[], float] = time.time) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._marks: deque[Mark] = deque(maxlen=_KEPT)

    def note(self, kind: EventKind, text: str) -> None:
        """Remember that this has just happened."""
        mark = Mark(self._clock(), kind, text)
        with self._lock:
            self._marks.append(mark)

    def since(self, at: float) -> tuple[Mark, ...]:
        """The marks from `at` (unix seconds) on, oldest first."""
        with self._lock:
            return tuple(mark for mark in self._marks if mark.at >= at)

"""How often somebody may do something, and how long others have to wait."""

from __future__ import annotations

from collections import deque
from statistics import median


class Allowance:
    """At most `count` times in any `seconds`. Not thread-safe: its owner's lock guards it."""

    def __init__(self, count: int, seconds: float) -> None:
        self._count = count
        self._seconds = seconds
        self._taken: deque[float] = deque()

    def wait_s(self, now: float) -> float:
        """Seconds until it is allowed again; 0.0 where it is."""
        while self._taken and now - self._taken[0] >= self._seconds:
            self._taken.popleft()
        full = len(self._taken) >= self._count
        return self._seconds - (now - self._taken[0]) if full else 0.0

    def take(self, now: float) -> float:
        """The same, and it is counted where it is allowed."""
        wait = self.wait_s(now)
        if not wait:
            self._taken.append(now)
        return wait


class WrongTries:
    """Wrong join codes by the address they came from; one may stand for a whole class. Not
    thread-safe.
    """

    _PER_MINUTE = 60
    _ADDRESSES = 10_000

    def __init__(self) -> None:
        self._wrong: dict[str, Allowance] = {}

    def wait_s(self, address: str, now: float) -> float:
        """Seconds until another try is heard; 0.0 where it is."""
        wrong = self._wrong.get(address)
        return wrong.wait_s(now) if wrong else 0.0

    def note(self, address: str, now: float) -> None:
        if len(self._wrong) >= self._ADDRESSES:
            self._wrong.clear()
        self._wrong.setdefault(address, Allowance(self._PER_MINUTE, 60.0)).take(now)


class Pace:
    """How long an answer has waited for its turn, for each request that was in line before it.

    Measured on answers of this class only; the newest of each model.
    """

    _KEPT = 30

    def __init__(self) -> None:
        self._seconds: dict[str, deque[float]] = {}

    def note(self, model: str, waiting: int, queue_s: float) -> None:
        """An answer that found the model busy and `waiting` requests in line has begun after
        `queue_s` seconds.
        """
        kept = self._seconds.setdefault(model, deque(maxlen=self._KEPT))
        kept.append(queue_s / (waiting + 1))

    def wait_s(self, model: str, waiting: int) -> float | None:
        """Seconds that one more request would wait behind `waiting` others and whoever is being
        answered; None where nothing was measured.
        """
        kept = self._seconds.get(model)
        return median(kept) * (waiting + 1) if kept else None

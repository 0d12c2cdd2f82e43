"""A thread that looks after the workers, and whose turn it is to go."""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable, Sequence
from typing import Generic, TypeVar

from slm_explorer.runtime.budget import END_AT, WARN_AT, Claim, MemoryView, fullness

T = TypeVar("T")


# A round costs a millisecond; memory is taken at a gigabyte a second.
CALM_S = 1.0
BUSY_S = 0.25
ALERT_S = 0.05


def next_round(memory: MemoryView, *, busy: bool) -> float:
    """Seconds until the watchdog looks again: soon where memory may run out meanwhile."""
    if fullness(memory) >= WARN_AT:
        return ALERT_S
    return BUSY_S if busy else CALM_S


class _Now:
    """Asks for a round at once."""


_NOW = _Now()


class Watchdog(Generic[T]):
    """Calls `check`, which says after how many seconds it wants to be called again, and `heard`
    at once for everything reported.

    `report` takes no lock, so that it may be called from wherever the garbage collector
    happens to run.
    """

    def __init__(self, check: Callable[[], float], heard: Callable[[T], None]) -> None:
        self._check = check
        self._heard = heard
        self._reports: queue.SimpleQueue[T | _Now | None] = queue.SimpleQueue()
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """Start the thread where it does not run yet; not from two threads at once."""
        if self._thread is None:
            self._thread = threading.Thread(target=self._watch, name="watchdog", daemon=True)
            self._thread.start()

    def report(self, item: T) -> None:
        self._reports.put(item)

    def hurry(self) -> None:
        """Look now: something has begun that may take memory."""
        self._reports.put(_NOW)

    def stop(self) -> None:
        """End the thread and wait for it."""
        if self._thread is not None:
            self._reports.put(None)
            self._thread.join()

    def _watch(self) -> None:
        due = time.monotonic() + BUSY_S
        while True:
            item: T | _Now | None
            try:
                item = self._reports.get(timeout=max(0.0, due - time.monotonic()))
            except queue.Empty:
                item = _NOW
            if isinstance(item, _Now):
                due = time.monotonic() + self._check()
                continue
            if item is None:
                return
            self._heard(item)


def offender(claims: Sequence[Claim], total: int, memory: MemoryView) -> str | None:
    """Key of the worker to end before the kernel chooses one, None where all is well.

    `claims` come in the order of their start. All is well while the workers together keep
    within `total` bytes, and less than END_AT of the true limit is taken. Otherwise it is the
    newest of those that take more than was predicted for them; where nobody does, whoever has
    been idle longest, and at last the newest.
    """
    used = sum(claim.measured or 0 for claim in claims)
    short = fullness(memory) >= END_AT
    if not claims or (used <= total and not short):
        return None
    for claim in reversed(claims):
        if (claim.measured or 0) > claim.predicted:
            return claim.key
    idle = [claim for claim in claims if claim.idle_s is not None]
    if idle:
        return max(idle, key=lambda claim: claim.idle_s or 0.0).key
    return claims[-1].key

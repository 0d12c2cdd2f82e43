"""The processes of this app: itself, and whatever it has started, each with its part."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass

import psutil

# Looking through all processes of a machine costs milliseconds; helpers live for minutes.
REFRESH_S = 5.0

# What a command line says of a process, the first match counts.
_PARTS = (
    ("multiprocessing.forkserver", "libraries shared by all models"),
    ("multiprocessing.resource_tracker", "resource tracker"),
    ("slm_explorer.compression", "compression"),
    ("slm_explorer.hub", "download"),
)


@dataclass(frozen=True)
class Member:
    """A process that the app has started, and what it is there for."""

    pid: int
    part: str


class Family:
    """The app's helper processes: its descendants but for the workers. Not thread-safe."""

    def __init__(
        self, root: int | None = None, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._root = os.getpid() if root is None else root
        self._clock = clock
        self._looked_at: float | None = None
        self._workers: frozenset[int] = frozenset()
        self._parts: dict[int, str] = {}

    def helpers(self, workers: Iterable[int]) -> tuple[Member, ...]:
        """Looked up anew every REFRESH_S, and when the workers change."""
        known = frozenset(workers)
        now = self._clock()
        due = self._looked_at is None or not 0 <= now - self._looked_at < REFRESH_S
        if due or known != self._workers:
            self._looked_at, self._workers = now, known
            found = set(self._descendants()) - known
            self._parts = {
                pid: self._parts[pid] if pid in self._parts else _part(pid) for pid in found
            }
        return tuple(Member(pid, part) for pid, part in sorted(self._parts.items()))

    def _descendants(self) -> list[int]:
        try:
            children = psutil.Process(self._root).children(recursive=True)
        except (psutil.Error, OSError):
            return []
        return [child.pid for child in children]


def _part(pid: int) -> str:
    try:
        words = " ".join(psutil.Process(pid).cmdline())
    except (psutil.Error, OSError):
        return "helper"
    return next((part for mark, part in _PARTS if mark in words), "helper")

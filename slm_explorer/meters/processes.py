"""Memory and CPU of single processes.

PSS (a page shared by n processes counts as 1/n) adds up to a true total; USS is what ending
the process frees; RSS counts shared pages in full and must never be summed.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass

import psutil


@dataclass(frozen=True)
class ProcessReading:
    """Bytes, and percent of one core since the previous reading (None at the first).

    `pss` and `uss` are None where the system does not tell them, or not of this process.
    """

    rss: int
    uss: int | None
    pss: int | None
    cpu_percent: float | None


@dataclass(frozen=True)
class _Previous:
    created: float
    cpu_seconds: float
    at: float


def private_bytes(pid: int) -> int | None:
    """USS of a process: what ending it frees. None where it has vanished or is hidden."""
    reading = ProcessReader().read((pid,))[pid]
    return reading.uss if reading is not None else None


class ProcessReader:
    """Reads processes and keeps what the next CPU percentages need. Not thread-safe."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._previous: dict[int, _Previous] = {}

    def read(self, pids: Iterable[int]) -> dict[int, ProcessReading | None]:
        """A reading for each pid; None where it has vanished. Forgets all other pids."""
        kept: dict[int, _Previous] = {}
        readings: dict[int, ProcessReading | None] = {}
        for pid in pids:
            try:
                readings[pid], kept[pid] = self._read(pid)
            except (psutil.Error, OSError, ValueError):  # ended, or hidden from this user
                readings[pid] = None
        self._previous = kept
        return readings

    def _read(self, pid: int) -> tuple[ProcessReading, _Previous]:
        process = psutil.Process(pid)
        with process.oneshot():
            if process.status() == psutil.STATUS_ZOMBIE:
                raise psutil.ZombieProcess(pid)
            times = process.cpu_times()
            now = _Previous(process.create_time(), times.user + times.system, self._clock())
            rss = int(process.memory_info().rss)
        try:
            full = process.memory_full_info()
            uss, pss = int(full.uss), getattr(full, "pss", None)
        except psutil.AccessDenied:
            uss, pss = None, None
        return ProcessReading(
            rss=rss,
            uss=uss,
            pss=None if pss is None else int(pss),
            cpu_percent=self._cpu_percent(self._previous.get(pid), now),
        ), now

    @staticmethod
    def _cpu_percent(before: _Previous | None, now: _Previous) -> float | None:
        # A pid with another creation time is another process.
        if before is None or before.created != now.created or now.at <= before.at:
            return None
        return max(0.0, 100 * (now.cpu_seconds - before.cpu_seconds) / (now.at - before.at))

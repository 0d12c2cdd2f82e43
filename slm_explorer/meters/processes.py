"""Memory and CPU of single processes.

PSS (a page shared by n processes counts as 1/n) adds up to a true total; USS is what ending
the process frees; RSS counts shared pages in full and must never be summed.

To tell PSS and USS the kernel walks all pages of a process, milliseconds for a large one, so
they are read anew only where the RSS, which costs nothing, has moved, or the reading is old.
"""

from __future__ import annotations

import os
import sys
import threading
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from pathlib import Path

import psutil

# A change of RSS below this share of it tells nothing new of the process.
_MOVED = 0.005
# Pages that a process shares change owners without its RSS moving: this is how long that hides.
STALE_S = 10.0

_PAGE = os.sysconf("SC_PAGE_SIZE") if hasattr(os, "sysconf") else 4096
TICK_S = 1 / (os.sysconf("SC_CLK_TCK") if hasattr(os, "sysconf") else 100)
"""How finely the kernel counts CPU time."""


@dataclass(frozen=True)
class ProcessReading:
    """Bytes, and percent of one core since the previous reading (None at the first).

    `pss` and `uss` are None where the system does not tell them, or not of this process; `mapped`
    is the part of the PSS that is files. `cpu_seconds` is since its start. `age_s` is how old `pss`
    and `uss` are: while the RSS stands still they are kept for up to STALE_S.
    """

    rss: int
    uss: int | None
    pss: int | None
    cpu_percent: float | None
    mapped: int | None = None
    cpu_seconds: float = 0.0
    age_s: float = 0.0


@dataclass(frozen=True)
class _Times:
    """What tells one process from another of the same number, and what it has used."""

    created: float
    cpu_seconds: float


@dataclass(frozen=True)
class _Pages:
    """What a walk over all pages found, bytes."""

    uss: int | None
    pss: int | None
    mapped: int | None


@dataclass(frozen=True)
class _Previous:
    times: _Times
    at: float
    rss: int
    pages: _Pages
    walked_at: float


def cpu_seconds(pid: int) -> float | None:
    """CPU seconds of a process since its start, all threads; None where it has vanished."""
    try:
        return _times(pid).cpu_seconds
    except (psutil.Error, OSError, ValueError):
        return None


class ProcessReader:
    """Reads processes and keeps what the next readings need. Any thread may call it."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._previous: dict[int, _Previous] = {}
        # Those that `read` is not asked for: where there are no meters, all of them.
        self._apart: dict[int, _Previous] = {}

    def read(self, pids: Iterable[int]) -> dict[int, ProcessReading | None]:
        """A reading for each pid; None where it has vanished. Forgets all other pids."""
        asked = tuple(pids)
        with self._lock:
            # Whoever comes or goes shares pages with the others: all have to be walked again.
            fresh = set(asked) != set(self._previous)
            kept: dict[int, _Previous] = {}
            readings: dict[int, ProcessReading | None] = {}
            for pid in asked:
                try:
                    readings[pid], kept[pid] = self._read(pid, fresh)
                except (psutil.Error, OSError, ValueError):  # ended, or hidden from this user
                    readings[pid] = None
            self._previous = kept
            self._apart.clear()
        return readings

    def private_bytes(self, pid: int) -> int | None:
        """USS of a process: what ending it frees. None where it has vanished or is hidden."""
        with self._lock:
            try:
                reading, previous = self._read(pid, fresh=False)
            except (psutil.Error, OSError, ValueError):
                self._apart.pop(pid, None)
                return None
            before = self._previous.get(pid)
            if before is not None:
                # The CPU share goes on from the reading that the meters took.
                self._previous[pid] = replace(previous, times=before.times, at=before.at)
            else:
                self._apart[pid] = previous
        return reading.uss

    def _read(self, pid: int, fresh: bool) -> tuple[ProcessReading, _Previous]:
        now = self._clock()
        times = _times(pid)
        rss = _rss(pid)
        before = self._previous.get(pid) or self._apart.get(pid)
        # A pid with another start is another process.
        if before is not None and before.times.created != times.created:
            before = None
        if before is None or fresh or _worth_walking(before, rss, now):
            pages, walked_at = _walk(pid), now
        else:
            pages, walked_at = before.pages, before.walked_at
        percent = None
        if before is not None and now > before.at:
            used = times.cpu_seconds - before.times.cpu_seconds
            percent = max(0.0, 100 * used / (now - before.at))
        reading = ProcessReading(
            rss, pages.uss, pages.pss, percent, pages.mapped, times.cpu_seconds, now - walked_at
        )
        return reading, _Previous(times, now, rss, pages, walked_at)


def private_bytes(pid: int) -> int | None:
    """USS of a process, read now; None where it has vanished or is hidden."""
    return ProcessReader().private_bytes(pid)


def _worth_walking(before: _Previous, rss: int, now: float) -> bool:
    age = now - before.walked_at
    moved = abs(rss - before.rss) > _MOVED * max(1, before.rss)
    return moved or not 0 <= age < STALE_S


def _times(pid: int) -> _Times:
    """Start and CPU seconds. Raises ProcessLookupError or psutil.Error for one that has ended."""
    if sys.platform != "linux":
        process = psutil.Process(pid)
        with process.oneshot():
            if process.status() == psutil.STATUS_ZOMBIE:
                raise psutil.ZombieProcess(pid)
            used = process.cpu_times()
            return _Times(process.create_time(), used.user + used.system)
    # The name, in parentheses, may hold spaces and parentheses itself. Fields: proc(5).
    fields = Path(f"/proc/{pid}/stat").read_text("utf-8", "replace").rpartition(")")[2].split()
    if fields[0] in ("Z", "X"):
        raise ProcessLookupError(pid)
    return _Times(float(fields[19]), (int(fields[11]) + int(fields[12])) * TICK_S)


def _rss(pid: int) -> int:
    if sys.platform != "linux":
        return int(psutil.Process(pid).memory_info().rss)
    return int(Path(f"/proc/{pid}/statm").read_text("ascii").split()[1]) * _PAGE


def _walk(pid: int) -> _Pages:
    """What the system tells of a process's pages; None what it does not."""
    if sys.platform == "linux":
        found = _rollup(pid)
        if found is not None:
            return found
    try:
        full = psutil.Process(pid).memory_full_info()
    except psutil.AccessDenied:
        return _Pages(None, None, None)
    pss = getattr(full, "pss", None)
    return _Pages(int(full.uss), None if pss is None else int(pss), None)


def _rollup(pid: int) -> _Pages | None:
    """The kernel's own sums over a process's mappings; None before Linux 4.14."""
    try:
        text = Path(f"/proc/{pid}/smaps_rollup").read_text("ascii", "replace")
    except FileNotFoundError:
        return None
    except PermissionError:
        return _Pages(None, None, None)
    sizes: dict[str, int] = {}
    for line in text.splitlines()[1:]:
        name, _, rest = line.partition(":")
        sizes[name] = int(rest.split()[0]) * 1024
    private = ("Private_Clean", "Private_Dirty", "Private_Hugetlb")
    return _Pages(
        sum(sizes.get(name, 0) for name in private), sizes.get("Pss"), sizes.get("Pss_File")
    )

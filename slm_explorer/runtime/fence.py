"""How far each process may grow before its own allocation fails: limits that the kernel holds.

A watchdog looks a few times a second, and memory is taken at a gigabyte a second. So each round,
and before any work begins, the kernel is told how much each may still take; what asks for more
gets a MemoryError, which is an answer in words, and neither the app nor any other worker ends.

What is mapped is not taken until it is written to, and a limit holds the mapping only. So what
somebody has mapped and not yet written to is theirs already, and is not given to anybody again.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from slm_explorer.runtime.budget import END_AT, MemoryView

# What any answer may need for itself; below that an alarm of a moment would fail honest work.
LEAST_GROWTH = 64 * 10**6


def room_to_grow(memory: MemoryView, promised: int, parts: int) -> int:
    """Bytes that each of `parts` processes may map, where `promised` are mapped already and not
    yet written to: what is left below END_AT of the true limit, divided among them.

    Past that LEAST_GROWTH, while all of them together leave half of what is above END_AT to
    what is no worker's; and at last nothing.
    """
    left = memory.available - promised
    above = (1 - END_AT) * memory.limit
    least = min(LEAST_GROWTH, (left - above / 2) / parts)
    return max(0, int((left - above) / parts), int(least))


class Fences:
    """The limits of all processes that may take memory now. Not for two threads at once."""

    def __init__(self) -> None:
        self._at_rest: dict[int, int] = {}

    def renew(self, working: Mapping[int, bool], memory: Callable[[], MemoryView]) -> MemoryView:
        """Divide anew what is left among the processes of this user that work or are about to
        begin: their pids, and whether each is still at rest. Returns what `memory` says.

        What a process at rest has mapped and not written to (stacks, what the allocator keeps
        for the next time) is never held against the work that follows.
        """
        sizes = {pid: size for pid in working if (size := _size(pid)) is not None}
        # Read after the sizes, so that what is taken in between counts twice and never not at all.
        view = memory()
        self._at_rest = {
            pid: size.untouched if working[pid] else self._at_rest.get(pid, size.untouched)
            for pid, size in sizes.items()
        }
        promised = sum(max(0, sizes[pid].untouched - rest) for pid, rest in self._at_rest.items())
        for pid, size in sizes.items():
            limit_data(pid, size.mapped + room_to_grow(view, promised, len(sizes)))
        return view


def limit_data(pid: int, size: int) -> None:
    """Let that process of this user map `size` bytes in all (RLIMIT_DATA, setrlimit(2)).

    Nothing happens where the system has no such limit (macOS, Windows), or it has ended.
    """
    if sys.platform != "linux":
        return
    import resource

    with suppress(OSError, ValueError):  # ended, or the host has set a hard limit of its own
        _, hard = resource.prlimit(pid, resource.RLIMIT_DATA)
        resource.prlimit(pid, resource.RLIMIT_DATA, (size, hard))


@dataclass(frozen=True)
class _Size:
    """Bytes mapped as private and writable, what RLIMIT_DATA counts, and those never written to."""

    mapped: int
    untouched: int


def _size(pid: int) -> _Size | None:
    """None where the system does not tell it, or the process has ended."""
    found: dict[str, int] = {}
    with suppress(OSError, ValueError, IndexError):
        for line in Path(f"/proc/{pid}/status").read_text("utf-8", "replace").splitlines():
            key, _, value = line.partition(":")
            if key in ("VmData", "RssAnon", "VmSwap"):
                found[key] = int(value.split()[0]) * 1024
    if "VmData" not in found:
        return None
    # A kernel before 4.5 does not tell RssAnon: nothing is known to be untouched then.
    written = found.get("RssAnon", found["VmData"]) + found.get("VmSwap", 0)
    return _Size(found["VmData"], max(0, found["VmData"] - written))

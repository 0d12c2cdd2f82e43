"""How far a worker may grow before its own allocation fails: a limit that the kernel holds.

A watchdog looks a few times a second, and memory is taken at a gigabyte a second. So each round
also tells the kernel how much each worker may still take; what asks for more gets a MemoryError,
which is an answer in words, and neither the app nor any other worker ends.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from slm_explorer.runtime.budget import END_AT, Claim, MemoryView

# What any answer may need for itself; below that an alarm of a moment would fail honest work.
LEAST_GROWTH = 64 * 10**6


def room_to_grow(claims: Sequence[Claim], memory: MemoryView) -> int:
    """Bytes that each worker may take at once: what is left below END_AT of the true limit,
    divided among those that are at work and one more, which may begin before the next round.
    Never less than LEAST_GROWTH: the watchdog still stands behind it.
    """
    left = memory.available - (1 - END_AT) * memory.limit
    active = sum(claim.idle_s is None for claim in claims)
    parts = max(1, active) if active == len(claims) else active + 1
    return max(LEAST_GROWTH, int(left / parts))


def fence(pid: int, growth: int) -> None:
    """Let that process of this user map `growth` bytes more (RLIMIT_DATA, setrlimit(2)).

    Nothing happens where the system has no such limit (macOS, Windows), or it has ended.
    """
    if sys.platform != "linux":
        return
    import resource

    data = _mapped(pid)
    if data is None:
        return
    with suppress(OSError, ValueError):  # ended, or the host has set a hard limit of its own
        _, hard = resource.prlimit(pid, resource.RLIMIT_DATA)
        resource.prlimit(pid, resource.RLIMIT_DATA, (data + growth, hard))


def _mapped(pid: int) -> int | None:
    """Bytes that the process has mapped as private and writable, what RLIMIT_DATA counts."""
    with suppress(OSError, ValueError, IndexError):
        for line in Path(f"/proc/{pid}/status").read_text("utf-8", "replace").splitlines():
            if line.startswith("VmData:"):
                return int(line.split()[1]) * 1024
    return None

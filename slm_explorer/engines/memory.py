"""The private memory of this process, from the kernel's own books. Standard library only."""

from __future__ import annotations

import ctypes
from dataclasses import dataclass
from pathlib import Path

_KIB = 1024


@dataclass(frozen=True)
class PrivateMemory:
    """Bytes that only this process holds: now, and at most so far. None is unknown."""

    now: int | None
    peak: int | None


def private_memory() -> PrivateMemory:
    """Unique set size (USS): Private_Clean + Private_Dirty of /proc/self/smaps_rollup.

    The kernel keeps no peak of the USS, so the peak is USS + (VmHWM - VmRSS): the pages that
    the process has given back since its largest resident size were private ones, while the
    shared pages (libraries preloaded by the forkserver) count neither here nor there. Both
    are None where the kernel has no smaps_rollup (before Linux 4.14, macOS, Windows).
    """
    rollup = _kib_fields(Path("/proc/self/smaps_rollup"))
    status = _kib_fields(Path("/proc/self/status"))
    clean, dirty = rollup.get("Private_Clean"), rollup.get("Private_Dirty")
    if clean is None or dirty is None:
        return PrivateMemory(None, None)
    now = clean + dirty
    high, resident = status.get("VmHWM"), status.get("VmRSS")
    if high is None or resident is None:
        return PrivateMemory(now, None)
    return PrivateMemory(now, now + max(0, high - resident))


def return_freed_memory() -> None:
    """Give the system back what was freed while a model loaded: glibc keeps it otherwise.

    The fused copies of lean.py leave a tenth of a model's size behind. Nothing happens where
    the C library has no malloc_trim (musl, macOS, Windows).
    """
    try:
        trim = ctypes.CDLL(None).malloc_trim
    except (AttributeError, OSError, TypeError):
        return
    trim(0)


def _kib_fields(path: Path) -> dict[str, int]:
    """Lines such as `VmRSS:  5120 kB` as bytes; empty where the file does not exist."""
    try:
        lines = path.read_text(encoding="ascii", errors="replace").splitlines()
    except OSError:
        return {}
    fields: dict[str, int] = {}
    for line in lines:
        name, _, value = line.partition(":")
        words = value.split()
        if len(words) == 2 and words[1] == "kB" and words[0].isdigit():
            fields[name] = fields.get(name, 0) + int(words[0]) * _KIB
    return fields

"""Numbers in words, the same on the page and in the terminal."""

from __future__ import annotations


def format_bytes(count: float) -> str:
    """Decimal units with three significant digits: 1.23 GB."""
    for unit in ("B", "kB", "MB", "GB"):
        if abs(count) < 999.5:
            return f"{count:.3g} {unit}"
        count /= 1000
    return f"{count:.3g} TB"


def format_duration(seconds: float) -> str:
    """One unit, whole numbers but below ten seconds: 2.5 s, 40 s, 12 min, 3 h."""
    if seconds < 9.95:
        return f"{seconds:.1f} s"
    for unit, length in (("s", 60), ("min", 60)):
        if seconds < 2 * length:
            return f"{seconds:.0f} {unit}"
        seconds /= length
    return f"{seconds:.0f} h"

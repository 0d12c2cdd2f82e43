"""Numbers in words, the same on the page and in the terminal."""

from __future__ import annotations


def format_bytes(count: float) -> str:
    """Decimal units with three significant digits: 1.23 GB."""
    for unit in ("B", "kB", "MB", "GB"):
        if abs(count) < 999.5:
            return f"{count:.3g} {unit}"
        count /= 1000
    return f"{count:.3g} TB"

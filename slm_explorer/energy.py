"""Joules as a value: measured, estimated as a range, or unknown with the reason."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True)
class Energy:
    """Joules spent on something, above what the machine takes when idle where that is known.

    Measured: both ends are one figure. Estimated: a range. Unknown: both None, and `reason` says
    why. `method` names how it is known ("measured: RAPL ...", "estimated: ...", "n/a").
    """

    joules_low: float | None
    joules_high: float | None
    method: str
    reason: str | None = None

    @property
    def known(self) -> bool:
        return self.joules_low is not None and self.joules_high is not None


def no_energy(reason: str) -> Energy:
    """Unknown, and why."""
    return Energy(None, None, "n/a", reason)


def total_energy(parts: Iterable[Energy]) -> Energy:
    """The sum; unknown as soon as one part is, because a part of a sum would pass for the sum."""
    low = high = 0.0
    methods: list[str] = []
    for part in parts:
        if part.joules_low is None or part.joules_high is None:
            return no_energy(part.reason or "n/a: one of the parts is unknown")
        low, high = low + part.joules_low, high + part.joules_high
        if part.method not in methods:
            methods.append(part.method)
    if not methods:
        return no_energy("n/a: nothing has been done yet")
    return Energy(low, high, "; ".join(methods))

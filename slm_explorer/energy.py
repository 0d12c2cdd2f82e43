"""Joules as a value: measured, estimated as a range, or unknown with the reason."""

from __future__ import annotations

from dataclasses import dataclass, replace

_LEFT_OUT = "answers whose energy is unknown are not in it"


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


def plus(total: Energy | None, part: Energy) -> Energy:
    """The sum so far and one more part; an unknown part is left out, and the method says so."""
    if total is None or not total.known:
        return part
    if part.joules_low is None or part.joules_high is None:
        return (
            total
            if _LEFT_OUT in total.method
            else replace(total, method=f"{total.method}; {_LEFT_OUT}")
        )
    assert total.joules_low is not None
    assert total.joules_high is not None
    method = total.method if part.method in total.method else part.method
    if _LEFT_OUT in total.method and _LEFT_OUT not in method:
        method = f"{method}; {_LEFT_OUT}"
    return Energy(total.joules_low + part.joules_low, total.joules_high + part.joules_high, method)


def energy_row(energy: Energy | None) -> dict[str, object]:
    """Under the command line's keys."""
    spent = energy or no_energy("n/a: nothing measured it")
    return {
        "joules_low": spent.joules_low,
        "joules_high": spent.joules_high,
        "energy_method": spent.reason or spent.method,
    }

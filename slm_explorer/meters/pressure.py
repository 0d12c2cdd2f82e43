"""Pressure stall information (PSI): the share of time in which work waited for a resource.

https://docs.kernel.org/accounting/psi.html. A container's own figure where it has one (control
groups v2), else the machine's.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from slm_explorer.meters.cgroups import groups, lines

Resource = Literal["cpu", "memory", "io"]


@dataclass(frozen=True)
class Pressure:
    """Share of the last ten seconds, 0..1, in which some (`some`) or all (`full`) tasks waited.

    Both None with a `reason` where the kernel does not tell; `source` names the file.
    """

    some: float | None
    full: float | None
    source: str = ""
    reason: str | None = None


def read_pressure(resource: Resource, *, root: Path = Path("/")) -> Pressure:
    """The pressure on a resource; never raises."""
    places = [
        (group.folder / f"{resource}.pressure", f"cgroup v2 {resource}.pressure")
        for group in groups(root, "memory")
        if group.v2
    ]
    places.append((root / "proc" / "pressure" / resource, f"/proc/pressure/{resource}, machine"))
    for path, source in places:
        shares = {}
        for line in lines(path):
            kind, _, rest = line.partition(" ")
            shares[kind] = _ten_seconds(rest)
        if shares.get("some") is not None:
            return Pressure(shares["some"], shares.get("full"), source)
    return Pressure(None, None, reason="n/a: this kernel tells no pressure (PSI)")


def _ten_seconds(text: str) -> float | None:
    for word in text.split():
        name, _, value = word.partition("=")
        if name == "avg10":
            try:
                return min(1.0, max(0.0, float(value) / 100))
            except ValueError:
                return None
    return None

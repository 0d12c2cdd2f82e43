"""The processor's own energy counters: RAPL, through Linux's powercap files.

https://docs.kernel.org/power/powercap/powercap.html. Counted are the packages (sockets) and,
beside them, the memory where it has a zone. A package's "core" and "uncore" zones are parts of
it already, and "psys" counts the packages again.
"""

from __future__ import annotations

import threading
from dataclasses import dataclass
from pathlib import Path

from slm_explorer.meters.cgroups import lines, number


@dataclass(frozen=True)
class Counter:
    """Joules since this app began to count, None with the `reason`."""

    joules: float | None
    reason: str | None = None


class RaplMeter:
    """Adds the zones up and unwraps them. Any thread may call it.

    A counter wraps after minutes to hours of full load; read at least that often it is right.
    """

    def __init__(self, root: Path = Path("/")) -> None:
        self._folder = root / "sys" / "class" / "powercap"
        self._lock = threading.Lock()
        self._before: dict[Path, int] = {}
        self._microjoules = 0

    def read(self) -> Counter:
        """Never raises: a zone that is missing or hidden makes the whole unknown."""
        with self._lock:
            return self._read()

    def _read(self) -> Counter:
        zones = self._zones()
        if not zones:
            return Counter(
                None, "n/a: this machine shows no RAPL counters (virtual ones rarely do)"
            )
        now: dict[Path, int] = {}
        for zone in zones:
            raw = number(zone / "energy_uj")
            if raw is None:
                self._before = {}
                return Counter(
                    None, "n/a: the RAPL counters may not be read by this user (root only)"
                )
            now[zone] = raw
        for zone, raw in now.items():
            passed = raw - self._before.get(zone, raw)
            if passed < 0:
                passed += number(zone / "max_energy_range_uj") or 0
            self._microjoules += max(0, passed)
        self._before = now
        return Counter(self._microjoules / 1e6)

    def _zones(self) -> list[Path]:
        try:
            found = sorted(self._folder.glob("intel-rapl:*"))
        except OSError:
            return []
        names = {zone: next(lines(zone / "name"), "") for zone in found}
        return [z for z, name in names.items() if name.startswith("package") or name == "dram"]

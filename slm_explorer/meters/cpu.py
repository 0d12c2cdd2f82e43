"""The cores: how busy each is, how fast, and what a hypervisor or a quota takes away."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import psutil

from slm_explorer.meters.cgroups import lines, number
from slm_explorer.meters.limits import cpu_limit, group_cpu_seconds
from slm_explorer.meters.pressure import read_pressure
from slm_explorer.meters.readings import Detail, DeviceReading


@dataclass(frozen=True)
class CpuReading:
    """The device's row, and each core's busy share 0..1 (empty at the first reading).

    `busy_core_seconds` is the machine's CPU time so far that was not idle, all cores together.
    """

    device: DeviceReading
    cores: tuple[float, ...]
    busy_core_seconds: float


@dataclass(frozen=True)
class _Core:
    total: float
    idle: float
    stolen: float


class CpuMeter:
    """Keeps what rates need between two readings. Not thread-safe."""

    def __init__(
        self,
        *,
        root: Path = Path("/"),
        env: Mapping[str, str] | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._root = root
        self._env = env
        self._clock = clock
        self._cores_before: tuple[_Core, ...] = ()
        self._group_before: tuple[float, float] | None = None

    def read(self) -> CpuReading:
        """With a quota, utilization is the share of the quota that the container uses; else of
        all cores.
        """
        now = _core_times()
        before, self._cores_before = self._cores_before, now
        same = len(before) == len(now)
        pairs = list(zip(before, now, strict=True)) if same else []
        cores = tuple(_busy(old, new) for old, new in pairs)
        limit = cpu_limit(root=self._root, env=self._env)
        utilization, source = self._own_share(limit.cores), "this container's own use"
        if utilization is None:
            utilization = sum(cores) / len(cores) if cores else None
            source = "all cores of the machine"
        device = DeviceReading(
            "cpu",
            f"CPU ({limit.cores:g} cores)",
            utilization=utilization,
            source=f"{limit.source}; {source}",
            reason=None if utilization is not None else "n/a: known from the second reading on",
            details=(
                Detail("cores", limit.cores, "cores", limit.source),
                self._frequency(),
                _stolen(pairs),
                self._pressure(),
            ),
        )
        return CpuReading(device, cores, sum(core.total - core.idle for core in now))

    def _own_share(self, cores: float) -> float | None:
        used = group_cpu_seconds(root=self._root) if cores < (os.cpu_count() or 1) else None
        now = None if used is None else (self._clock(), used)
        before, self._group_before = self._group_before, now
        if before is None or now is None or now[0] <= before[0]:
            return None
        return min(1.0, max(0.0, (now[1] - before[1]) / (now[0] - before[0]) / cores))

    def _frequency(self) -> Detail:
        """The mean over all cores, where the kernel or the processor tells."""
        folder = self._root / "sys" / "devices" / "system" / "cpu"
        current = [
            number(folder / f"cpu{core}" / "cpufreq" / "scaling_cur_freq")
            for core in range(os.cpu_count() or 1)
        ]
        told = [kilohertz for kilohertz in current if kilohertz]
        if told:
            return Detail("frequency", sum(told) / len(told) * 1000, "Hz", "cpufreq, now")
        marked = []
        for line in lines(self._root / "proc" / "cpuinfo"):
            name, _, value = line.partition(":")
            if name.strip() == "cpu MHz" and value.strip().replace(".", "", 1).isdigit():
                marked.append(float(value))
        if marked:
            mean = sum(marked) / len(marked)
            return Detail("frequency", mean * 1e6, "Hz", "/proc/cpuinfo; may be the nominal one")
        return Detail("frequency", None, "Hz", "n/a: neither cpufreq nor /proc/cpuinfo tells it")

    def _pressure(self) -> Detail:
        found = read_pressure("cpu", root=self._root)
        return Detail("waited for CPU", found.some, "share", found.reason or found.source)


def _core_times() -> tuple[_Core, ...]:
    # Time for guests (fields 8 and 9 on Linux) is in user and nice already.
    return tuple(
        _Core(sum(core[:8]), core.idle + getattr(core, "iowait", 0.0), getattr(core, "steal", 0.0))
        for core in psutil.cpu_times(percpu=True)
    )


def _busy(before: _Core, now: _Core) -> float:
    passed = now.total - before.total
    busy = passed - (now.idle - before.idle)
    return min(1.0, max(0.0, busy / passed)) if passed > 0 else 0.0


def _stolen(pairs: list[tuple[_Core, _Core]]) -> Detail:
    """The share of all core time that the hypervisor gave to other machines."""
    if not hasattr(psutil.cpu_times(), "steal"):
        return Detail("stolen", None, "share", "n/a: this system tells no steal time")
    passed = sum(now.total - before.total for before, now in pairs)
    if passed <= 0:
        return Detail("stolen", None, "share", "n/a: known from the second reading on")
    stolen = sum(now.stolen - before.stolen for before, now in pairs)
    return Detail("stolen", min(1.0, max(0.0, stolen / passed)), "share", "/proc/stat, steal")

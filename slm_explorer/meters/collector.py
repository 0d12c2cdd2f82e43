"""Takes one snapshot: asks every meter once and puts the answers together."""

from __future__ import annotations

import dataclasses
import os
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import psutil

from slm_explorer.meters.disk import DiskMeter
from slm_explorer.meters.gpu import GpuMeter
from slm_explorer.meters.limits import cpu_limit, group_cpu_seconds, read_memory
from slm_explorer.meters.processes import ProcessReader, ProcessReading
from slm_explorer.meters.readings import DeviceReading, Snapshot
from slm_explorer.types import WorkerState


class Collector:
    """The meters of this machine. Keeps what rates need between two snapshots.

    `root` and `env` are where limits are looked up, see meters.limits. Not thread-safe.
    """

    def __init__(
        self,
        cache_folders: Sequence[Path] = (),
        nvml: Any | None = None,
        *,
        root: Path = Path("/"),
        env: Mapping[str, str] | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._root = root
        self._env = env
        self._clock = clock
        self._processes = ProcessReader(clock)
        self._disk = DiskMeter(cache_folders, clock)
        self._gpu = GpuMeter(nvml)
        self._cores_before: tuple[tuple[float, float], ...] = ()
        self._group_before: tuple[float, float] | None = None

    def collect(
        self, at: float, workers: Sequence[WorkerState], budget_bytes: int | None
    ) -> Snapshot:
        """The snapshot of this moment. A meter that fails is n/a; the others still answer."""
        me = os.getpid()
        pids = [worker.pid for worker in workers if worker.pid is not None]
        readings = self._processes.read([me, *pids])
        app = readings[me]
        cores = self._cores()
        gpus = self._gpu.read()
        return Snapshot(
            at=at,
            cores=cores,
            devices=(
                self._cpu(cores),
                self._memory(),
                *_swap(),
                *self._disk.read(),
                *gpus.devices,
            ),
            workers=tuple(_filled(worker, readings) for worker in workers),
            app_pss_bytes=app.pss if app else None,
            app_uss_bytes=app.uss if app else None,
            app_cpu_percent=app.cpu_percent if app else None,
            budget_bytes=budget_bytes,
            gpu_reason=gpus.reason,
        )

    def _cores(self) -> tuple[float, ...]:
        """Each core's busy share since the previous snapshot; empty at the first."""
        times = psutil.cpu_times(percpu=True)
        now = tuple((sum(core[:8]), core.idle + getattr(core, "iowait", 0.0)) for core in times)
        before, self._cores_before = self._cores_before, now
        if len(before) != len(now):
            return ()
        shares = []
        for (total, idle), (total_before, idle_before) in zip(now, before, strict=True):
            passed = total - total_before
            busy = passed - (idle - idle_before)
            shares.append(min(1.0, max(0.0, busy / passed)) if passed > 0 else 0.0)
        return tuple(shares)

    def _cpu(self, cores: tuple[float, ...]) -> DeviceReading:
        """With a quota, the share of the quota that the container uses; else of all cores."""
        limit = cpu_limit(root=self._root, env=self._env)
        used = group_cpu_seconds(root=self._root) if limit.cores < (os.cpu_count() or 1) else None
        now = None if used is None else (self._clock(), used)
        before, self._group_before = self._group_before, now
        utilization = sum(cores) / len(cores) if cores else None
        source = f"{limit.source}; all cores of the machine"
        if before is not None and now is not None and now[0] > before[0]:
            share = (now[1] - before[1]) / (now[0] - before[0]) / limit.cores
            utilization = min(1.0, max(0.0, share))
            source = f"{limit.source}; this container's own use"
        return DeviceReading(
            "cpu",
            f"CPU ({limit.cores:g} cores)",
            utilization=utilization,
            source=source,
            reason=None if utilization is not None else "n/a: known from the second reading on",
        )

    def _memory(self) -> DeviceReading:
        found = read_memory(root=self._root, env=self._env)
        return DeviceReading(
            "memory",
            "Memory",
            used_bytes=found.used,
            total_bytes=found.limit,
            utilization=None if found.used is None else min(1.0, found.used / found.limit),
            source=found.source,
            reason="n/a: nothing tells what this container uses" if found.used is None else None,
        )


def _swap() -> tuple[DeviceReading, ...]:
    """The machine's swap; no row where it has none."""
    try:
        swap = psutil.swap_memory()
    except (OSError, RuntimeError) as error:  # no /proc/vmstat in some sandboxes
        return (DeviceReading("swap", "Swap", reason=f"n/a: {error}"),)
    if not swap.total:
        return (DeviceReading("swap", "Swap", reason="n/a: this machine has no swap"),)
    return (
        DeviceReading(
            "swap",
            "Swap",
            used_bytes=int(swap.used),
            total_bytes=int(swap.total),
            utilization=swap.used / swap.total,
            source="machine",
        ),
    )


def _filled(worker: WorkerState, readings: Mapping[int, ProcessReading | None]) -> WorkerState:
    reading = readings.get(worker.pid) if worker.pid is not None else None
    if reading is None:
        return worker
    return dataclasses.replace(
        worker, pss_bytes=reading.pss, uss_bytes=reading.uss, cpu_percent=reading.cpu_percent
    )

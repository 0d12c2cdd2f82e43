"""Takes one snapshot: asks every meter once and puts the answers together."""

from __future__ import annotations

import dataclasses
import os
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import psutil

from slm_explorer.meters.cpu import CpuMeter
from slm_explorer.meters.disk import DiskMeter
from slm_explorer.meters.family import Family, Member
from slm_explorer.meters.gpu import GpuMeter
from slm_explorer.meters.limits import read_memory
from slm_explorer.meters.network import NetworkMeter
from slm_explorer.meters.pressure import read_pressure
from slm_explorer.meters.processes import ProcessReader, ProcessReading
from slm_explorer.meters.readings import Detail, DeviceReading, Helper, Snapshot
from slm_explorer.types import WorkerState


class Collector:
    """The meters of this machine. Keeps what rates need between two snapshots.

    `root` and `env` are where limits are looked up, see meters.limits. `processes` may be shared
    with whoever else reads the same ones. Not thread-safe.
    """

    def __init__(
        self,
        cache_folders: Sequence[Path] = (),
        gpu: GpuMeter | None = None,
        *,
        processes: ProcessReader | None = None,
        root: Path = Path("/"),
        env: Mapping[str, str] | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._root = root
        self._env = env
        self._processes = processes or ProcessReader(clock)
        self._family = Family(clock=clock)
        self._cpu = CpuMeter(root=root, env=env, clock=clock)
        self._disk = DiskMeter(cache_folders, clock)
        self._network = NetworkMeter(clock)
        self._gpu = gpu or GpuMeter(None)

    def collect(
        self, at: float, workers: Sequence[WorkerState], budget_bytes: int | None
    ) -> Snapshot:
        """The snapshot of this moment. A meter that fails is n/a; the others still answer."""
        me = os.getpid()
        pids = [worker.pid for worker in workers if worker.pid is not None]
        helpers = self._family.helpers(pids)
        readings = self._processes.read([me, *pids, *(helper.pid for helper in helpers)])
        app = readings[me]
        cpu = self._cpu.read()
        memory, available = self._memory()
        gpus = self._gpu.read()
        return Snapshot(
            at=at,
            cores=cpu.cores,
            devices=(
                cpu.device,
                memory,
                *_swap(),
                *self._disk.read(),
                self._network.read(),
                *gpus.devices,
            ),
            workers=tuple(_filled(worker, readings, gpus.process_bytes) for worker in workers),
            app_pss_bytes=app.pss if app else None,
            app_mapped_bytes=app.mapped if app else None,
            app_uss_bytes=app.uss if app else None,
            app_cpu_percent=app.cpu_percent if app else None,
            budget_bytes=budget_bytes,
            gpu_reason=gpus.reason,
            helpers=tuple(
                _helper(helper, found)
                for helper in helpers
                if (found := readings[helper.pid]) is not None
            ),
            available_bytes=available,
            busy_core_seconds=cpu.busy_core_seconds,
        )

    def _memory(self) -> tuple[DeviceReading, int]:
        found = read_memory(root=self._root, env=self._env)
        pressure = read_pressure("memory", root=self._root)
        reading = DeviceReading(
            "memory",
            "Memory",
            used_bytes=found.used,
            total_bytes=found.limit,
            utilization=None if found.used is None else min(1.0, found.used / found.limit),
            source=found.source,
            reason="n/a: nothing tells what this container uses" if found.used is None else None,
            details=(
                _bytes("page cache", found.cached, found.source),
                # Told for control groups only; a machine's files in use are in its own figure.
                *(
                    [_bytes("files in use", found.active, found.source)]
                    if found.active is not None
                    else []
                ),
                _bytes("kernel", found.kernel, found.source),
                Detail(
                    "waited for memory", pressure.some, "share", pressure.reason or pressure.source
                ),
            ),
        )
        return reading, found.available


def _bytes(name: str, value: int | None, source: str) -> Detail:
    told = source if value is not None else f"n/a: {source} does not tell it"
    return Detail(name, None if value is None else float(value), "bytes", told)


def _helper(member: Member, reading: ProcessReading) -> Helper:
    return Helper(
        member.pid, member.part, reading.pss, reading.uss, reading.cpu_percent, reading.mapped
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


def _filled(
    worker: WorkerState,
    readings: Mapping[int, ProcessReading | None],
    gpu_bytes: Mapping[int, int],
) -> WorkerState:
    reading = readings.get(worker.pid) if worker.pid is not None else None
    if worker.pid is None or reading is None:
        return worker
    return dataclasses.replace(
        worker,
        pss_bytes=reading.pss,
        mapped_bytes=reading.mapped,
        uss_bytes=reading.uss,
        cpu_percent=reading.cpu_percent,
        cpu_seconds=reading.cpu_seconds,
        gpu_bytes=gpu_bytes.get(worker.pid),
    )

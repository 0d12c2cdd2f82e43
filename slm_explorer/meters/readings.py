"""What the meters say at one moment: plain values, None for unknown with the reason beside it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from slm_explorer.types import WorkerState

DeviceKind = Literal["cpu", "memory", "swap", "disk", "network", "gpu"]


@dataclass(frozen=True)
class Detail:
    """One more figure of a device. `value` is None where it is unknown, and then `source`, which
    otherwise names where it was read, says why ("n/a: ...").
    """

    name: str
    value: float | None
    unit: Literal["share", "bytes", "bytes/s", "Hz", "°C", "cores"]
    source: str


@dataclass(frozen=True)
class Helper:
    """A process of the app that runs no model, such as the one that holds the shared libraries.

    Bytes; percent of one core; None is unknown. `mapped_bytes` is the part of the PSS that is
    files, which the kernel drops at need.
    """

    pid: int
    part: str
    pss_bytes: int | None
    uss_bytes: int | None
    cpu_percent: float | None
    mapped_bytes: int | None = None


@dataclass(frozen=True)
class DeviceReading:
    """One device. Bytes, watts, `utilization` 0..1.

    A disk's `used_bytes` is the model cache's size, its `total_bytes` adds the free space
    around it, its `utilization` is how full the whole disk is. `energy_method` says how
    `power_w` is known ("measured: NVML") or why it is not ("n/a: ..."). `source` says where
    the limits come from. `reason` says why values are None; it is None where none are.
    """

    kind: DeviceKind
    name: str
    used_bytes: int | None = None
    total_bytes: int | None = None
    utilization: float | None = None
    power_w: float | None = None
    energy_method: str = "n/a: energy is not measured for this device"
    source: str = ""
    reason: str | None = None
    details: tuple[Detail, ...] = ()

    def detail(self, name: str) -> Detail | None:
        """The detail of that name."""
        return next((detail for detail in self.details if detail.name == name), None)


@dataclass(frozen=True)
class Snapshot:
    """Everything at `at` (unix seconds). Bytes; CPU percent of one core.

    `cores` holds each core's utilization 0..1, empty before two readings exist. `workers` have
    their PSS, USS and CPU filled in; the app's own process is not among them, nor are the
    `helpers`. `budget_bytes` is what all workers together may use, `available_bytes` what can
    still be taken of the memory. `gpu_reason` says why no GPU is listed. `busy_core_seconds` is
    the CPU time of the whole machine so far.
    """

    at: float
    cores: tuple[float, ...]
    devices: tuple[DeviceReading, ...]
    workers: tuple[WorkerState, ...]
    app_pss_bytes: int | None
    app_uss_bytes: int | None
    app_cpu_percent: float | None
    budget_bytes: int | None
    gpu_reason: str | None = None
    helpers: tuple[Helper, ...] = ()
    available_bytes: int | None = None
    busy_core_seconds: float | None = None
    app_mapped_bytes: int | None = None

    def device(self, kind: DeviceKind) -> DeviceReading | None:
        """The first device of that kind."""
        return next((device for device in self.devices if device.kind == kind), None)


def snapshot_row(snapshot: Snapshot) -> dict[str, object]:
    """The row of `meters --json`: plain values under the command line's keys."""
    return {
        "at": snapshot.at,
        "devices": [
            {
                "kind": device.kind,
                "name": device.name,
                "used_bytes": device.used_bytes,
                "total_bytes": device.total_bytes,
                "utilization": device.utilization,
                "power_w": device.power_w,
                "energy_method": device.energy_method,
                "source": device.source,
                "reason": device.reason,
                "details": [
                    {
                        "name": detail.name,
                        "value": detail.value,
                        "unit": detail.unit,
                        "source": detail.source,
                    }
                    for detail in device.details
                ],
            }
            for device in snapshot.devices
        ],
        "workers": [
            {
                "model": worker.spec.model,
                "pid": worker.pid,
                "phase": worker.phase,
                "pss_bytes": worker.pss_bytes,
                "uss_bytes": worker.uss_bytes,
                "cpu": worker.cpu_percent,
                "cpu_seconds": worker.cpu_seconds,
                "gpu_bytes": worker.gpu_bytes,
                "peak_memory_bytes": worker.peak_memory_bytes,
                "tokens": worker.tokens,
                "joules_low": worker.energy.joules_low if worker.energy else None,
                "joules_high": worker.energy.joules_high if worker.energy else None,
                "energy_method": worker.energy.method if worker.energy else None,
            }
            for worker in snapshot.workers
        ],
        "helpers": [
            {
                "part": helper.part,
                "pid": helper.pid,
                "pss_bytes": helper.pss_bytes,
                "uss_bytes": helper.uss_bytes,
                "cpu": helper.cpu_percent,
            }
            for helper in snapshot.helpers
        ],
        "app": {
            "pss_bytes": snapshot.app_pss_bytes,
            "uss_bytes": snapshot.app_uss_bytes,
            "cpu": snapshot.app_cpu_percent,
        },
        "budget_bytes": snapshot.budget_bytes,
        "available_bytes": snapshot.available_bytes,
        "gpu_reason": snapshot.gpu_reason,
    }

"""NVIDIA GPUs through NVML (nvidia-ml-py). Its API: https://docs.nvidia.com/deploy/nvml-api/"""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from importlib import import_module
from typing import Any, TypeVar

from slm_explorer.meters.rapl import Counter
from slm_explorer.meters.readings import Detail, DeviceReading

T = TypeVar("T")

_NO_LIBRARY = "n/a: the library nvidia-ml-py is not installed"


@dataclass(frozen=True)
class GpuReadings:
    """One reading a GPU, and one a MIG slice after the GPU that it is cut from; `reason` says
    why there is none. `process_bytes` is the GPU memory of each process, by its pid as the
    driver knows it: inside a container that may be another number than ours.
    """

    devices: tuple[DeviceReading, ...]
    reason: str | None = None
    process_bytes: dict[int, int] = field(default_factory=dict)


def load_nvml() -> Any | None:
    """The pynvml module, or None where it is not installed. Needs no GPU and no driver."""
    try:
        return import_module("pynvml")
    except ImportError:
        return None


class GpuMeter:
    """Reads every GPU. `nvml` is the pynvml module, or one like it with recorded readings.

    NVML is initialised at the first reading, and again after it has failed: a driver that
    was updated or a GPU that fell off the bus and came back must not need a restart.
    """

    def __init__(self, nvml: Any | None) -> None:
        self._nvml = nvml
        self._ready = False
        self._names: tuple[str, ...] = ()
        self._lock = threading.Lock()

    def read(self) -> GpuReadings:
        """Never raises for what NVML does: a GPU that fails is n/a with NVML's own words."""
        if self._nvml is None:
            return GpuReadings((), _NO_LIBRARY)
        with self._lock:
            try:
                handles = self._handles()
            except self._nvml.NVMLError as error:
                self._ready = False
                return self._failed(str(error))
            if not handles:
                return GpuReadings((), "n/a: the driver finds no NVIDIA GPU")
            gpus = [self._device(i, handle) for i, handle in enumerate(handles)]
            if all(device.reason is not None for device in gpus):
                self._ready = False
            self._names = tuple(device.name for device in gpus)
            devices: list[DeviceReading] = []
            taken: dict[int, int] = {}
            for gpu, handle in zip(gpus, handles, strict=True):
                slices = self._slices(gpu.name, handle)
                devices += [gpu, *(reading for reading, _ in slices)]
                # Asked for a whole GPU that is cut, NVML would tell of its slices again.
                for each in [slice_ for _, slice_ in slices] or [handle]:
                    for pid, size in self._processes(each).items():
                        taken[pid] = taken.get(pid, 0) + size
            return GpuReadings(tuple(devices), None, taken)

    def energy(self) -> Counter:
        """Joules of all GPUs together since the driver was loaded (Volta and newer)."""
        if self._nvml is None:
            return Counter(None, _NO_LIBRARY)
        with self._lock:
            try:
                handles = self._handles()
                if not handles:
                    return Counter(None, "n/a: the driver finds no NVIDIA GPU")
                counters = map(self._nvml.nvmlDeviceGetTotalEnergyConsumption, handles)
                return Counter(sum(counters) / 1000)
            except self._nvml.NVMLError as error:
                return Counter(None, f"n/a: NVML: {error}")

    def _handles(self) -> list[Any]:
        nvml: Any = self._nvml
        if not self._ready:
            nvml.nvmlInit()
            self._ready = True
        return [nvml.nvmlDeviceGetHandleByIndex(i) for i in range(nvml.nvmlDeviceGetCount())]

    def _slices(self, parent: str, handle: Any) -> list[tuple[DeviceReading, Any]]:
        """The MIG slices of a GPU: each has memory of its own, and neither power nor load."""
        nvml: Any = self._nvml
        try:
            if not nvml.nvmlDeviceGetMigMode(handle)[0]:
                return []
            most = nvml.nvmlDeviceGetMaxMigDeviceCount(handle)
        except nvml.NVMLError:  # a GPU that cannot be cut
            return []
        found = []
        for index in range(most):
            try:
                slice_ = nvml.nvmlDeviceGetMigDeviceHandleByIndex(handle, index)
                memory = nvml.nvmlDeviceGetMemoryInfo(slice_)
            except nvml.NVMLError:  # slices need not be numbered without gaps
                continue
            reading = DeviceReading(
                "gpu",
                f"{parent}, MIG slice {index}",
                used_bytes=int(memory.used),
                total_bytes=int(memory.total),
                energy_method="n/a: NVML counts energy of whole GPUs only",
                source="NVML",
                reason="n/a: NVML tells no utilization of a MIG slice",
            )
            found.append((reading, slice_))
        return found

    def _processes(self, handle: Any) -> dict[int, int]:
        try:
            running = self._nvml.nvmlDeviceGetComputeRunningProcesses(handle)  # type: ignore[union-attr]
        except self._nvml.NVMLError:  # type: ignore[union-attr]
            return {}
        # On Windows the driver does not tell what a process takes.
        return {int(p.pid): int(p.usedGpuMemory) for p in running if p.usedGpuMemory is not None}

    def _failed(self, why: str) -> GpuReadings:
        """GPUs that were there keep their row, without values; else there is just a reason."""
        rows = (DeviceReading("gpu", name, reason=f"n/a: NVML: {why}") for name in self._names)
        return GpuReadings(tuple(rows), None if self._names else f"n/a: NVML: {why}")

    def _device(self, index: int, handle: Any) -> DeviceReading:
        nvml: Any = self._nvml
        problems: list[str] = []

        def ask(what: str, question: Callable[[], T]) -> T | None:
            # Each value fails by itself: many GPUs tell no power, and MIG slices no utilization.
            try:
                return question()
            except nvml.NVMLError as error:
                problems.append(f"{what}: {error}")
                return None

        known = self._names[index] if index < len(self._names) else f"GPU {index}"
        name = ask("name", lambda: nvml.nvmlDeviceGetName(handle))
        memory = ask("memory", lambda: nvml.nvmlDeviceGetMemoryInfo(handle))
        rates = ask("utilization", lambda: nvml.nvmlDeviceGetUtilizationRates(handle))
        milliwatts = ask("power", lambda: nvml.nvmlDeviceGetPowerUsage(handle))
        celsius = ask("temperature", lambda: nvml.nvmlDeviceGetTemperature(handle, 0))
        return DeviceReading(
            "gpu",
            known if name is None else name.decode() if isinstance(name, bytes) else str(name),
            used_bytes=None if memory is None else int(memory.used),
            total_bytes=None if memory is None else int(memory.total),
            utilization=None if rates is None else rates.gpu / 100,
            power_w=None if milliwatts is None else milliwatts / 1000,
            energy_method="measured: NVML"
            if milliwatts is not None
            else "n/a: NVML tells no power",
            source="NVML",
            reason=f"n/a: NVML: {'; '.join(problems)}" if problems else None,
            details=(
                Detail(
                    "temperature",
                    None if celsius is None else float(celsius),
                    "°C",
                    "NVML" if celsius is not None else "n/a: NVML tells no temperature",
                ),
            ),
        )

"""NVIDIA GPUs through NVML (nvidia-ml-py). Its API: https://docs.nvidia.com/deploy/nvml-api/"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from typing import Any, TypeVar

from slm_explorer.meters.readings import DeviceReading

T = TypeVar("T")


@dataclass(frozen=True)
class GpuReadings:
    """One reading a GPU; `reason` says why there is none."""

    devices: tuple[DeviceReading, ...]
    reason: str | None = None


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

    def read(self) -> GpuReadings:
        """Never raises for what NVML does: a GPU that fails is n/a with NVML's own words."""
        if self._nvml is None:
            return GpuReadings((), "n/a: the library nvidia-ml-py is not installed")
        try:
            if not self._ready:
                self._nvml.nvmlInit()
                self._ready = True
            handles = [
                self._nvml.nvmlDeviceGetHandleByIndex(index)
                for index in range(self._nvml.nvmlDeviceGetCount())
            ]
        except self._nvml.NVMLError as error:
            self._ready = False
            return self._failed(str(error))
        if not handles:
            return GpuReadings((), "n/a: the driver finds no NVIDIA GPU")
        devices = tuple(self._device(i, handle) for i, handle in enumerate(handles))
        if all(device.reason is not None for device in devices):
            self._ready = False
        self._names = tuple(device.name for device in devices)
        return GpuReadings(devices)

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
        )

"""A stand-in for pynvml that plays recorded readings: this machine may have no GPU."""

from __future__ import annotations

from dataclasses import dataclass, field


class NVMLError(Exception):
    pass


@dataclass
class Memory:
    used: int
    total: int


@dataclass
class Rates:
    gpu: int


@dataclass
class Process:
    pid: int
    usedGpuMemory: int | None  # noqa: N815


@dataclass
class Slice:
    """A MIG slice's answers."""

    memory: Memory | NVMLError
    processes: tuple[Process, ...] = ()


@dataclass
class Gpu:
    """What one GPU answers; a value that is an NVMLError is raised instead."""

    name: str | bytes | NVMLError = "NVIDIA H100 80GB HBM3"
    memory: Memory | NVMLError = field(default_factory=lambda: Memory(4 * 10**9, 80 * 10**9))
    rates: Rates | NVMLError = field(default_factory=lambda: Rates(25))
    milliwatts: int | NVMLError = 71_250
    celsius: int | NVMLError = 41
    millijoules: int | NVMLError = 5_000_000
    mig: tuple[int, int] | NVMLError = field(default_factory=lambda: NVMLError("Not Supported"))
    slices: tuple[Slice | NVMLError, ...] = ()
    processes: tuple[Process, ...] | NVMLError = ()


class RecordedNvml:
    NVMLError = NVMLError

    def __init__(self, *gpus: Gpu) -> None:
        self.gpus = gpus
        self.failing: NVMLError | None = None
        self.inits = 0

    def nvmlInit(self) -> None:  # noqa: N802
        self._answer(None)
        self.inits += 1

    def nvmlDeviceGetCount(self) -> int:  # noqa: N802
        self._answer(None)
        return len(self.gpus)

    def nvmlDeviceGetHandleByIndex(self, index: int) -> Gpu:  # noqa: N802
        self._answer(None)
        return self.gpus[index]

    def nvmlDeviceGetName(self, gpu: Gpu) -> object:  # noqa: N802
        return self._answer(gpu.name)

    def nvmlDeviceGetMemoryInfo(self, gpu: Gpu | Slice) -> object:  # noqa: N802
        return self._answer(gpu.memory)

    def nvmlDeviceGetUtilizationRates(self, gpu: Gpu) -> object:  # noqa: N802
        return self._answer(gpu.rates)

    def nvmlDeviceGetPowerUsage(self, gpu: Gpu) -> object:  # noqa: N802
        return self._answer(gpu.milliwatts)

    def nvmlDeviceGetTemperature(self, gpu: Gpu, sensor: int) -> object:  # noqa: N802
        assert sensor == 0
        return self._answer(gpu.celsius)

    def nvmlDeviceGetTotalEnergyConsumption(self, gpu: Gpu) -> object:  # noqa: N802
        return self._answer(gpu.millijoules)

    def nvmlDeviceGetMigMode(self, gpu: Gpu) -> object:  # noqa: N802
        return self._answer(gpu.mig)

    def nvmlDeviceGetMaxMigDeviceCount(self, gpu: Gpu) -> object:  # noqa: N802
        return self._answer(len(gpu.slices))

    def nvmlDeviceGetMigDeviceHandleByIndex(self, gpu: Gpu, index: int) -> object:  # noqa: N802
        return self._answer(gpu.slices[index])

    def nvmlDeviceGetComputeRunningProcesses(self, gpu: Gpu | Slice) -> object:  # noqa: N802
        return self._answer(gpu.processes)

    def _answer(self, value: object) -> object:
        if self.failing is not None:
            raise self.failing
        if isinstance(value, NVMLError):
            raise value
        return value

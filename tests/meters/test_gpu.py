from __future__ import annotations

from slm_explorer.meters.gpu import GpuMeter, load_nvml
from tests.meters.nvml import Gpu, Memory, NVMLError, Process, RecordedNvml, Slice


def test_every_gpu_is_read() -> None:
    second = Gpu(name=b"NVIDIA T4", memory=Memory(0, 16 * 10**9))
    found = GpuMeter(RecordedNvml(Gpu(), second)).read()
    assert found.reason is None
    first = found.devices[0]
    assert (first.kind, first.name) == ("gpu", "NVIDIA H100 80GB HBM3")
    assert (first.used_bytes, first.total_bytes) == (4 * 10**9, 80 * 10**9)
    assert (first.utilization, first.power_w) == (0.25, 71.25)
    assert (first.energy_method, first.reason) == ("measured: NVML", None)
    assert [device.name for device in found.devices] == ["NVIDIA H100 80GB HBM3", "NVIDIA T4"]
    assert found.devices[1].used_bytes == 0


def test_two_gpus_of_one_name_stay_two() -> None:
    found = GpuMeter(RecordedNvml(Gpu(), Gpu(memory=Memory(1, 2)))).read()
    assert [device.used_bytes for device in found.devices] == [4 * 10**9, 1]


def test_a_value_that_a_gpu_does_not_tell_is_unknown_by_itself() -> None:
    gpu = Gpu(milliwatts=NVMLError("Not Supported"), rates=NVMLError("Not Supported"))
    (device,) = GpuMeter(RecordedNvml(gpu)).read().devices
    assert (device.power_w, device.utilization) == (None, None)
    assert device.used_bytes == 4 * 10**9
    assert device.energy_method.startswith("n/a")
    assert device.reason == "n/a: NVML: utilization: Not Supported; power: Not Supported"


def test_without_library_driver_or_gpu_there_is_a_reason() -> None:
    missing = GpuMeter(None).read()
    assert missing.devices == ()
    assert missing.reason is not None
    assert "not installed" in missing.reason
    nvml = RecordedNvml()
    assert GpuMeter(nvml).read().reason == "n/a: the driver finds no NVIDIA GPU"
    nvml.failing = NVMLError("Driver Not Loaded")
    assert GpuMeter(nvml).read().reason == "n/a: NVML: Driver Not Loaded"


def test_a_failure_is_shown_and_recovered_from() -> None:
    nvml = RecordedNvml(Gpu())
    meter = GpuMeter(nvml)
    assert meter.read().devices[0].reason is None
    nvml.failing = NVMLError("GPU is lost")
    (device,) = meter.read().devices
    assert device.name == "NVIDIA H100 80GB HBM3"
    assert (device.used_bytes, device.utilization, device.power_w) == (None, None, None)
    assert device.reason == "n/a: NVML: GPU is lost"
    meter.read()
    nvml.failing = None
    assert meter.read().devices[0].used_bytes == 4 * 10**9
    assert nvml.inits == 2  # initialised anew after the failure


def test_a_driver_that_appears_later_is_found() -> None:
    nvml = RecordedNvml(Gpu())
    nvml.failing = NVMLError("Driver Not Loaded")
    meter = GpuMeter(nvml)
    assert meter.read().devices == ()
    nvml.failing = None
    assert len(meter.read().devices) == 1


def test_the_real_library_answers_on_any_machine() -> None:
    nvml = load_nvml()
    assert nvml is not None
    found = GpuMeter(nvml).read()
    assert bool(found.devices) != (found.reason is not None)


def test_slices_of_a_gpu_have_memory_of_their_own() -> None:
    gpu = Gpu(
        mig=(1, 1),
        rates=NVMLError("Not Supported"),
        slices=(Slice(Memory(1, 10)), NVMLError("Not Found"), Slice(Memory(2, 20))),
    )
    found = GpuMeter(RecordedNvml(gpu)).read()
    names = [device.name for device in found.devices]
    assert names == [
        "NVIDIA H100 80GB HBM3",
        "NVIDIA H100 80GB HBM3, MIG slice 0",
        "NVIDIA H100 80GB HBM3, MIG slice 2",
    ]
    assert [(d.used_bytes, d.total_bytes) for d in found.devices[1:]] == [(1, 10), (2, 20)]
    assert all(d.utilization is None and d.reason for d in found.devices)


def test_each_process_is_charged_on_all_gpus_and_slices() -> None:
    first = Gpu(processes=(Process(7, 100), Process(8, None)))
    second = Gpu(mig=(1, 1), slices=(Slice(Memory(1, 2), (Process(7, 30), Process(9, 5))),))
    third = Gpu(processes=NVMLError("Insufficient Permissions"))
    found = GpuMeter(RecordedNvml(first, second, third)).read()
    assert found.process_bytes == {7: 130, 9: 5}


def test_energy_is_the_sum_of_all_gpus_in_joules() -> None:
    nvml = RecordedNvml(Gpu(millijoules=1500), Gpu(millijoules=500))
    meter = GpuMeter(nvml)
    assert meter.energy().joules == 2.0
    nvml.gpus[1].millijoules = NVMLError("Not Supported")
    counter = meter.energy()
    assert (counter.joules, counter.reason) == (None, "n/a: NVML: Not Supported")
    assert GpuMeter(None).energy().joules is None


def test_the_temperature_is_a_detail() -> None:
    (device,) = GpuMeter(RecordedNvml(Gpu())).read().devices
    celsius = device.detail("temperature")
    assert celsius is not None
    assert (celsius.value, celsius.unit) == (41.0, "°C")

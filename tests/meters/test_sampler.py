from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from itertools import count
from pathlib import Path

import psutil

from slm_explorer.meters.collector import Collector
from slm_explorer.meters.gpu import GpuMeter
from slm_explorer.meters.readings import snapshot_row
from slm_explorer.meters.sampler import Sampler
from slm_explorer.types import ModelSpec, WorkerState
from tests.meters.nvml import Gpu, RecordedNvml

LONG = 30.0  # how long a test waits for an event before it fails


def worker(pid: int | None, key: str = "w") -> WorkerState:
    return WorkerState(
        key=key,
        spec=ModelSpec(model="sprout-5m", path=None),
        pid=pid,
        phase="idle",
        loading_fraction=1.0,
        info=None,
        predicted_bytes=10,
        waiting=0,
        idle_s=0.0,
    )


def sampler(*workers: WorkerState, interval_s: float = 0.01) -> Sampler:
    return Sampler(lambda: workers, lambda: 10**9, interval_s=interval_s, history_s=1.0)


def test_a_snapshot_has_every_device_and_fills_in_the_workers() -> None:
    gone = subprocess.Popen([sys.executable, "-c", "pass"])
    gone.wait()
    states = (worker(os.getpid(), "a"), worker(gone.pid, "b"), worker(None, "c"))
    collector = Collector([Path("/nowhere")], GpuMeter(RecordedNvml(Gpu())))
    meters = Sampler(lambda: states, lambda: 5 * 10**9, collector=collector)
    snapshot = meters.latest()
    assert [device.kind for device in snapshot.devices] == [
        "cpu",
        "memory",
        "swap",
        "disk",
        "network",
        "gpu",
    ]
    assert snapshot.budget_bytes == 5 * 10**9
    here, vanished, unborn = snapshot.workers
    assert here.pss_bytes is not None
    assert here.uss_bytes is not None
    assert 0 < here.uss_bytes <= here.pss_bytes
    assert (vanished.pss_bytes, vanished.uss_bytes, vanished.cpu_percent) == (None, None, None)
    assert unborn == states[2]
    assert snapshot.app_uss_bytes is not None
    memory = snapshot.device("memory")
    assert memory is not None
    assert memory.used_bytes is not None
    assert memory.total_bytes is not None
    assert memory.total_bytes <= psutil.virtual_memory().total


def test_what_is_unknown_always_says_why() -> None:
    for device in Collector([Path("/nowhere")]).collect(1.0, (), None).devices:
        known: object = {"cpu": device.utilization}.get(device.kind, device.used_bytes)
        if device.kind == "network":
            known = device.details or None
        for detail in device.details:
            assert (detail.value is None) == detail.source.startswith("n/a: "), detail
        assert (known is None) == (device.reason is not None), device
        assert device.reason is None or device.reason.startswith("n/a: ")
        assert device.energy_method.startswith("n/a: ")


def test_rates_are_known_from_the_second_snapshot_on() -> None:
    meters = sampler()
    first = meters.latest()
    assert first.cores == ()
    assert first.app_cpu_percent is None
    second = meters.read()
    assert len(second.cores) == psutil.cpu_count()
    assert all(0 <= share <= 1 for share in second.cores)
    assert second.app_cpu_percent is not None


def test_one_fresh_reading_from_nothing_has_rates() -> None:
    snapshot = sampler().read()
    assert snapshot.app_cpu_percent is not None
    cpu = snapshot.device("cpu")
    assert cpu is not None
    assert cpu.utilization is not None


def test_a_quota_measures_the_containers_own_share(tmp_path: Path) -> None:
    group = tmp_path / "sys" / "fs" / "cgroup"
    group.mkdir(parents=True)
    (tmp_path / "proc" / "self").mkdir(parents=True)
    (tmp_path / "proc" / "self" / "cgroup").write_text("0::/\n")
    (group / "cgroup.controllers").touch()
    (group / "cpu.max").write_text("50000 100000\n")
    (group / "cpu.stat").write_text("usage_usec 1000000\n")
    now = 10.0
    collector = Collector(root=tmp_path, env={}, clock=lambda: now)
    collector.collect(1.0, (), None)
    (group / "cpu.stat").write_text("usage_usec 1400000\n")  # 0.4 s of the 2 x 0.5 allowed
    now = 12.0
    cpu = collector.collect(2.0, (), None).device("cpu")
    assert cpu is not None
    assert cpu.name == "CPU (0.5 cores)"
    assert cpu.utilization is not None
    assert abs(cpu.utilization - 0.4) < 1e-9
    assert "container's own use" in cpu.source


def _threads() -> set[threading.Thread]:
    return {thread for thread in threading.enumerate() if thread.name == "meters"}


def test_the_thread_samples_for_everyone_and_keeps_a_bounded_history() -> None:
    others = _threads()  # an app of another test may run yet
    meters = Sampler(lambda: (), lambda: 1, interval_s=0.01, history_s=0.05)
    meters.start()
    meters.start()
    try:
        at = 0.0
        for _ in range(8):
            snapshot = meters.wait_for_next(at, LONG)
            assert snapshot is not None
            at = snapshot.at
        history = meters.history()
        assert len(history) == 5
        assert [s.at for s in history] == sorted(s.at for s in history)
        (mine,) = _threads() - others
    finally:
        meters.stop()
        meters.stop()
    assert not mine.is_alive()


def test_it_can_be_started_again() -> None:
    meters = sampler()
    meters.start()
    meters.stop()
    before = meters.read().at
    meters.start()
    assert meters.wait_for_next(before, LONG) is not None
    meters.stop()


def test_a_collector_that_fails_loses_one_moment_only() -> None:
    calls = count()
    failed = threading.Event()

    def workers() -> tuple[WorkerState, ...]:
        if next(calls) in (1, 2):
            failed.set()
            raise OSError("too many open files")
        return ()

    meters = Sampler(workers, lambda: 1, interval_s=0.01)
    meters.start()
    try:
        assert failed.wait(LONG)
        last = meters.latest().at
        assert meters.wait_for_next(last, LONG) is not None
    finally:
        meters.stop()


def test_waiting_in_vain_ends() -> None:
    meters = sampler(interval_s=60.0)
    assert meters.wait_for_next(0.0, 0.01) is None
    at = meters.latest().at
    assert meters.wait_for_next(at, 0.01) is None
    assert meters.wait_for_next(at - 1, 0.01) is meters.latest()


def test_without_a_thread_the_latest_is_never_old() -> None:
    now = 50.0
    meters = Sampler(lambda: (), lambda: 1, interval_s=1.0, clock=lambda: now)
    first = meters.latest()
    now = 50.5
    assert meters.latest() is first
    now = 51.5
    assert meters.latest().at == 51.5


def test_many_browsers_may_ask_at_once() -> None:
    meters = sampler(worker(os.getpid()), interval_s=0.001)
    meters.start()
    seen: list[float] = []

    def browse() -> None:
        at = 0.0
        for _ in range(10):
            snapshot = meters.wait_for_next(at, LONG)
            assert snapshot is not None
            assert snapshot.at > at
            at = snapshot.at
            meters.history()
        seen.append(at)

    threads = [threading.Thread(target=browse) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(LONG)
    meters.stop()
    assert len(seen) == 8


def test_the_command_lines_row_is_plain_json() -> None:
    meters = Sampler(lambda: (worker(os.getpid()),), lambda: 1)
    row = snapshot_row(meters.read())
    assert json.loads(json.dumps(row)) == row
    assert {"at", "devices", "workers"} <= set(row)
    devices, workers = row["devices"], row["workers"]
    assert isinstance(devices, list)
    assert isinstance(workers, list)
    keys = {"kind", "name", "used_bytes", "total_bytes", "utilization", "power_w", "energy_method"}
    assert all(keys <= set(device) for device in devices)
    assert {"model", "pid", "pss_bytes", "uss_bytes", "cpu"} <= set(workers[0])
    assert workers[0]["model"] == "sprout-5m"


def test_a_clock_that_is_set_back_does_not_stop_the_meters() -> None:
    now = 1000.0
    meters = Sampler(lambda: (), lambda: 1, interval_s=1.0, clock=lambda: now)
    meters.latest()
    now = 400.0
    assert meters.latest().at == 400.0
    assert [snapshot.at for snapshot in meters.history()] == [400.0]


def test_the_apps_helpers_are_named_by_their_part() -> None:
    code = "import sys; sys.stdin.readline()  # slm_explorer.hub.child"
    with subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE) as process:
        snapshot = Collector().collect(1.0, (), None)
        found = {helper.pid: helper for helper in snapshot.helpers}
        assert found[process.pid].part == "download"
        assert found[process.pid].uss_bytes
        as_worker = Collector().collect(1.0, (worker(process.pid),), None)
        assert process.pid not in {helper.pid for helper in as_worker.helpers}
        process.kill()

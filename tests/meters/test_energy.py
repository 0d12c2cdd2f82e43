"""Joules over exactly an interval: recorded counters, a clock and processes that the test moves."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from slm_explorer.energy import Energy, no_energy, plus
from slm_explorer.meters.energy import EnergyMeter, Watts
from slm_explorer.meters.rapl import Counter, RaplMeter

NO_GPU = Counter(None, "n/a: the driver finds no NVIDIA GPU")


@dataclass
class Machine:
    """Two cores whose counters stand where the test puts them."""

    now: float = 1000.0
    rapl: Counter = field(default_factory=lambda: Counter(0.0))
    gpu: Counter = NO_GPU
    busy: float = 0.0
    cpu: dict[int, float] = field(default_factory=dict)

    def meter(self, watts: Watts | None = None) -> EnergyMeter:
        return EnergyMeter(
            lambda: self.rapl,
            lambda: self.gpu,
            watts=watts,
            cores=2,
            clock=lambda: self.now,
            ticks=lambda: self.now,
            busy=lambda: self.busy,
            process=self.cpu.get,
        )

    def pass_time(self, seconds: float, watts: float, **cpu: float) -> None:
        """`cpu` are CPU seconds of processes p1, p2..., all of the machine's but for `other`."""
        self.now += seconds
        if self.rapl.joules is not None:
            self.rapl = Counter(self.rapl.joules + watts * seconds)
        for name, used in cpu.items():
            self.busy += used
            if name != "other":
                pid = int(name[1:])
                self.cpu[pid] = self.cpu.get(pid, 0.0) + used


def rested(machine: Machine, meter: EnergyMeter, watts: float = 3.0) -> None:
    """Let the meter see ten idle seconds."""
    for _ in range(11):
        meter.sample(machine.cpu)
        machine.pass_time(1.0, watts)
    meter.sample(machine.cpu)


def test_an_answer_is_charged_what_lay_between_its_ends_above_idle() -> None:
    machine = Machine(cpu={1: 0.0})
    meter = machine.meter()
    rested(machine, meter)
    began = meter.begin((1,))
    machine.pass_time(2.0, 13.0, p1=4.0)
    spent = meter.end(began)
    machine.pass_time(5.0, 100.0, p1=1.0)  # what comes after is somebody else's
    assert spent.joules_low == spent.joules_high == pytest.approx(2 * (13.0 - 3.0))
    assert spent.method == "measured: RAPL, less 3.0 W when idle"
    assert meter.idle_watts() == pytest.approx(3.0)


def test_two_at_once_are_charged_by_their_cpu_time() -> None:
    machine = Machine(cpu={1: 0.0, 2: 50.0})
    meter = machine.meter()
    rested(machine, meter, watts=0.0)
    first, second = meter.begin((1,)), meter.begin((2,))
    machine.pass_time(10.0, 8.0, p1=6.0, p2=2.0, other=8.0)
    found = [meter.end(began).joules_low for began in (first, second)]
    assert found == [pytest.approx(80 * 6 / 16), pytest.approx(80 * 2 / 16)]
    assert "38% of it by its part of all CPU time" in meter.end(first).method


def test_before_the_machine_was_idle_the_method_says_so() -> None:
    machine = Machine(cpu={1: 0.0})
    meter = machine.meter()
    began = meter.begin((1,))
    machine.pass_time(1.0, 20.0, p1=2.0)
    assert "idle power in it" in meter.end(began).method
    assert meter.idle_watts() is None


def test_a_busy_machine_is_not_taken_for_idle() -> None:
    machine = Machine(cpu={1: 0.0})
    meter = machine.meter()
    for _ in range(20):
        meter.sample((1,))
        machine.pass_time(1.0, 20.0, p1=0.5)
    assert meter.idle_watts() is None


def test_without_counters_cpu_seconds_give_a_range_with_its_method() -> None:
    machine = Machine(rapl=Counter(None, "n/a: no RAPL here"), cpu={1: 0.0})
    meter = machine.meter(Watts(10.0, 30.0))
    began = meter.begin((1,))
    machine.pass_time(4.0, 0.0, p1=2.0)
    spent = meter.end(began)
    assert spent.joules_low is not None
    assert spent.joules_high is not None
    assert spent.joules_low <= 10 * 2 / 2 <= 30 * 2 / 2 <= spent.joules_high
    assert spent.joules_high < 31
    assert spent.method.startswith("estimated: CPU seconds times 10 to 30 W")


def test_without_counters_and_watts_it_is_unknown_and_says_what_to_do() -> None:
    machine = Machine(rapl=Counter(None, "n/a: no RAPL here"), cpu={1: 0.0})
    meter = machine.meter()
    began = meter.begin((1,))
    machine.pass_time(4.0, 0.0, p1=2.0)
    spent = meter.end(began)
    assert (spent.joules_low, spent.joules_high, spent.method) == (None, None, "n/a")
    assert spent.reason is not None
    assert "no RAPL here" in spent.reason
    assert "SLM_EXPLORER_CPU_WATTS" in spent.reason
    assert meter.method().startswith("n/a: no RAPL here")


def test_what_is_shorter_than_the_clock_is_not_nothing() -> None:
    machine = Machine(cpu={1: 3.0})
    meter = machine.meter(Watts(1.0, 2.0))
    began = meter.begin((1,))
    machine.pass_time(0.004, 10.0)
    assert meter.end(began).joules_low is None
    assert "tick" in (meter.end(began).reason or "")


def test_a_counter_lost_on_the_way_is_unknown_not_zero() -> None:
    machine = Machine(cpu={1: 0.0})
    meter = machine.meter()
    began = meter.begin((1,))
    machine.pass_time(1.0, 5.0, p1=1.0)
    machine.rapl = Counter(None, "n/a: it may not be read any more")
    spent = meter.end(began)
    assert spent.joules_low is None
    assert "may not be read any more" in (spent.reason or "")


def test_a_process_that_ended_counts_up_to_where_it_was_seen() -> None:
    machine = Machine(cpu={1: 0.0})
    meter = machine.meter(Watts(2.0, 2.0))
    machine.rapl = Counter(None, "n/a: none")
    began = meter.begin((1,))
    machine.pass_time(1.0, 0.0, p1=1.0)
    meter.sample((1,))
    del machine.cpu[1]
    spent = meter.end(began)
    assert spent.joules_low is not None
    assert spent.joules_low > 0.9


def test_a_gpu_counts_beside_the_processor() -> None:
    machine = Machine(gpu=Counter(100.0), cpu={1: 0.0})
    meter = machine.meter()
    rested(machine, meter, watts=0.0)
    began = meter.begin((1,))
    machine.pass_time(2.0, 10.0, p1=2.0)
    machine.gpu = Counter(600.0)
    both = meter.end(began, device="cuda:0")
    assert both.joules_low == pytest.approx(520.0)
    assert "NVML" in both.method
    assert "RAPL" in both.method
    assert meter.end(began).joules_low == pytest.approx(20.0)  # on the CPU alone
    machine.rapl = Counter(None, "n/a: no RAPL here")
    alone = meter.end(began, device="cuda:0")
    assert alone.joules_low == pytest.approx(500.0)
    assert "the GPU alone" in alone.method
    machine.gpu = Counter(5.0)  # the driver was loaded anew
    assert meter.end(began, device="cuda:0").joules_low is None


def test_an_interval_of_the_past_is_interpolated() -> None:
    machine = Machine(cpu={1: 0.0})
    meter = machine.meter()
    for _ in range(10):
        meter.sample((1,))
        machine.pass_time(1.0, 10.0, p1=2.0)
    meter.sample((1,))
    spent = meter.interval(1002.5, 1005.0, (1,))
    assert spent.joules_low == pytest.approx(25.0)
    assert meter.interval(1002.5, 1099.0, (1,)).joules_low is None
    assert meter.interval(900.0, 1005.0, (1,)).joules_low is None
    assert "never seen" in (meter.interval(1001.0, 1002.0, (9,)).reason or "")


def test_a_clock_set_back_loses_history_and_not_answers() -> None:
    machine = Machine(cpu={1: 0.0})
    ticks = iter(range(100))
    meter = EnergyMeter(
        lambda: machine.rapl,
        lambda: NO_GPU,
        cores=2,
        clock=lambda: machine.now,
        ticks=lambda: float(next(ticks)),
        busy=lambda: machine.busy,
        process=machine.cpu.get,
    )
    began = meter.begin((1,))
    machine.pass_time(1.0, 10.0, p1=1.0)
    machine.now = 10.0
    assert meter.end(began).joules_low == pytest.approx(10.0)
    assert meter.interval(1000.0, 1000.5, (1,)).joules_low is None


def zone(root: Path, name: str, kind: str, microjoules: int, most: int = 1000) -> Path:
    folder = root / "sys" / "class" / "powercap" / name
    folder.mkdir(parents=True)
    (folder / "name").write_text(f"{kind}\n")
    (folder / "energy_uj").write_text(f"{microjoules}\n")
    (folder / "max_energy_range_uj").write_text(f"{most}\n")
    return folder


def test_rapl_adds_packages_and_memory_and_no_part_twice(tmp_path: Path) -> None:
    zones = [
        zone(tmp_path, "intel-rapl:0", "package-0", 0, 10**9),
        zone(tmp_path, "intel-rapl:0:0", "core", 0, 10**9),
        zone(tmp_path, "intel-rapl:0:1", "dram", 0, 10**9),
        zone(tmp_path, "intel-rapl:1", "package-1", 0, 10**9),
        zone(tmp_path, "intel-rapl:2", "psys", 0, 10**9),
    ]
    meter = RaplMeter(tmp_path)
    assert meter.read().joules == 0
    for number, folder in enumerate(zones):
        (folder / "energy_uj").write_text(f"{10**6 * 10**number}\n")
    assert meter.read().joules == 1 + 100 + 1000


def test_rapl_wraps_around(tmp_path: Path) -> None:
    folder = zone(tmp_path, "intel-rapl:0", "package-0", 900, most=1000)
    meter = RaplMeter(tmp_path)
    meter.read()
    (folder / "energy_uj").write_text("150\n")
    assert meter.read().joules == pytest.approx(250e-6)
    (folder / "energy_uj").write_text("160\n")
    assert meter.read().joules == pytest.approx(260e-6)


def test_rapl_that_is_absent_or_hidden_says_why(tmp_path: Path) -> None:
    assert "no RAPL counters" in (RaplMeter(tmp_path).read().reason or "")
    folder = zone(tmp_path, "intel-rapl:0", "package-0", 5)
    meter = RaplMeter(tmp_path)
    assert meter.read().joules == 0
    # Root may read what a mode of 0 forbids everybody else; a missing file none can.
    (folder / "energy_uj").unlink()
    hidden = meter.read()
    assert hidden.joules is None
    assert "may not be read" in (hidden.reason or "")
    (folder / "energy_uj").write_text("900\n")
    assert meter.read().joules == 0  # what passed unseen is not guessed


def test_the_real_machine_answers() -> None:
    meter = EnergyMeter(RaplMeter().read, lambda: NO_GPU, watts=Watts(5.0, 15.0))
    began = meter.begin((os.getpid(),))
    while os.times().user + os.times().system < began.processes[os.getpid()] + 0.05:
        sum(range(10_000))
    spent = meter.end(began)
    assert spent.joules_high is not None
    assert spent.joules_high > 0
    assert spent.method.startswith(("measured: RAPL", "estimated: "))


def test_sums_say_what_they_leave_out() -> None:
    one, other = Energy(1.0, 2.0, "estimated: x"), Energy(3.0, 4.0, "estimated: x")
    unknown = no_energy("n/a: too short")
    assert plus(plus(None, one), other) == Energy(4.0, 6.0, "estimated: x")
    assert plus(None, unknown) == unknown
    assert plus(unknown, one) == one
    partly = plus(plus(one, unknown), other)
    assert (partly.joules_low, partly.joules_high) == (4.0, 6.0)
    assert "not in it" in partly.method
    assert plus(partly, unknown).method.count("not in it") == 1

"""Joules of an answer or a run: counters over exactly its interval, or an estimate with its range.

Measured is what the machine's counters say between two moments, less what it takes when idle as
seen on this machine, and of that the processes' share of all CPU time. Where no counter can be
read, CPU seconds times the watts that the host has named; where it has named none, unknown.
"""

from __future__ import annotations

import os
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace

import psutil

from slm_explorer.energy import Energy, no_energy
from slm_explorer.meters.processes import TICK_S, cpu_seconds
from slm_explorer.meters.rapl import Counter

# A window counts as idle where all cores together are busy less than this share of it.
IDLE_SHARE = 0.05
# Idle power is believed after so many seconds of idle windows; the newest minute counts.
IDLE_NEEDED_S = 5.0
_IDLE_KEPT = 60
_KEPT_SAMPLES = 3600


@dataclass(frozen=True)
class Watts:
    """What all cores of this machine together take at full load above idle, as the host says."""

    low: float
    high: float


@dataclass(frozen=True)
class Sample:
    """Counters at one moment: `at` unix seconds, `ticks` a clock that never steps back.

    `busy` is the machine's core-seconds that were not idle, `processes` CPU seconds by pid.
    """

    at: float
    ticks: float
    rapl: Counter
    gpu: Counter
    busy: float
    processes: Mapping[int, float] = field(default_factory=dict)


class EnergyMeter:
    """Takes samples and says what lay between two of them. Any thread may call it."""

    def __init__(
        self,
        rapl: Callable[[], Counter],
        gpu: Callable[[], Counter],
        *,
        watts: Watts | None = None,
        cores: int | None = None,
        clock: Callable[[], float] = time.time,
        ticks: Callable[[], float] = time.monotonic,
        busy: Callable[[], float] | None = None,
        process: Callable[[int], float | None] = cpu_seconds,
    ) -> None:
        self._rapl = rapl
        self._gpu = gpu
        self._watts = watts
        self._cores = cores or os.cpu_count() or 1
        self._clock = clock
        self._ticks = ticks
        self._busy = busy or _busy_core_seconds
        self._process = process
        self._lock = threading.Lock()
        self._samples: deque[Sample] = deque(maxlen=_KEPT_SAMPLES)
        self._idle: dict[str, deque[tuple[float, float]]] = {
            "rapl": deque(maxlen=_IDLE_KEPT),
            "gpu": deque(maxlen=_IDLE_KEPT),
        }
        self._regular: Sample | None = None

    def sample(self, pids: Iterable[int]) -> Sample:
        """Read all counters now, and keep them for `interval`; called every second."""
        taken = self.begin(pids)
        with self._lock:
            before, self._regular = self._regular, taken
            if before is not None:
                self._note_idle(before, taken)
        return taken

    def begin(self, pids: Iterable[int]) -> Sample:
        """Read all counters now: the start of something that `end` will close."""
        used = {pid: self._process(pid) for pid in pids}
        taken = Sample(
            self._clock(),
            self._ticks(),
            self._rapl(),
            self._gpu(),
            self._busy(),
            {pid: seconds for pid, seconds in used.items() if seconds is not None},
        )
        with self._lock:
            if self._samples and taken.at < self._samples[-1].at:
                self._samples.clear()  # the clock was set back: what is kept has no order any more
            self._samples.append(taken)
        return taken

    def end(self, start: Sample, *, device: str = "cpu") -> Energy:
        """What the processes of `start` have spent since, on the processor and, for a "cuda"
        device, on the GPUs. A process that has ended counts up to where it was last seen.
        """
        now = self.begin(start.processes)
        processes = {
            pid: now.processes.get(pid) or self._last_seen(pid) or before
            for pid, before in start.processes.items()
        }
        used = sum(max(0.0, processes[pid] - start.processes[pid]) for pid in processes)
        return self._between(start, now, used, device)

    def interval(
        self, start: float, end: float, pids: Iterable[int], *, device: str = "cpu"
    ) -> Energy:
        """What these processes spent between two moments (unix seconds) of the last hour.

        Counters are interpolated between the samples around each end.
        """
        with self._lock:
            samples = list(self._samples)
        if end <= start or not samples or not samples[0].at <= start <= end <= samples[-1].at:
            return no_energy("n/a: the meters did not run during all of it")
        used, asked = 0.0, tuple(pids)
        for pid in asked:
            seen = [(each.at, each.processes[pid]) for each in samples if pid in each.processes]
            if not seen:
                return no_energy(f"n/a: process {pid} was never seen by the meters")
            used += max(0.0, _interpolated(seen, end) - _interpolated(seen, start))
        first = replace(_moment(samples, start), processes=dict.fromkeys(asked, 0.0))
        return self._between(first, _moment(samples, end), used, device)

    def idle_watts(self) -> float | None:
        """What the processor takes when nothing runs, as seen here; None before it was seen."""
        with self._lock:
            return self._idle_power("rapl")

    def method(self) -> str:
        """How energy is known on this machine, or why it is not."""
        rapl = self._rapl()
        if rapl.joules is not None:
            return "measured: RAPL"
        if self._watts is not None:
            return f"{self._method_of(self._watts)}; {_why(rapl)}"
        return self._unknown(rapl)

    def _last_seen(self, pid: int) -> float | None:
        with self._lock:
            return next(
                (s.processes[pid] for s in reversed(self._samples) if pid in s.processes), None
            )

    def _between(self, start: Sample, end: Sample, used: float, device: str) -> Energy:
        if not start.processes:
            return no_energy("n/a: it does not run in a process of its own")
        found = self._measured(start, end, used) or self._estimated(used)
        found = found or no_energy(self._unknown(end.rapl))
        if used <= 0:
            found = no_energy(f"n/a: it took less than the CPU clock's tick of {TICK_S * 1e3:g} ms")
        if not device.startswith("cuda"):
            return found
        gpu, idle = _passed(start.gpu, end.gpu), self._locked_idle("gpu")
        if gpu is None:
            return no_energy(end.gpu.reason or "n/a: the GPU's counter went back")
        net = max(0.0, gpu - (idle or 0.0) * (end.ticks - start.ticks))
        method = f"measured: NVML, {_idle_words(idle)}"
        if found.joules_low is None or found.joules_high is None:
            return Energy(net, net, f"{method}; the GPU alone, the processor's is not known")
        return Energy(found.joules_low + net, found.joules_high + net, f"{method}; {found.method}")

    def _measured(self, start: Sample, end: Sample, used: float) -> Energy | None:
        joules = _passed(start.rapl, end.rapl)
        if joules is None:
            return None
        idle = self._locked_idle("rapl")
        net = max(0.0, joules - (idle or 0.0) * (end.ticks - start.ticks))
        busy = end.busy - start.busy
        share = min(1.0, used / busy) if busy > 0 else 1.0
        how = f"measured: RAPL, {_idle_words(idle)}"
        if share < 0.95:
            how += f"; {share:.0%} of it by its part of all CPU time"
        return Energy(net * share, net * share, how)

    def _estimated(self, used: float) -> Energy | None:
        watts = self._watts
        if watts is None:
            return None
        # The kernel counts CPU time in ticks: either end may be off by one.
        low, high = max(0.0, used - TICK_S) / self._cores, (used + TICK_S) / self._cores
        return Energy(low * watts.low, high * watts.high, self._method_of(watts))

    def _method_of(self, watts: Watts) -> str:
        return (
            f"estimated: CPU seconds times {watts.low:g} to {watts.high:g} W for all "
            f"{self._cores} cores, as the host says"
        )

    def _unknown(self, rapl: Counter) -> str:
        return f"n/a: {_why(rapl)}, and nobody has named its watts (SLM_EXPLORER_CPU_WATTS)"

    def _note_idle(self, before: Sample, now: Sample) -> None:
        passed = now.ticks - before.ticks
        if passed <= 0 or (now.busy - before.busy) / (passed * self._cores) >= IDLE_SHARE:
            return
        for name, old, new in (("rapl", before.rapl, now.rapl), ("gpu", before.gpu, now.gpu)):
            joules = _passed(old, new)
            if joules is not None:
                self._idle[name].append((joules, passed))

    def _locked_idle(self, name: str) -> float | None:
        with self._lock:
            return self._idle_power(name)

    def _idle_power(self, name: str) -> float | None:
        seconds = sum(passed for _, passed in self._idle[name])
        if seconds < IDLE_NEEDED_S:
            return None
        return sum(joules for joules, _ in self._idle[name]) / seconds


def _why(counter: Counter) -> str:
    return (counter.reason or "n/a: the counter went back").removeprefix("n/a: ")


def _idle_words(idle: float | None) -> str:
    if idle is None:
        return "idle power in it, for this machine has not been idle yet"
    return f"less {idle:.1f} W when idle"


def _passed(start: Counter, end: Counter) -> float | None:
    if start.joules is None or end.joules is None or end.joules < start.joules:
        return None
    return end.joules - start.joules


def _interpolated(points: list[tuple[float, float]], at: float) -> float:
    """Between the points around `at`; the first or last value outside of them."""
    before = points[0]
    for point in points:
        if point[0] >= at:
            span = point[0] - before[0]
            part = (at - before[0]) / span if span > 0 else 1.0
            return before[1] + max(0.0, part) * (point[1] - before[1])
        before = point
    return before[1]


def _moment(samples: list[Sample], at: float) -> Sample:
    def counter(choose: Callable[[Sample], Counter]) -> Counter:
        known = [(each.at, value) for each in samples if (value := choose(each).joules) is not None]
        if not known or not known[0][0] <= at <= known[-1][0]:
            return Counter(None, choose(samples[-1]).reason or "n/a: not measured at that moment")
        return Counter(_interpolated(known, at))

    return Sample(
        at,
        _interpolated([(each.at, each.ticks) for each in samples], at),
        counter(lambda each: each.rapl),
        counter(lambda each: each.gpu),
        _interpolated([(each.at, each.busy) for each in samples], at),
    )


def _busy_core_seconds() -> float:
    times = psutil.cpu_times()
    return float(sum(times[:8]) - times.idle - getattr(times, "iowait", 0.0))

"""All the meters of one app, wired together: what the rest of the app holds and calls."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from pathlib import Path

from slm_explorer.energy import Energy, no_energy, plus
from slm_explorer.meters.collector import Collector
from slm_explorer.meters.energy import EnergyMeter, Sample, Watts
from slm_explorer.meters.events import EventKind, EventLog
from slm_explorer.meters.gpu import GpuMeter, load_nvml
from slm_explorer.meters.history import Minutes, Row
from slm_explorer.meters.processes import ProcessReader
from slm_explorer.meters.rapl import RaplMeter
from slm_explorer.meters.readings import Snapshot
from slm_explorer.meters.sampler import Sampler
from slm_explorer.types import WorkerState


class Meters:
    """The sampler, the energy meter and the event log. Any thread may call it.

    `workers` and `budget` are asked at every snapshot; `keep` is given a row every minute. It is
    what runtime.observer describes: `note`, `begin` and `end`.
    """

    def __init__(
        self,
        workers: Callable[[], tuple[WorkerState, ...]],
        budget: Callable[[], int],
        *,
        keep: Callable[[Row], None],
        watts: Watts | None = None,
        cache_folders: Sequence[Path] = (),
    ) -> None:
        gpu = GpuMeter(load_nvml())
        self.processes = ProcessReader()
        self.energy = EnergyMeter(RaplMeter().read, gpu.energy, watts=watts)
        self.events = EventLog()
        self._minutes = Minutes(keep)
        self._lock = threading.Lock()
        self._session: Energy | None = None
        collector = Collector(cache_folders, gpu, processes=self.processes)
        self.sampler = Sampler(workers, budget, collector=collector, heard=self._heard)

    def note(self, kind: EventKind, text: str, /) -> None:
        self.events.note(kind, text)

    def begin(self, pid: int | None, /) -> object:
        return None if pid is None else self.energy.begin((pid,))

    def end(self, began: object, device: str, /) -> Energy | None:
        if not isinstance(began, Sample):
            return no_energy("n/a: it does not run in a process of its own")
        spent = self.energy.end(began, device=device)
        with self._lock:
            self._session = plus(self._session, spent)
        return spent

    def session(self) -> Energy:
        """What all answers since the start took together."""
        with self._lock:
            return self._session or no_energy("n/a: nothing has been answered yet")

    def close(self) -> None:
        """Stop sampling, and keep the last minute."""
        self.sampler.stop()
        self._minutes.flush()

    def _heard(self, snapshot: Snapshot) -> None:
        pids = [worker.pid for worker in snapshot.workers if worker.pid is not None]
        self.energy.sample([*pids, *(helper.pid for helper in snapshot.helpers)])
        self._minutes.add(snapshot)

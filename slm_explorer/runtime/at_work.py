"""The requests that a worker is at work on: one, or as many as its engine answers together."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

from slm_explorer.energy import Energy, no_energy, plus
from slm_explorer.runtime.job import Job
from slm_explorer.runtime.observer import Observer
from slm_explorer.tasks import TaskStats
from slm_explorer.types import Done, Event, Failed, GenerationStats, ModelSpec

_SHARED = "n/a: the same process answered others at the same time"


@dataclass
class Running:
    """One of them, under the number of its ticket. `alone` until another one joins."""

    ticket: int
    job: Job
    started_at: float
    stop_asked_at: float | None = None
    alone: bool = True


class AtWork:
    """Not thread-safe: the worker's lock guards it. `tokens` were written and `energy` was taken
    so far.
    """

    def __init__(self, spec: ModelSpec, observer: Observer, clock: Callable[[], float]) -> None:
        self.tokens = 0
        self.energy: Energy | None = None
        self._spec = spec
        self._observer = observer
        self._clock = clock
        self._running: dict[int, Running] = {}
        self._ticket = 0
        self._began: object = None

    def __len__(self) -> int:
        return len(self._running)

    def __iter__(self) -> Iterator[Running]:
        return iter(list(self._running.values()))

    def __contains__(self, ticket: int) -> bool:
        return ticket in self._running

    def has_room_for(self, job: Job, together: int) -> bool:
        """Whether it may start now, with an engine that answers so many together."""
        if not self._running:
            return True
        all_share = job.shares and all(running.job.shares for running in self)
        return all_share and len(self) < together

    def start(self, job: Job, pid: int | None) -> int:
        """Its ticket: a number that was never given before."""
        if not self._running:
            self._began = self._observer.begin(pid)
        self._ticket += 1
        self._running[self._ticket] = Running(self._ticket, job, self._clock())
        if len(self) > 1:
            for running in self:
                running.alone = False
        return self._ticket

    def hear(self, ticket: int, event: Event) -> tuple[Job, Event]:
        """Whose event it is, and what it says with all that the app knows."""
        running = self._running[ticket]
        if isinstance(event, Done | Failed):
            del self._running[ticket]
        if isinstance(event, Done) and isinstance(event.stats, GenerationStats | TaskStats):
            event = Done(_with_waits(self._with_energy(event.stats, running), running))
        return running.job, event

    def clear(self) -> list[Job]:
        """All of them, who are at work no more."""
        jobs = [running.job for running in self]
        self._running.clear()
        return jobs

    def _with_energy(
        self, stats: GenerationStats | TaskStats, running: Running
    ) -> GenerationStats | TaskStats:
        written = stats.output_tokens if isinstance(stats, GenerationStats) else 0
        read = "" if isinstance(stats, GenerationStats) else f"{stats.tokens} tokens read"
        self._observer.note("answer", f"{self._spec.model}: {read or f'{written} tokens'}")
        self.tokens += written
        if self._running:
            return replace(stats, energy=no_energy(_SHARED))
        # Since it was idle: what answers at the same time have taken belongs to all of them.
        energy = self._observer.end(self._began, self._spec.device)
        if energy is not None:
            self.energy = plus(self.energy, energy)
        return replace(stats, energy=energy if running.alone else no_energy(_SHARED))


def _with_waits(
    stats: GenerationStats | TaskStats, running: Running
) -> GenerationStats | TaskStats:
    job = running.job
    loaded_at = job.submitted_at if job.loaded_at is None else job.loaded_at
    return replace(
        stats, load_s=loaded_at - job.submitted_at, queue_s=running.started_at - loaded_at
    )

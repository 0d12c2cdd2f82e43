"""Which models are loaded, who may use them, and who must go: one manager for the whole app."""

from __future__ import annotations

import itertools
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import TypeVar

from slm_explorer.errors import DoesNotFit, Evicted, SlmError
from slm_explorer.runtime.budget import MemoryView, budget, make_room
from slm_explorer.runtime.job import POLL_S, Aftermath, Job
from slm_explorer.runtime.launcher import Launcher
from slm_explorer.runtime.lease import Lease
from slm_explorer.runtime.observer import Observer, Unobserved
from slm_explorer.runtime.reasons import shutting_down, stopped_early, too_much, unloaded
from slm_explorer.runtime.reservation import Reservation
from slm_explorer.runtime.roster import DESERTED, Roster
from slm_explorer.runtime.watchdog import Watchdog, next_round, offender
from slm_explorer.runtime.wire import Loaded
from slm_explorer.runtime.worker import Worker
from slm_explorer.settings import Settings
from slm_explorer.types import Done, Event, Failed, ModelInfo, ModelSpec, Request, WorkerState

__all__ = ["Lease", "MemoryView", "ModelManager"]

T = TypeVar("T")

# A killed process is gone in milliseconds; one that is still starting may take seconds.
_GONE_S = 10.0

OnLoad = Callable[[ModelSpec, ModelInfo, int, int | None], None]
"""After every load: (spec, info, predicted bytes, measured peak bytes or None). Raises nothing."""


class ModelManager:
    """Loads models lazily, one worker a spec, within the memory budget.

    `footprint` estimates a spec's bytes without reading weights, and may raise SlmError.
    `memory` says what this machine or container has. `process_memory` gives a process's
    private bytes (USS), None where unknown. `observer` is told what happens. `clock` is for tests.

    A worker that dies or hangs fails the request it ran; requests that waited for it are
    tried once more on a new worker, in their order, and fail if that dies too. A worker that
    dies while it loads fails everybody who waited, since they would load the same thing. A
    worker that is unloaded fails all of them. The next request always starts a new one.
    """

    def __init__(
        self,
        launcher: Launcher,
        *,
        footprint: Callable[[ModelSpec], int],
        memory: Callable[[], MemoryView],
        process_memory: Callable[[int], int | None],
        settings: Settings,
        on_load: OnLoad | None = None,
        observer: Observer | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._launcher = launcher
        self._footprint = footprint
        self._memory = memory
        self._process_memory = process_memory
        self._settings = settings
        self._on_load = on_load
        self._observer: Observer = observer or Unobserved()
        self._clock = clock
        self._lock = threading.Lock()
        # Requests enter a worker under the lock only, so an idle one stays idle while it is held.
        self._roster = Roster()
        self._numbers = itertools.count(1)
        self._closed = False
        self._watchdog: Watchdog[Job] = Watchdog(self.check, self._drop)

    def prewarm(self) -> None:
        """Make the first load quick. Returns at once."""
        self._launcher.prewarm()

    def stream(self, spec: ModelSpec, request: Request, cancel: threading.Event) -> Iterator[Event]:
        """Answer a request. Blocks between events; exactly one Done or Failed ends it.

        Setting `cancel` stops it within one token; so does closing the generator.
        """
        job = Job(request, request.visitor, cancel, self._clock())
        over = stopped = False
        try:
            try:
                self._submit(spec, job)
            except SlmError as error:
                job.fail(error)
            while not over:
                event = job.mailbox.get(POLL_S)
                if job.unwanted and not stopped:
                    stopped = True
                    self._drop(job)
                if event is not None:
                    over = isinstance(event, Done | Failed)
                    yield event
        finally:
            if not over:
                self._abandon(job)

    @contextmanager
    def lease(self, spec: ModelSpec, *, visitor: str, cancel: threading.Event) -> Iterator[Lease]:
        """Hold a model: it begins to load, and nobody else's need or idle timeout unloads it.

        Raises what stands against loading it, DoesNotFit above all.
        """
        job = Job(None, visitor, cancel, self._clock())
        lease = Lease(spec, job, lambda request: self.stream(spec, request, cancel))
        with self._lock:
            self._roster.leases.append(lease)
        try:
            self._submit(spec, job)
            yield lease
        finally:
            lease.open = False
            self._abandon(job)

    @contextmanager
    def reserve(
        self, name: str, needed: int, over: Callable[[SlmError], None]
    ) -> Iterator[Reservation]:
        """Keep `needed` bytes of the budget for a process of the caller's own. Idle workers go
        first, and are gone when it is granted. Raises DoesNotFit.
        """
        key = f"{name}#{next(self._numbers)}"
        reservation = Reservation(key, name, needed, self._note_beginning, over)
        leaving = self._with_room(lambda: self._keep(reservation))
        try:
            for worker in leaving:
                worker.gone.wait(_GONE_S)
            yield reservation
        finally:
            with self._lock:
                del self._roster.reservations[reservation.key]

    def states(self) -> tuple[WorkerState, ...]:
        """All workers, those that are ending too. The memory of each is the meters' matter."""
        with self._lock:
            workers = [*self._roster.workers.values(), *self._roster.leaving]
        return tuple(worker.state() for worker in workers)

    def unload(self, key: str) -> None:
        """End the worker of that key and wait until its memory is free.

        A running request gets Failed(Evicted). A key that is gone already is no error.
        """
        with self._lock:
            worker = self._roster.by_key(key)
            if worker is not None:
                self._dismiss(worker, unloaded(worker.spec.model))
            leaving = [worker for worker in self._roster.leaving if worker.key == key]
        for worker in leaving:
            worker.gone.wait(_GONE_S)

    def close(self) -> None:
        """End all workers and threads; requests fail from here on. Idempotent."""
        with self._lock:
            self._closed = True
            for worker in list(self._roster.workers.values()):
                self._dismiss(worker, shutting_down())
            leaving = list(self._roster.leaving)
        deadline = time.monotonic() + _GONE_S
        for worker in leaving:
            worker.join(max(0.0, deadline - time.monotonic()))
        self._watchdog.stop()

    def check(self) -> float:
        """One round of the watchdog: hung, idle and too large workers go. Returns the seconds
        until the next: fewer the closer the memory is to its limit.
        """
        with self._lock:
            self._roster.leases = [lease for lease in self._roster.leases if lease.open]
            workers = list(self._roster.workers.values())
            reservations = list(self._roster.reservations.values())
        for reservation in reservations:
            reservation.measure(self._process_memory)
        for worker in workers:
            worker.measure(self._process_memory)
            worker.drop_unwanted()
            worker.end_if_hung(self._settings.hang_timeout_s)
        with self._lock:
            memory = self._roster.fence(self._memory)
            total = budget(memory, self._settings.memory_budget)
            for worker, reason in self._roster.overdue(self._settings.idle_timeout_s):
                self._dismiss(worker, reason)
            claims = self._roster.all_claims()
            # The memory of one that is ending comes back first, or all would go one by one.
            key = None if self._roster.leaving else offender(claims, total, memory)
            used = sum(claim.measured or 0 for claim in claims)
            culprit = None if key is None else self._roster.by_key(key)
            if culprit is not None:
                words = too_much(culprit.spec.model, used, total, memory)
                self._dismiss(culprit, words)
                self._observer.note("alarm", str(words))
            over = self._roster.reservations.get(key or "")
        if over is not None:
            over.stop(used, total, memory)
        return next_round(memory, busy=any(claim.idle_s is None for claim in claims))

    # Requests.

    def _abandon(self, job: Job) -> None:
        # Without any lock: see Job.abandoned.
        job.abandoned = True
        self._watchdog.report(job)

    def _submit(self, spec: ModelSpec, job: Job) -> None:
        """Into the line of the spec's worker, which is started where there is none."""
        needed: int | None = None
        while not self._with_room(partial(self._enter, spec, job, needed)):
            # Outside the lock, for it may read a model's configuration.
            needed = self._footprint(spec)

    def _with_room(self, take: Callable[[], T]) -> T:
        """`take` under the lock, and again where it raises DoesNotFit while workers are ending:
        what they give back may be enough.
        """
        awaited: list[Worker] = []
        while True:
            with self._lock:
                if self._closed:
                    raise shutting_down()
                try:
                    return take()
                except DoesNotFit:
                    awaited = [each for each in self._roster.leaving if each not in awaited]
                    if not awaited:
                        raise
            for worker in awaited:
                worker.gone.wait(_GONE_S)

    def _enter(self, spec: ModelSpec, job: Job, needed: int | None) -> bool:
        """False where a worker must be started, and what it needs is not known yet."""
        if job.unwanted:
            raise stopped_early()
        worker = self._roster.workers.get(spec)
        if worker is not None:
            if worker.resting:
                self._roster.fence(self._memory, worker)
            if worker.submit(job):
                return True
        if needed is not None:
            self._start(spec, needed, job)
        return needed is not None

    def _start(self, spec: ModelSpec, needed: int, job: Job) -> None:
        # One that the watchdog has just ended may still be here under the same spec.
        if (ending := self._roster.workers.pop(spec, None)) is not None:
            self._roster.leaving.append(ending)
        self._make_room(spec.model, needed)
        worker = Worker(
            f"{spec.model}:{spec.recipe}#{next(self._numbers)}",
            spec,
            needed,
            self._launcher,
            self._clock,
            self._note_beginning,
            self._note_loaded,
            self._note_ended,
            self._observer,
        )
        self._roster.workers[spec] = worker
        worker.submit(job)
        worker.begin(tuple(self._roster.leaving))
        self._watchdog.start()
        self._watchdog.hurry()

    def _drop(self, job: Job) -> None:
        """A request that nobody wants any more; and a load that nobody waits for."""
        with self._lock:
            if (worker := job.worker) is None:
                return
            worker.cancel(job)
            if self._roster.workers.get(worker.spec) is worker and self._roster.deserted(worker):
                self._dismiss(worker, Evicted(DESERTED))

    # Workers. The lock is held where a name starts with an underscore and is no callback.

    def _keep(self, reservation: Reservation) -> list[Worker]:
        leaving = self._make_room(reservation.name, reservation.needed)
        self._roster.reservations[reservation.key] = reservation
        self._watchdog.start()
        return leaving

    def _make_room(self, name: str, needed: int) -> list[Worker]:
        """Dismiss the idle workers that must go, and say which. Raises DoesNotFit."""
        memory = self._memory()
        total = budget(memory, self._settings.memory_budget)
        most = self._settings.max_workers
        claims = self._roster.all_claims()
        leaving = make_room(name, needed, claims, total=total, memory=memory, max_workers=most)
        idle = [worker for worker in self._roster.workers.values() if worker.key in leaving]
        for worker in idle:
            self._dismiss(worker, Evicted("It made room for another model."))
        return idle

    def _dismiss(self, worker: Worker, reason: SlmError) -> None:
        del self._roster.workers[worker.spec]
        self._roster.leaving.append(worker)
        worker.end(reason)
        self._observer.note("evict", f"{worker.spec.model} is unloaded. {reason}")

    def _note_beginning(self) -> None:
        with self._lock:
            self._roster.fence(self._memory)

    def _note_loaded(self, worker: Worker, loaded: Loaded) -> None:
        self._observer.note("load", f"{worker.spec.model} loaded in {loaded.info.load_s:.2f} s")
        if self._on_load is not None:
            self._on_load(worker.spec, loaded.info, worker.predicted, loaded.peak_memory_bytes)

    def _note_ended(self, worker: Worker, rest: Aftermath) -> None:
        with self._lock:
            self._roster.forget(worker)
        for job, failed in rest.failures:
            job.mailbox.put(failed)
        for job in rest.retries:
            try:
                self._submit(worker.spec, job)
            except SlmError as error:
                job.fail(error)

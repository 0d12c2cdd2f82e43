"""The app's side of one worker: who waits for it, what it works on, and how that ends."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from dataclasses import replace

from slm_explorer.errors import Evicted, SlmError
from slm_explorer.runtime.at_work import AtWork, Running
from slm_explorer.runtime.budget import Claim
from slm_explorer.runtime.fair_queue import FairQueue
from slm_explorer.runtime.job import Aftermath, Job, failed
from slm_explorer.runtime.launcher import Launcher
from slm_explorer.runtime.link import Link
from slm_explorer.runtime.observer import Observer
from slm_explorer.runtime.reasons import crashed, hung, stopped_early
from slm_explorer.runtime.wire import (
    Cancel,
    FromWorker,
    Loaded,
    LoadFailed,
    Run,
    Said,
)
from slm_explorer.types import (
    Done,
    Event,
    Failed,
    Loading,
    ModelInfo,
    ModelSpec,
    Queued,
    WorkerPhase,
    WorkerState,
)


class Worker:
    """One process for one spec. Visitors take turns; as many requests run at once as the engine
    answers together, and one that wants the worker for itself waits until nobody else runs.

    `begins` is called when its process is about to work: to load, and to answer for the first
    time. It, `loaded` and `ended` are called on this worker's thread without its lock held.
    """

    def __init__(
        self,
        key: str,
        spec: ModelSpec,
        predicted: int,
        launcher: Launcher,
        clock: Callable[[], float],
        begins: Callable[[], None],
        loaded: Callable[[Worker, Loaded], None],
        ended: Callable[[Worker, Aftermath], None],
        observer: Observer,
    ) -> None:
        self.key = key
        self.spec = spec
        self.predicted = predicted
        self._clock = clock
        self._begins = begins
        self._loaded = loaded
        self._ended = ended
        self._observer = observer
        self._lock = threading.Lock()
        self._line: FairQueue[Job] = FairQueue()
        self._phase: WorkerPhase = "loading"
        self._loading = Loading(0.0, "starting")
        self._info: ModelInfo | None = None
        self._at_work = AtWork(spec, observer, clock)
        # None until the process has started: how long an interpreter takes is not its fault.
        self._last_sign: float | None = None
        self._idle_since = clock()
        self._measured: int | None = None
        self._peak: int | None = None
        self._reason: SlmError | None = None
        self._failure: Failed | None = None
        self._link = Link(key, spec, launcher, begins, self._hear, self._bury)

    # What the manager asks of it. None of this blocks.

    @property
    def gone(self) -> threading.Event:
        """Set when the process is gone, and everybody has been told."""
        return self._link.gone

    def begin(self, after: Sequence[Worker]) -> None:
        """Start the process as soon as the workers that make room for it are gone."""
        self._link.begin([worker.gone for worker in after])

    def submit(self, job: Job) -> bool:
        """Put a request in the line; False where this worker is ending and takes no more."""
        with self._lock:
            if self._phase in ("stopping", "dead"):
                return False
            job.worker = self
            job.ahead = 0
            if self._info is None:
                job.mailbox.put(self._loading)
                self._line.push(job)
                self._announce()
            elif job.request is None:
                self._grant(job, self._info)
            else:
                self._line.push(job)
                self._next()
            return True

    def cancel(self, job: Job) -> None:
        """Stop this request wherever it is: in the line at once, else within one token."""
        with self._lock:
            for running in self._at_work:
                if job is running.job:
                    self._ask_to_stop(running)
                    return
            if self._line.remove(job):
                job.fail(stopped_early())
                self._announce()

    def end(self, reason: SlmError) -> None:
        """End the process now. `reason` is what those who wait on it will read."""
        with self._lock:
            if self._phase in ("stopping", "dead"):
                return
            self._reason = reason
            self._phase = "stopping"
        self._link.kill()

    def join(self, timeout: float) -> None:
        self._link.join(timeout)

    def end_if_hung(self, timeout_s: float) -> None:
        """End it where an engine at work has shown no sign of life for so long, or has not
        ended a request that was stopped so long ago.
        """
        with self._lock:
            if self._phase not in ("loading", "busy") or self._last_sign is None:
                return
            since = self._last_sign
            for running in self._at_work:
                if running.stop_asked_at is not None:
                    since = min(since, running.stop_asked_at)
            if self._clock() - since <= timeout_s:
                return
            doing = "load" if self._info is None else "answer"
        self.end(hung(self.spec.model, doing, timeout_s))

    def drop_unwanted(self) -> None:
        """Take requests out of the line whose readers have gone away."""
        with self._lock:
            jobs = [job for job in self._line.order() if job.unwanted]
        for job in jobs:
            self.cancel(job)

    def measure(self, process_memory: Callable[[int], int | None]) -> None:
        """Look up what the process takes; what is unknown keeps its last value."""
        pid = self._link.pid
        size = None if pid is None else process_memory(pid)
        if size is not None:
            with self._lock:
                self._measured = size

    # What it is like now.

    @property
    def pid(self) -> int | None:
        return self._link.pid

    @property
    def resting(self) -> bool:
        """It has loaded, and answers nothing."""
        with self._lock:
            return self._info is not None and not self._at_work

    @property
    def deserted(self) -> bool:
        """It still loads, and nobody waits for it any more."""
        with self._lock:
            return self._phase == "loading" and not len(self._line)

    def claim(self, leased: bool) -> Claim:
        """Its part of the memory; idle only where no lease holds it."""
        with self._lock:
            idle = self._phase == "idle" and not leased
            return Claim(
                key=self.key,
                predicted=self.predicted,
                measured=self._measured,
                loading=self._phase == "loading",
                idle_s=self._clock() - self._idle_since if idle else None,
            )

    def state(self) -> WorkerState:
        with self._lock:
            return WorkerState(
                key=self.key,
                spec=self.spec,
                pid=self._link.pid,
                phase=self._phase,
                loading_fraction=self._loading.fraction,
                info=self._info,
                predicted_bytes=self.predicted,
                waiting=len(self._line),
                idle_s=self._clock() - self._idle_since if self._phase == "idle" else 0.0,
                peak_memory_bytes=self._peak,
                tokens=self._at_work.tokens,
                energy=self._at_work.energy,
            )

    # The line. All of this is called with the lock held.

    def _next(self) -> None:
        while (job := self._line.peek()) is not None:
            if job.request is None or job.unwanted:
                self._line.pop()
                job.fail(stopped_early())
                continue
            if not self._at_work.has_room_for(job, self._info.batch if self._info else 1):
                break
            self._line.pop()
            if not self._at_work:
                self._last_sign = self._clock()
            self._link.send(Run(self._at_work.start(job, self._link.pid), job.request))
        if not self._at_work:
            self._idle_since = self._clock()
        self._phase = "busy" if self._at_work else "idle"
        self._announce()

    def _announce(self) -> None:
        before = 1 if self._at_work else 0
        for ahead, job in enumerate(self._line.order(), start=before):
            if job.ahead != ahead:
                job.ahead = ahead
                job.mailbox.put(Queued(ahead))

    def _ask_to_stop(self, running: Running) -> None:
        if running.stop_asked_at is None:
            running.stop_asked_at = self._clock()
            self._link.send(Cancel(running.ticket))

    def _grant(self, job: Job, info: ModelInfo) -> None:
        job.info = info
        job.mailbox.put(Loading(1.0, "loaded"))

    # What the process says, on the link's thread.

    def _hear(self, message: FromWorker) -> None:
        with self._lock:
            self._last_sign = self._clock()
            if isinstance(message, Loaded):
                message = self._become_ready(message)
            elif isinstance(message, LoadFailed):
                self._failure = message.failure
            elif isinstance(message, Said):
                self._pass_on(message.ticket, message.event)
            for running in self._at_work:
                if running.job.unwanted:
                    self._ask_to_stop(running)
        if isinstance(message, Loaded):
            self._begins()
            with self._lock:
                if self._phase == "loading":
                    self._next()
            self._loaded(self, message)

    def _become_ready(self, loaded: Loaded) -> Loaded:
        if self._link.pid is None:
            # Not a process of its own: the figures are those of the whole app.
            loaded = replace(loaded, memory_bytes=None, peak_memory_bytes=None)
        self._info = loaded.info
        self._measured, self._peak = loaded.memory_bytes, loaded.peak_memory_bytes
        self._loading = Loading(1.0, "loaded")
        now = self._clock()
        for job in self._line.order():
            job.loaded_at = now
            if job.request is None:
                self._line.remove(job)
                self._grant(job, loaded.info)
        return loaded

    def _pass_on(self, ticket: int | None, event: Event) -> None:
        if ticket is None:
            if isinstance(event, Loading):
                self._loading = event
            for job in self._line.order():
                job.mailbox.put(event)
        elif ticket in self._at_work:
            self._deliver(ticket, event)

    def _deliver(self, ticket: int, event: Event) -> None:
        job, event = self._at_work.hear(ticket, event)
        if isinstance(event, Done) and self._link.pid is not None:
            self._peak = max(self._peak or 0, event.stats.peak_memory_bytes or 0) or None
        if not job.abandoned:
            job.mailbox.put(event)
        if isinstance(event, Done | Failed) and self._phase == "busy":
            self._next()

    def _bury(self, code: int | None, failure: Exception | None) -> None:
        with self._lock:
            self._phase = "dead"
            error = self._reason or crashed(self.spec.model, code, failure)
            if self._reason is None:
                self._observer.note("alarm", str(error))
            rest = Aftermath()
            rest.failures += [(job, failed(error)) for job in self._at_work.clear()]
            same_again = self._info is None or isinstance(error, Evicted)
            while (job := self._line.pop()) is not None:
                if same_again or job.retried:
                    rest.failures.append((job, self._failure or failed(error)))
                else:
                    job.retried = True
                    job.worker = None
                    rest.retries.append(job)
        self._ended(self, rest)

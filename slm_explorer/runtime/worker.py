"""The app's side of one worker: its line of requests, its process, and the end of both.

Two threads serve a worker: one starts the process, reads what it says and clears up when it
ends; one writes, so that nobody who asks ever blocks on a pipe.
"""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace

from slm_explorer.errors import Cancelled, Evicted, SlmError, WorkerCrashed, WorkerHung
from slm_explorer.runtime.budget import Claim
from slm_explorer.runtime.fair_queue import FairQueue
from slm_explorer.runtime.job import Job
from slm_explorer.runtime.launcher import Launcher, Place
from slm_explorer.runtime.wire import (
    Cancel,
    Connection,
    FromWorker,
    Load,
    Loaded,
    LoadFailed,
    Run,
    Said,
    ToWorker,
)
from slm_explorer.types import (
    Done,
    Event,
    Failed,
    GenerationStats,
    Loading,
    ModelInfo,
    ModelSpec,
    Queued,
    WorkerPhase,
    WorkerState,
)


@dataclass
class Aftermath:
    """What is left of a worker's line when it has ended: who is told what, who tries again."""

    failures: list[tuple[Job, Failed]] = field(default_factory=list)
    retries: list[Job] = field(default_factory=list)


class Worker:
    """One process for one spec. Requests run one at a time, visitors take turns.

    `loaded` and `ended` are called on this worker's thread without its lock held.
    """

    def __init__(
        self,
        key: str,
        spec: ModelSpec,
        predicted: int,
        launcher: Launcher,
        clock: Callable[[], float],
        loaded: Callable[[Worker, Loaded], None],
        ended: Callable[[Worker, Aftermath], None],
    ) -> None:
        self.key = key
        self.spec = spec
        self.predicted = predicted
        self.gone = threading.Event()
        self._launcher = launcher
        self._clock = clock
        self._loaded = loaded
        self._ended = ended
        self._lock = threading.Lock()
        self._line: FairQueue[Job] = FairQueue()
        self._outbox: queue.SimpleQueue[ToWorker | None] = queue.SimpleQueue()
        self._phase: WorkerPhase = "loading"
        self._loading = Loading(0.0, "starting")
        self._info: ModelInfo | None = None
        self._place: Place | None = None
        self._running: Job | None = None
        self._ticket = 0
        self._started_at = 0.0
        self._stop_asked_at: float | None = None
        self._last_sign = self._idle_since = clock()
        self._measured: int | None = None
        self._peak: int | None = None
        self._reason: SlmError | None = None
        self._failure: Failed | None = None
        self._exit_code: int | None = None
        self._thread: threading.Thread | None = None

    # What the manager asks of it. None of this blocks.

    def begin(self, after: Sequence[Worker]) -> None:
        """Start the process as soon as the workers that make room for it are gone."""
        self._thread = threading.Thread(
            target=self._live, args=(after,), name=f"worker {self.key}", daemon=True
        )
        self._thread.start()

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
            if job is self._running:
                self._ask_to_stop()
            elif self._line.remove(job):
                job.fail(Cancelled("The request was stopped before it began."))
                self._announce()

    def end(self, reason: SlmError) -> None:
        """End the process now. `reason` is what those who wait on it will read."""
        with self._lock:
            if self._phase in ("stopping", "dead"):
                return
            self._reason = reason
            self._phase = "stopping"
            place = self._place
        if place is not None:
            place.kill()

    def join(self, timeout: float) -> None:
        if self._thread is not None:
            self._thread.join(timeout)

    def end_if_hung(self, timeout_s: float) -> None:
        """End it where an engine at work has shown no sign of life for so long, or has not
        ended a request that was stopped so long ago.
        """
        with self._lock:
            if self._phase not in ("loading", "busy"):
                return
            since = self._last_sign
            if self._stop_asked_at is not None:
                since = min(since, self._stop_asked_at)
            if self._clock() - since <= timeout_s:
                return
            doing = "load" if self._info is None else "answer"
        self.end(
            WorkerHung(
                f"{self.spec.model} did not {doing} for {timeout_s:g} seconds and was ended: "
                "try again, or choose a smaller model."
            )
        )

    def drop_unwanted(self) -> None:
        """Take requests out of the line whose readers have gone away."""
        with self._lock:
            jobs = [job for job in self._line.order() if job.unwanted]
        for job in jobs:
            self.cancel(job)

    def measure(self, process_memory: Callable[[int], int | None]) -> None:
        """Look up what the process takes; what is unknown keeps its last value."""
        with self._lock:
            pid = None if self._place is None else self._place.pid
        size = None if pid is None else process_memory(pid)
        if size is not None:
            with self._lock:
                self._measured = size

    # What it is like now.

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
                pid=None if self._place is None else self._place.pid,
                phase=self._phase,
                loading_fraction=self._loading.fraction,
                info=self._info,
                predicted_bytes=self.predicted,
                waiting=len(self._line),
                idle_s=self._clock() - self._idle_since if self._phase == "idle" else 0.0,
                peak_memory_bytes=self._peak,
            )

    # The line. All of this is called with the lock held.

    def _next(self) -> None:
        while self._running is None and (job := self._line.pop()) is not None:
            if job.request is None or job.unwanted:
                job.fail(Cancelled("The request was stopped before it began."))
                continue
            self._running = job
            self._ticket += 1
            self._stop_asked_at = None
            self._started_at = self._last_sign = self._clock()
            self._outbox.put(Run(self._ticket, job.request))
        if self._running is None:
            self._idle_since = self._clock()
        self._phase = "idle" if self._running is None else "busy"
        self._announce()

    def _announce(self) -> None:
        before = 0 if self._running is None else 1
        for ahead, job in enumerate(self._line.order(), start=before):
            if job.ahead != ahead:
                job.ahead = ahead
                job.mailbox.put(Queued(ahead))

    def _ask_to_stop(self) -> None:
        if self._stop_asked_at is None:
            self._stop_asked_at = self._clock()
            self._outbox.put(Cancel(self._ticket))

    def _grant(self, job: Job, info: ModelInfo) -> None:
        job.info = info
        job.mailbox.put(Loading(1.0, "loaded"))

    # The process.

    def _live(self, after: Sequence[Worker]) -> None:
        try:
            for other in after:
                other.gone.wait()
            self._serve()
        finally:
            try:
                self._bury()
            finally:
                self.gone.set()

    def _serve(self) -> None:
        with self._lock:
            if self._reason is not None:
                return
        try:
            place = self._launcher.start(self.spec)
        except OSError as error:
            self.end(
                WorkerCrashed(
                    f"No process could be started for {self.spec.model} "
                    f"({error.strerror or error}): unload a model, and try again."
                )
            )
            return
        with self._lock:
            self._place = place
            self._last_sign = self._clock()
            unwanted = self._reason is not None
        if unwanted:
            place.kill()
        self._outbox.put(Load(self.spec))
        writer = threading.Thread(
            target=self._write, args=(place.connection,), name=f"to {self.key}", daemon=True
        )
        writer.start()
        try:
            while True:
                message = place.connection.recv()
                self._hear(message)
        except (EOFError, OSError):
            pass  # The process is ending: that is the only way out of here.
        finally:
            self._exit_code = place.reap()
            self._outbox.put(None)
            writer.join()
            place.connection.close()

    def _write(self, connection: Connection) -> None:
        try:
            while (message := self._outbox.get()) is not None:
                connection.send(message)
        except OSError:
            pass  # The reading thread hears of it too, and clears up.

    def _hear(self, message: FromWorker) -> None:
        with self._lock:
            self._last_sign = self._clock()
            if isinstance(message, Loaded):
                message = self._become_ready(message)
            elif isinstance(message, LoadFailed):
                self._failure = message.failure
            elif isinstance(message, Said) and message.ticket is None:
                if isinstance(message.event, Loading):
                    self._loading = message.event
                for job in self._line.order():
                    job.mailbox.put(message.event)
            elif isinstance(message, Said) and message.ticket == self._ticket:
                self._deliver(message.event)
            if self._running is not None and self._running.unwanted:
                self._ask_to_stop()
        if isinstance(message, Loaded):
            self._loaded(self, message)

    def _become_ready(self, loaded: Loaded) -> Loaded:
        if self._place is None or self._place.pid is None:
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
        if self._phase == "loading":
            self._next()
        return loaded

    def _deliver(self, event: Event) -> None:
        job = self._running
        if job is None:
            return
        if isinstance(event, Done):
            self._peak = event.stats.peak_memory_bytes or self._peak
            if isinstance(event.stats, GenerationStats):
                event = Done(self._with_waits(event.stats, job))
        if not job.abandoned:
            job.mailbox.put(event)
        if isinstance(event, Done | Failed):
            self._running = None
            self._stop_asked_at = None
            if self._phase == "busy":
                self._next()

    def _with_waits(self, stats: GenerationStats, job: Job) -> GenerationStats:
        loaded_at = job.submitted_at if job.loaded_at is None else job.loaded_at
        return replace(
            stats, load_s=loaded_at - job.submitted_at, queue_s=self._started_at - loaded_at
        )

    def _bury(self) -> None:
        with self._lock:
            self._phase = "dead"
            error = self._reason or self._crash()
            rest = Aftermath()
            shared_fate = self._info is None or isinstance(error, Evicted)
            if self._running is not None:
                rest.failures.append((self._running, self._failed(error)))
                self._running = None
            while (job := self._line.pop()) is not None:
                if shared_fate or job.retried:
                    rest.failures.append((job, self._failure or self._failed(error)))
                else:
                    job.retried = True
                    job.worker = None
                    rest.retries.append(job)
        self._ended(self, rest)

    def _failed(self, error: SlmError) -> Failed:
        return Failed(str(error), type(error).__name__)

    def _crash(self) -> WorkerCrashed:
        code = self._exit_code
        if code == -9:
            cause = "was ended by the system, likely because it ran out of memory (signal 9)"
            advice = "unload another model or choose a smaller one"
        elif code is not None and code < 0:
            cause = f"crashed in native code (signal {-code})"
            advice = "send the message again; it loads anew"
        else:
            known = "" if code is None else f" (exit code {code})"
            cause = f"ended unexpectedly{known}"
            advice = "send the message again; it loads anew"
        return WorkerCrashed(f"The process that ran {self.spec.model} {cause}: {advice}.")

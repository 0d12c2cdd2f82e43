"""One thread that takes a snapshot every second, for all browsers together."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path

import psutil

from slm_explorer.errors import SlmError
from slm_explorer.meters.collector import Collector
from slm_explorer.meters.gpu import GpuMeter, load_nvml
from slm_explorer.meters.readings import Snapshot
from slm_explorer.types import WorkerState

# Long enough for the kernel's clock ticks of 10 ms to make a rate.
RATE_S = 0.25


class Sampler:
    """The meters' history and newest snapshot. Every method may be called from any thread.

    `workers` and `budget` are asked at every snapshot, and `heard` is told of each that the
    thread takes. `history_s` seconds are kept.
    """

    def __init__(
        self,
        workers: Callable[[], tuple[WorkerState, ...]],
        budget: Callable[[], int],
        *,
        cache_folders: Sequence[Path] = (),
        interval_s: float = 1.0,
        history_s: float = 600.0,
        collector: Collector | None = None,
        heard: Callable[[Snapshot], None] | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._workers = workers
        self._budget = budget
        self._interval_s = interval_s
        self._collector = collector or Collector(cache_folders, GpuMeter(load_nvml()))
        self._heard = heard
        self._clock = clock
        self._history: deque[Snapshot] = deque(maxlen=max(2, round(history_s / interval_s)))
        self._changed = threading.Condition()
        self._collecting = threading.Lock()
        self._stopping = threading.Event()
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """Begin to sample; nothing happens where it runs already."""
        with self._changed:
            if self._thread is not None and self._thread.is_alive():
                return
            self._stopping = threading.Event()
            self._thread = threading.Thread(
                target=self._run, args=(self._stopping,), name="meters", daemon=True
            )
            self._thread.start()

    def stop(self) -> None:
        """End the thread and wait for it; nothing happens where none runs."""
        with self._changed:
            thread, self._thread = self._thread, None
            self._stopping.set()
        if thread is not None and thread is not threading.current_thread():
            thread.join()

    def latest(self) -> Snapshot:
        """The newest snapshot; a new one is taken where none is at hand and no thread runs."""
        with self._changed:
            running = self._thread is not None and self._thread.is_alive()
            newest = self._history[-1] if self._history else None
        if newest is not None and (running or 0 <= self._clock() - newest.at < self._interval_s):
            return newest
        return self._take()

    def read(self) -> Snapshot:
        """A new snapshot now, with rates: it takes two where there is no earlier one.

        Blocks for RATE_S then. For one question from a script, not for pages.
        """
        with self._changed:
            first = not self._history
        if first:
            self._take()
            threading.Event().wait(RATE_S)
        return self._take()

    def history(self) -> tuple[Snapshot, ...]:
        """The snapshots kept, oldest first."""
        with self._changed:
            return tuple(self._history)

    def wait_for_next(self, after: float, timeout: float | None = None) -> Snapshot | None:
        """The newest snapshot later than `after` (unix seconds), as soon as there is one.

        None once `timeout` seconds have passed without.
        """
        with self._changed:
            self._changed.wait_for(
                lambda: bool(self._history) and self._history[-1].at > after, timeout
            )
            newest = self._history[-1] if self._history else None
        return newest if newest is not None and newest.at > after else None

    def _run(self, stopping: threading.Event) -> None:
        while not stopping.is_set():
            # Where a meter fails one moment is lost: the next is tried, and pages see how old
            # the newest snapshot is.
            with suppress(OSError, RuntimeError, ValueError, psutil.Error, SlmError):
                snapshot = self._take()
                if self._heard is not None:
                    self._heard(snapshot)
            stopping.wait(self._interval_s)

    def _take(self) -> Snapshot:
        with self._collecting:
            now = self._clock()
            snapshot = self._collector.collect(now, self._workers(), self._budget())
        with self._changed:
            if self._history and now < self._history[-1].at:
                self._history.clear()  # the clock was set back: the order would be lost
            self._history.append(snapshot)
            self._changed.notify_all()
        return snapshot

"""Downloads that belong to the app: queued, two at a time, watched from anywhere, cancelled at
once. Each has a thread that listens to a child process; ending the child is the cancel.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

from slm_explorer.errors import HubError, InvalidRequest, SlmError
from slm_explorer.hub.errand import Errand
from slm_explorer.hub.values import DownloadState

AT_ONCE = 2
MAX_WAITING = 20
# How many ended ones are remembered.
_MAX_ENDED = 50
STALL_S = 10.0
# Speed is over the last so many seconds: long enough to be calm, short enough to be true.
_WINDOW_S = 5.0
# A killed child is gone in milliseconds.
_GONE_S = 5.0

Prepare = Callable[[DownloadState, Callable[[Errand], None]], dict[str, Any]]
"""Look up and check: the order for the child, with "commit", "total" and "kept" bytes. What it
asks a child itself it gives to the callback, so that a cancel ends it too. Raises SlmError."""


class Download:
    """One repository's download. Its state changes under the lock of its Downloads only."""

    def __init__(self, hub_id: str, revision: str, changed: threading.Condition) -> None:
        self._changed = changed
        self._state = DownloadState(hub_id, revision, "queued")
        self._errand: Errand | None = None
        self._samples: deque[tuple[float, int]] = deque()
        self._came_at = 0.0

    def state(self) -> DownloadState:
        """With speed, time left and stall as of now."""
        state = self._state
        if state.status != "downloading":
            return state
        now = time.monotonic()
        quiet = now - self._came_at
        if quiet >= STALL_S:
            return replace(state, stalled_s=quiet)
        first_at, first = self._samples[0]
        last_at, last = self._samples[-1]
        if last_at - first_at < 0.5 or last <= first:
            return state
        speed = (last - first) / (now - first_at)
        return replace(
            state, bytes_per_s=speed, seconds_left=(state.bytes_total - state.bytes_done) / speed
        )

    def cancel(self) -> None:
        if not self._state.ended:
            self._set(status="cancelled", file=None)
            if self._errand is not None:
                self._errand.kill()

    def run(self, prepare: Prepare, check: Callable[[Path], None]) -> None:
        """Everything from the first look to the end; nothing escapes but bugs."""
        try:
            if not self._advance(status="looking up"):
                return
            self._fetch(prepare(self._state, self._attach), check)
        except SlmError as error:
            self._advance(
                status="failed", file=None, error=str(error), error_kind=type(error).__name__
            )

    def _fetch(self, order: dict[str, Any], check: Callable[[Path], None]) -> None:
        errand = Errand(order)
        self._attach(errand)
        with self._changed:
            self._sample(order["kept"])
            self._advance(
                status="downloading",
                commit=order["commit"],
                bytes_done=order["kept"],
                bytes_total=order["total"],
            )
        for message in errand.messages():
            if "result" in message:
                path = message["result"]["path"]
                check(Path(path))
                self._advance(status="done", file=None, path=path, bytes_done=order["total"])
            elif "verifying" in message:
                self._advance(status="verifying")
            elif "file" in message:
                self._advance(status="downloading", file=message["file"])
            elif "bytes" in message:
                with self._changed:
                    self._sample(message["bytes"])
                    self._advance(bytes_done=message["bytes"])

    def _attach(self, errand: Errand) -> None:
        with self._changed:
            self._errand = errand
            if self._state.ended:
                errand.kill()

    def _sample(self, count: int) -> None:
        now = time.monotonic()
        if self._samples and count < self._samples[-1][1]:
            self._samples.clear()
        self._samples.append((now, count))
        self._came_at = now
        while self._samples[0][0] < now - _WINDOW_S and len(self._samples) > 2:
            self._samples.popleft()

    def _advance(self, **changes: Any) -> bool:
        """False where it has ended meanwhile: a cancel is the last word."""
        with self._changed:
            if self._state.ended:
                return False
            self._set(**changes)
            return True

    def _set(self, **changes: Any) -> None:
        self._state = replace(self._state, **changes)
        self._changed.notify_all()


class Downloads:
    """The downloads of one app. `prepare` is the service's look-up; `check` raises SlmError
    where the folder of a finished one cannot be used.
    """

    def __init__(self, prepare: Prepare, check: Callable[[Path], None]) -> None:
        self._prepare = prepare
        self._check = check
        self._changed = threading.Condition(threading.RLock())
        self._all: dict[str, Download] = {}
        self._waiting: deque[Download] = deque()
        self._running = 0
        self._closed = False

    def start(self, hub_id: str, revision: str) -> DownloadState:
        """Queue it, or join the one that runs.

        Raises InvalidRequest for another revision of one that runs, HubError where too many wait.
        """
        with self._changed:
            if self._closed:
                raise HubError("The app is shutting down.")
            current = self._all.get(hub_id)
            if current is not None and not (state := current.state()).ended:
                if state.revision != revision:
                    raise InvalidRequest(
                        f"{hub_id} is being downloaded at revision {state.revision}: wait for it, "
                        "or cancel it first."
                    )
                return state
            if sum(not each.state().ended for each in self._waiting) >= MAX_WAITING:
                raise HubError(f"{MAX_WAITING} downloads are waiting already: try again later.")
            self._all.pop(hub_id, None)
            ended = [name for name, each in self._all.items() if each.state().ended]
            for name in ended[:-_MAX_ENDED]:
                del self._all[name]
            download = self._all[hub_id] = Download(hub_id, revision, self._changed)
            self._waiting.append(download)
            self._start_next()
            return download.state()

    def states(self) -> tuple[DownloadState, ...]:
        with self._changed:
            return tuple(download.state() for download in self._all.values())

    def follow(self, hub_id: str, every_s: float) -> Iterator[DownloadState]:
        with self._changed:
            download = self._all.get(hub_id)
        if download is None:
            raise InvalidRequest(f"{hub_id} is not being downloaded.")
        while True:
            with self._changed:
                state = download.state()
            yield state
            if state.ended:
                return
            with self._changed:
                self._changed.wait_for(lambda: download.state().ended, timeout=every_s)

    def cancel(self, hub_id: str) -> DownloadState | None:
        with self._changed:
            download = self._all.get(hub_id)
            if download is None:
                return None
            download.cancel()
            return download.state()

    def close(self) -> None:
        with self._changed:
            self._closed = True
            for download in self._all.values():
                download.cancel()
            self._changed.wait_for(lambda: self._running == 0, timeout=_GONE_S)

    def _start_next(self) -> None:
        while self._waiting and self._running < AT_ONCE:
            download = self._waiting.popleft()
            if download.state().ended:
                continue
            self._running += 1
            threading.Thread(
                target=self._run, args=(download,), name="slm-download", daemon=True
            ).start()

    def _run(self, download: Download) -> None:
        try:
            download.run(self._prepare, self._check)
        finally:
            with self._changed:
                self._running -= 1
                self._start_next()
                self._changed.notify_all()

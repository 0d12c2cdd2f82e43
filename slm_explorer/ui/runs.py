"""Which lanes run for which browser, so that Stop and a closed tab reach them and no others."""

from __future__ import annotations

import threading
from collections.abc import Iterable

from slm_explorer.errors import InvalidRequest


class Run:
    """One browser's running prompt: a flag for each lane that its source polls."""

    def __init__(self, slots: Iterable[int]) -> None:
        self.cancels = {slot: threading.Event() for slot in slots}
        self.ended = False
        """All lanes were stopped together: prompts still in line are not sent."""

    def stop(self, slot: int | None = None) -> None:
        """Stop one lane, or all of them."""
        self.ended = self.ended or slot is None
        for key, cancel in self.cancels.items():
            if slot is None or key == slot:
                cancel.set()


class Runs:
    """The runs of all browsers, by the session id that only the browser itself knows."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._runs: dict[str, Run] = {}

    def start(self, session: str, slots: Iterable[int]) -> Run:
        """Register a run; InvalidRequest while this browser has one already."""
        with self._lock:
            if session in self._runs:
                raise InvalidRequest("This chat is still answering: wait, or stop it first.")
            run = self._runs[session] = Run(slots)
            return run

    def busy(self, session: str) -> bool:
        with self._lock:
            return session in self._runs

    def stop(self, session: str, slot: int | None = None) -> None:
        """Stop what this browser runs: one lane, or all. Nothing to stop is fine."""
        with self._lock:
            run = self._runs.get(session)
        if run is not None:
            run.stop(slot)

    def finish(self, session: str, run: Run) -> None:
        """Stop whatever is left of this run and forget it."""
        run.stop()
        with self._lock:
            if self._runs.get(session) is run:
                del self._runs[session]

"""The events of one request on their way to whoever reads them, at whatever pace.

A slow reader must neither hold up the worker nor let events pile up: past a short backlog,
text is joined to the text before it, and news replaces older news of the same kind.
"""

from __future__ import annotations

import threading
from collections import deque

from slm_explorer.types import Delta, Done, Event, Failed

_BACKLOG = 64


class Mailbox:
    """One writer at a time, one reader; exactly one Done or Failed is ever delivered."""

    def __init__(self) -> None:
        self._events: deque[Event] = deque()
        self._changed = threading.Condition()
        self._final = False

    def put(self, event: Event) -> None:
        """Deliver without blocking. What comes after the final event is dropped."""
        with self._changed:
            if self._final:
                return
            self._final = isinstance(event, Done | Failed)
            if len(self._events) >= _BACKLOG:
                self._join(event)
            else:
                self._events.append(event)
            self._changed.notify()

    def get(self, timeout: float) -> Event | None:
        """The next event, or None where none came within `timeout` seconds."""
        with self._changed:
            if not self._events:
                self._changed.wait(timeout)
            return self._events.popleft() if self._events else None

    def _join(self, event: Event) -> None:
        last = self._events[-1]
        if isinstance(event, Delta) and isinstance(last, Delta):
            self._events[-1] = last.then(event)
            return
        if not isinstance(event, Delta | Done | Failed):
            for place in reversed(range(len(self._events))):
                if type(self._events[place]) is type(event):
                    self._events[place] = event
                    return
        self._events.append(event)

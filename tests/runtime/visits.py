"""A visitor on a thread of its own, and a launcher that keeps count."""

from __future__ import annotations

import itertools
import json
import os
import threading
from collections.abc import Callable
from typing import Any

from slm_explorer.runtime.launcher import Launcher, Place
from slm_explorer.runtime.manager import ModelManager
from slm_explorer.types import (
    Delta,
    Done,
    Event,
    Failed,
    GenerateRequest,
    GenerationStats,
    Loading,
    ModelSpec,
    Queued,
    Sampling,
)

# Generous: this is when a test gives up, never what it measures.
PATIENCE_S = 180.0
# One word, then a minute of silence that only a stop ends.
BLOCKER = "first /slow 60 second"
_ids = itertools.count()


def echo(model: str = "echo", recipe: str = "native", threads: int = 1, **script: Any) -> ModelSpec:
    """A spec of the echo engine, scripted as its module tells."""
    return ModelSpec(
        model=model,
        path=None,
        engine="echo",
        recipe=recipe,
        threads=threads,
        shape_config=json.dumps(script) if script else None,
    )


def ask(text: str, visitor: str = "ann", **sampling: Any) -> GenerateRequest:
    return GenerateRequest(
        id=str(next(_ids)), visitor=visitor, sampling=Sampling(**sampling), raw=text
    )


class Clock:
    """Time that passes when a test says so."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


class Counting:
    """A launcher that notes every start."""

    def __init__(self, launcher: Launcher) -> None:
        self._launcher = launcher
        self.places: list[Place] = []

    @property
    def pids(self) -> list[int]:
        return [place.pid for place in self.places if place.pid is not None]

    def prewarm(self) -> None:
        self._launcher.prewarm()

    def start(self, spec: ModelSpec) -> Place:
        place = self._launcher.start(spec)
        self.places.append(place)
        return place


class Visit:
    """One request, read on a thread of its own as fast as it comes."""

    def __init__(
        self,
        manager: ModelManager,
        spec: ModelSpec,
        asked: str | GenerateRequest,
        visitor: str = "ann",
    ) -> None:
        request = ask(asked, visitor) if isinstance(asked, str) else asked
        self.cancel = threading.Event()
        self.events: list[Event] = []
        self._changed = threading.Condition()
        self._left = threading.Event()
        self._stream = manager.stream(spec, request, self.cancel)
        self._thread = threading.Thread(target=self._read, daemon=True)
        self._thread.start()

    def _read(self) -> None:
        for event in self._stream:
            with self._changed:
                self.events.append(event)
                self._changed.notify_all()
            if self._left.is_set():
                del self._stream
                return

    def leave(self) -> None:
        """Go away as a closed browser does, without another word."""
        self._left.set()

    def until(self, wanted: type[Event] | Callable[[Event], bool]) -> Event:
        """Wait for an event of a type, or one that a predicate accepts."""

        def found() -> Event | None:
            for event in self.events:
                if isinstance(wanted, type):
                    if isinstance(event, wanted):
                        return event
                elif wanted(event):
                    return event
            return None

        with self._changed:
            assert self._changed.wait_for(lambda: found() is not None, PATIENCE_S), self.events
            event = found()
            assert event is not None
            return event

    def end(self) -> Done | Failed:
        """Wait for the last event, which is the only one of its kind."""
        self._thread.join(PATIENCE_S)
        assert not self._thread.is_alive(), self.events
        *before, last = self.events
        assert isinstance(last, Done | Failed)
        assert not any(isinstance(event, Done | Failed) for event in before)
        return last

    def stats(self) -> GenerationStats:
        last = self.end()
        assert isinstance(last, Done), last
        assert isinstance(last.stats, GenerationStats)
        return last.stats

    def failure(self) -> Failed:
        last = self.end()
        assert isinstance(last, Failed), last
        return last

    @property
    def reading(self) -> bool:
        return self._thread.is_alive()

    @property
    def text(self) -> str:
        return "".join(event.text for event in self.events if isinstance(event, Delta))

    @property
    def ahead(self) -> list[int]:
        """The numbers of requests before this one, in the order in which they were told."""
        return [event.ahead for event in self.events if isinstance(event, Queued)]

    @property
    def fractions(self) -> list[float]:
        return [event.fraction for event in self.events if isinstance(event, Loading)]


def alive(pid: int) -> bool:
    """Whether a process of that number exists, a zombie included."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True

"""What the app and a worker say to each other, and over what.

One request has one ticket, a number that only ever grows on one connection.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol

from slm_explorer.types import Event, Failed, ModelInfo, ModelSpec, Request


class Connection(Protocol):
    """A two-way stream of picklable objects; multiprocessing's Connection fits."""

    def send(self, obj: object, /) -> None:
        """Raises OSError once the other side has hung up."""
        ...

    def recv(self) -> Any:
        """Blocks; raises EOFError or OSError once the other side has hung up."""
        ...

    def close(self) -> None: ...


@dataclass(frozen=True)
class Load:
    """To the worker, first of all: load this model."""

    spec: ModelSpec


@dataclass(frozen=True)
class Run:
    """To the worker: answer this request."""

    ticket: int
    request: Request


@dataclass(frozen=True)
class Cancel:
    """To the worker: compute no further token for this ticket."""

    ticket: int


@dataclass(frozen=True)
class Loaded:
    """From the worker: the model is there. Bytes are private to the worker; None is unknown."""

    info: ModelInfo
    memory_bytes: int | None
    peak_memory_bytes: int | None


@dataclass(frozen=True)
class LoadFailed:
    """From the worker: the model cannot be loaded, and the worker ends."""

    failure: Failed


@dataclass(frozen=True)
class Said:
    """From the worker: an event of this ticket, or of loading where it is None."""

    ticket: int | None
    event: Event


@dataclass(frozen=True)
class Alive:
    """From the worker: the engine works, though it has nothing to say yet."""


ToWorker = Load | Run | Cancel
FromWorker = Loaded | LoadFailed | Said | Alive
"""Several at once travel as a list: each message wakes a thread of the app, on cores that the
engine computes with."""

"""The seam between the app and whatever runs a model: the Engine protocol.

An engine lives inside one worker process, loads one model, and answers one request at a time, or
many at once where it has a Batch.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Protocol

from slm_explorer.errors import SlmError
from slm_explorer.tasks import TaskRequest
from slm_explorer.types import (
    Delta,
    Done,
    GenerateRequest,
    ModelInfo,
    ModelSpec,
    Progress,
    ScoreRequest,
)

ReportProgress = Callable[[float, str], None]
"""Called with (fraction 0..1, stage) while a model loads."""


class StopFlag(Protocol):
    """Polled once a token; a threading.Event fits."""

    def is_set(self) -> bool: ...


BatchEvent = tuple[int, Delta | Done | SlmError]
"""A ticket, and what is new of its answer: an error ends it as a Done does."""


class Batch(Protocol):
    """Several answers in the making. Used by one thread, like the engine that it belongs to."""

    def __len__(self) -> int:
        """How many answers are in it."""
        ...

    def join(self, ticket: int, request: GenerateRequest, stop: StopFlag) -> None:
        """Take a request in, at any time between two steps. Raises what is wrong with it; the
        others go on. After `stop` is set no further token of it is computed.
        """
        ...

    def step(self) -> list[BatchEvent]:
        """Go on with all of them, by one token at most; who has ended is in it no more.

        Whatever is raised has broken all of them.
        """
        ...


class Engine(Protocol):
    """What runs a model. Errors are raised from slm_explorer.errors, never swallowed."""

    def load(self, spec: ModelSpec, progress: ReportProgress) -> ModelInfo:
        """Load the model of `spec`. Called once, before anything else."""
        ...

    def generate(self, request: GenerateRequest, stop: StopFlag) -> Iterator[Delta | Done]:
        """Stream the answer and end with exactly one Done(GenerationStats).

        After `stop` is set no further token is computed, and the Done says "cancelled".
        """
        ...

    def batch(self) -> Batch | None:
        """A new, empty batch, for ModelInfo.batch answers at once. None where this engine or this
        model answers one at a time. Nothing else is asked of the engine while answers are in it.
        """
        ...

    def score(self, request: ScoreRequest, stop: StopFlag) -> Iterator[Progress | Done]:
        """Measure a text and end with exactly one Done(ScoreStats), or raise Cancelled."""
        ...

    def perform(self, request: TaskRequest, stop: StopFlag) -> Iterator[Progress | Done]:
        """Do an encoder's task and end with exactly one Done(TaskStats), or raise Cancelled.

        UnsupportedModel says what the model is for instead, where it is not for this task.
        """
        ...

    def close(self) -> None:
        """Drop the model. The process may go on to exit."""
        ...

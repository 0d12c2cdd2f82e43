"""One request on its way through the line, a worker, and perhaps a second worker."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from slm_explorer.errors import SlmError
from slm_explorer.runtime.mailbox import Mailbox
from slm_explorer.types import Failed, GenerateRequest, ModelInfo, Request

if TYPE_CHECKING:
    from slm_explorer.runtime.worker import Worker

# How late a reader notices a stop while its model computes the first token or it waits.
POLL_S = 0.05


class Job:
    """A request, or with `request` None the wish that the model be loaded, which is granted
    with `info`. All else but `abandoned` is guarded by the lock of the job's worker.
    """

    def __init__(
        self, request: Request | None, visitor: str, cancel: threading.Event, now: float
    ) -> None:
        self.request = request
        self.visitor = visitor
        self.mailbox = Mailbox()
        self.submitted_at = now
        self.loaded_at: float | None = None
        self.worker: Worker | None = None
        self.ahead = 0
        self.retried = False
        self.info: ModelInfo | None = None
        # Set without any lock: a reader's generator may be closed by the garbage collector,
        # which runs on any thread and inside any lock.
        self.abandoned = False
        self._cancel = cancel

    @property
    def unwanted(self) -> bool:
        """Nobody waits for it any more, or who waits has asked to stop."""
        return self.abandoned or self._cancel.is_set()

    @property
    def shares(self) -> bool:
        """It may be answered together with others."""
        return isinstance(self.request, GenerateRequest) and not self.request.exclusive

    def fail(self, error: SlmError) -> None:
        self.mailbox.put(failed(error))


@dataclass
class Aftermath:
    """What is left of a worker's line when it has ended: who is told what, who tries again."""

    failures: list[tuple[Job, Failed]] = field(default_factory=list)
    retries: list[Job] = field(default_factory=list)


def failed(error: SlmError) -> Failed:
    """An error as the event that ends a request."""
    return Failed(str(error), type(error).__name__)

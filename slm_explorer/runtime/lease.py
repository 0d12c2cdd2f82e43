"""A hold on one loaded model, for whoever asks it more than one thing."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from slm_explorer.errors import error_of_kind
from slm_explorer.runtime.job import POLL_S, Job
from slm_explorer.runtime.reasons import stopped_early
from slm_explorer.types import Event, Failed, Loading, ModelInfo, ModelSpec, Request


class Lease:
    """From ModelManager.lease. While it is open, the worker goes neither for another model nor
    for being idle. The model began to load when the lease was taken.
    """

    def __init__(
        self, spec: ModelSpec, job: Job, stream: Callable[[Request], Iterator[Event]]
    ) -> None:
        self.spec = spec
        self.open = True
        self._job = job
        self._stream = stream
        self._failed: Failed | None = None

    def loading(self) -> Iterator[Loading]:
        """How far the load is, until it is done. Raises what it failed with, or Cancelled."""
        while self._job.info is None:
            if self._failed is not None:
                raise error_of_kind(self._failed.kind, self._failed.error)
            if self._job.unwanted:
                raise stopped_early()
            event = self._job.mailbox.get(POLL_S)
            if isinstance(event, Failed):
                self._failed = event
            if isinstance(event, Loading):
                yield event

    @property
    def info(self) -> ModelInfo:
        """What the worker says of its model; waits for the load and raises as `loading` does."""
        for _ in self.loading():
            pass
        assert self._job.info is not None
        return self._job.info

    def stream(self, request: Request) -> Iterator[Event]:
        """Answer a request, as ModelManager.stream does."""
        return self._stream(request)

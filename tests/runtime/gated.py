"""An engine whose load waits for the test's word, and which notes what it was asked, in order.

For the thread launcher: tests and engine share this process.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator

from slm_explorer.engines.base import Batch, ReportProgress, StopFlag
from slm_explorer.engines.echo import EchoEngine
from slm_explorer.types import Delta, Done, GenerateRequest, ModelInfo, ModelSpec


class Gate:
    """What one test shares with its engines."""

    def __init__(self) -> None:
        self.load = threading.Event()
        self.answer = threading.Event()
        self.loads = 0
        self.closed = 0
        self.served: list[str] = []


GATES: dict[str, Gate] = {}


class GatedEngine:
    """The echo engine behind the gate that bears the model's name."""

    def load(self, spec: ModelSpec, progress: ReportProgress) -> ModelInfo:
        self._echo = EchoEngine()
        self._gate = GATES[spec.model]
        self._gate.loads += 1
        progress(0.5, "waiting for the gate")
        self._gate.load.wait(60)
        return self._echo.load(spec, progress)

    def generate(self, request: GenerateRequest, stop: StopFlag) -> Iterator[Delta | Done]:
        self._gate.served.append(f"{request.visitor}: {request.raw}")
        return self._echo.generate(request, stop)

    def batch(self) -> Batch | None:
        return None

    def close(self) -> None:
        self._gate.closed += 1
        self._echo.close()


class DeafEngine(GatedEngine):
    """Looks at its stop flag, as an engine should, and goes on all the same."""

    def generate(self, request: GenerateRequest, stop: StopFlag) -> Iterator[Delta | Done]:
        yield Delta(f"{request.raw}?", 1)
        while not self._gate.answer.wait(0.01):
            stop.is_set()

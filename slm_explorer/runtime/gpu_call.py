"""Several answers in one call of a borrowed GPU: what the call's own process does.

On ZeroGPU a GPU is given to a process for seconds and not kept, so no worker can hold a model on
it. Each lane is loaded, answered and dropped in turn, inside one call, for every call is counted.
"""

from __future__ import annotations

import time
import traceback
from collections.abc import Iterator
from dataclasses import dataclass, replace
from threading import Event as Flag

from slm_explorer.engines.registry import create_engine
from slm_explorer.errors import SlmError
from slm_explorer.types import (
    Done,
    Event,
    Failed,
    GenerateRequest,
    GenerationStats,
    Loading,
    ModelSpec,
)


@dataclass(frozen=True)
class LaneOrder:
    """One answer: plain values, for they cross to another process. `weights_bytes` are stored."""

    slot: int
    spec: ModelSpec
    request: GenerateRequest
    weights_bytes: int


def answer_lanes(orders: tuple[LaneOrder, ...]) -> Iterator[tuple[int, Event]]:
    """Answer the orders one after the other; each slot ends with exactly one Done or Failed.

    Closing the iterator ends the work at the next token.
    """
    for order in orders:
        try:
            for event in _answer(order):
                yield order.slot, event
        except SlmError as error:
            yield order.slot, Failed(str(error), type(error).__name__)
        except Exception as error:  # the worker's boundary: the other lanes go on
            sentence = "This lane failed on the GPU for a reason that the app does not know."
            yield order.slot, Failed(sentence, type(error).__name__, traceback.format_exc())


def _answer(order: LaneOrder) -> Iterator[Event]:
    engine = create_engine(order.spec.engine)
    try:
        yield Loading(0.0, "loading onto the GPU")
        started = time.perf_counter()
        engine.load(order.spec, lambda _fraction, _stage: None)
        load_s = time.perf_counter() - started
        # Nobody can reach this process to stop one lane: the reader closes the iterator.
        for event in engine.generate(order.request, Flag()):
            if isinstance(event, Done) and isinstance(event.stats, GenerationStats):
                event = Done(replace(event.stats, load_s=load_s))
            yield event
    finally:
        engine.close()

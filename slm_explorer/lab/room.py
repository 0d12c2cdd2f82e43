"""Room in the memory budget for the processes that compress and compare."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

from slm_explorer.catalog.checkpoint import CheckpointFacts
from slm_explorer.catalog.footprint import estimate_footprint
from slm_explorer.catalog.safetensors import read_header
from slm_explorer.compression.recipes import READ_PARAMETERS, parse_recipe
from slm_explorer.errors import Cancelled, SlmError
from slm_explorer.runtime.manager import ModelManager
from slm_explorer.runtime.reservation import Reservation

# Private memory (USS) of a process of its own with torch and transformers, which shares nothing
# with the workers: 271 MB was measured around the smallest Sprout (torch 2.13.0 CPU, Linux x86_64).
PROCESS_BYTES = 300_000_000
# Copies of the largest matrix while it is compressed: as stored, in float32, and what becomes of
# it.
_COPIES = 4
# Input moments that a refined recipe holds, and what it makes of one of them.
_MOMENT_BYTES = 2**29 + 2**27
# Bytes a weight while a student learns: itself, its gradient and two moments in float32, and the
# teacher's in bfloat16 beside it; and what a step of some rows takes besides.
_TRAINED_BYTES = 18
_STEP_BYTES = 1_000_000_000


@contextmanager
def room_for(
    manager: ModelManager, name: str, needed: int, cancel: threading.Event
) -> Iterator[Reservation]:
    """Keep `needed` bytes of the budget. Where the watchdog must end the work, `cancel` is set
    and its reason raised. Raises DoesNotFit, and Cancelled for whatever fails after a `cancel`.
    """
    reasons: list[SlmError] = []

    def over(reason: SlmError) -> None:
        reasons.append(reason)
        cancel.set()

    try:
        with manager.reserve(name, needed, over) as reservation:
            yield reservation
    except SlmError:
        if reasons:
            raise reasons[0] from None
        if cancel.is_set():
            # Stopped while it starts, a process may have been ended before it could say so.
            raise Cancelled("The run was stopped.") from None
        raise


def compressing_bytes(facts: CheckpointFacts, recipe: str) -> int:
    """About what the process takes that does `recipe`: storage goes matrix by matrix, the other
    kinds and a refined recipe hold the model, and training what it learns with.
    """
    largest = max(
        (tensor.elements * 4 for name in facts.files for tensor in read_header(facts.path / name)),
        default=0,
    )
    steps = parse_recipe(recipe)
    needed = PROCESS_BYTES + _COPIES * largest
    weights = facts.parameters or facts.weights_bytes
    if any(step.recipe.kind == "training" for step in steps):
        return needed + _TRAINED_BYTES * weights + _STEP_BYTES
    if any(step.recipe.storage is None for step in steps):
        needed += 2 * facts.weights_bytes
    if steps[-1].recipe.refined and weights <= READ_PARAMETERS:
        needed += 2 * facts.weights_bytes + _MOMENT_BYTES
    return needed


def comparing_bytes(*sides: CheckpointFacts) -> int:
    """About what the process takes that reads one text with several models."""
    return PROCESS_BYTES + sum(estimate_footprint(facts).total for facts in sides)

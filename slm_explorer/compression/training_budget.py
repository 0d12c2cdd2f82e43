"""How much a training step may take on: rows a step for its speed, rows at once for the memory,
and the learning rate for the network's width and the moment.
"""

from __future__ import annotations

import math
from typing import Any

import torch

from slm_explorer.engines.checkpoint import LoadedModel
from slm_explorer.engines.memory import private_memory
from slm_explorer.errors import DoesNotFit
from slm_explorer.units import format_bytes

# Highest rate for a network 64 wide, found by trial. Wider ones take it in inverse proportion,
# which is how far AdamW's steps move a layer's output (Yang et al. 2022, arXiv 2203.03466).
_RATE, _RATE_WIDTH = 5e-3, 64
_WARM_UP, _LAST_RATE = 0.05, 0.1
# A step should take about a second where a CPU does 2e11 operations in that time, so that it can
# be paused, watched and repeated often enough; and more than 16 rows teach little more at once.
_STEP_OPERATIONS = 2e11
_MOST_ROWS, _LEAST_ROWS = 16, 2
# AdamW's two moments and the gradient, float32, for each parameter.
_TRAINED_BYTES = 12
# For each token: copies of the logits (both models', their softmaxes, the gradient), and what is
# kept of each layer for the way back, in units of its width. Counted and rounded up, not
# measured.
_LOGIT_BYTES = 44
_LAYER_WIDTHS = 100


def fast_bf16() -> bool:
    """Whether this processor multiplies bfloat16 in hardware, so that autocast is worth it."""
    known = torch.cpu.get_capabilities()
    return any(known.get(name) for name in ("avx512_bf16", "amx_bf16", "bf16"))


def batch_rows(student: Any, teacher: Any | None, window: int) -> int:
    """Rows of `window` tokens a step: 2 operations a parameter and token forwards, 4 back."""
    each = 6 * _parameters(student) + (0 if teacher is None else 2 * _parameters(teacher))
    return max(_LEAST_ROWS, min(_MOST_ROWS, int(_STEP_OPERATIONS / (each * window))))


def rows_at_once(student: LoadedModel, window: int, rows: int, memory_bytes: int | None) -> int:
    """How many of a step's rows are computed at a time, so that all stays below `memory_bytes`
    (None: no limit is known). Both models are loaded when this is called. DoesNotFit where not
    even one row fits.
    """
    here = private_memory().now
    if memory_bytes is None or here is None:
        return rows
    config = student.config
    kept: int = 4 * _LAYER_WIDTHS * config.num_hidden_layers * config.hidden_size
    row = window * (_LOGIT_BYTES * student.info.vocab_size + kept)
    fixed = here + _TRAINED_BYTES * _parameters(student.model)
    if fixed + row > memory_bytes:
        raise DoesNotFit(
            f"Training this student needs about {format_bytes(fixed + row)} of memory and "
            f"{format_bytes(memory_bytes)} may be used: unload models, or choose a smaller "
            "student.",
            needed=fixed + row,
            free=memory_bytes,
        )
    return min(rows, (memory_bytes - fixed) // row)


def highest_rate(width: int) -> float:
    """The learning rate at the end of the warm-up, for a network of this hidden size."""
    return _RATE * _RATE_WIDTH / max(width, _RATE_WIDTH)


def rate_share(fraction: float) -> float:
    """The share of the highest rate when `fraction` (0 to 1) of the training is over: up in a
    line, down in half a cosine (Loshchilov and Hutter 2016, arXiv 1608.03983) to a tenth.
    """
    if fraction < _WARM_UP:
        return max(0.01, fraction / _WARM_UP)
    over = min(1.0, (fraction - _WARM_UP) / (1 - _WARM_UP))
    return _LAST_RATE + (1 - _LAST_RATE) * (1 + math.cos(math.pi * over)) / 2


def _parameters(model: Any) -> int:
    return sum(parameter.numel() for parameter in model.parameters())

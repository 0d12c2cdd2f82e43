"""The steps that change a model as a whole, in memory: from one ordinary checkpoint to another.

Unlike storage steps these hold the model once, since they run it on a text first.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from torch import Tensor
from transformers import GenerationConfig

from slm_explorer.compression.calibration import (
    Cancel,
    loss_of,
    reads_left_to_right,
    windows_of,
)
from slm_explorer.compression.choices import not_finite
from slm_explorer.compression.influence import (
    Tell,
    block_influence,
    drop_layers,
    least_influential,
    losses_without,
)
from slm_explorer.compression.pruning import prune_heads, prune_magnitude, prune_mlp
from slm_explorer.compression.recipes import LayerInfluence, Step
from slm_explorer.compression.workspace import copy_files
from slm_explorer.engines.checkpoint import LoadedModel, load_model
from slm_explorer.errors import Cancelled, StorageError
from slm_explorer.types import ModelSpec

Detail = dict[str, object]


@dataclass(frozen=True)
class _Work:
    """What every step needs: a loaded model, the text's windows, and whom to tell."""

    model: Any
    windows: list[Tensor]
    tell: Tell
    cancelled: Cancel


def apply_structure(
    step: Step, source: Path, out: Path, text: str, threads: int, tell: Tell, cancelled: Cancel
) -> Detail:
    """Do one structural step: an ordinary checkpoint in the new folder `out`, and what was done.

    `text` is what the model reads to find what it can miss. Raises what load_model raises,
    InvalidRequest for a text that is too short or where nothing can go, StorageError, Cancelled;
    `out` may then be there in part.
    """
    work = _open(source, text, threads, tell, cancelled)
    detail = _STEPS[step.name](work, step.value or 0.0)
    save_checkpoint(work.model, source, out, cancelled)
    return detail


def save_checkpoint(model: Any, source: Path, out: Path, cancelled: Cancel) -> None:
    """Write a model and its config.json as transformers does, and beside them what stands beside
    the weights in `source`. BadCheckpoint names a tensor that is not finite; StorageError.
    """
    for name, tensor in model.state_dict().items():
        if tensor.is_floating_point() and not bool(torch.isfinite(tensor).all()):
            raise not_finite(name)
    if cancelled():
        raise Cancelled("The compression was stopped.")
    # The original's own is copied below: the library refuses to write some that it reads.
    model.generation_config = GenerationConfig()
    try:
        model.save_pretrained(out)
        (out / "generation_config.json").unlink(missing_ok=True)
        copy_files(source, out)
    except (OSError, SafetensorError) as error:
        raise StorageError(
            f"The model cannot be written ({error}): free some space, or choose another folder."
        ) from error


def measure_influence(
    source: Path, text: str, threads: int, tell: Tell, cancelled: Cancel
) -> LayerInfluence:
    """The sensitivity curve of a checkpoint on a text.

    Raises what load_model raises, InvalidRequest for a text that is too short, UnsupportedModel
    where layers cannot be told apart, Cancelled.
    """
    halves = [0.0, 0.0]

    def telling(half: int) -> Tell:
        def tell_half(fraction: float) -> None:
            halves[half] = fraction
            tell(sum(halves) / 2)

        return tell_half

    work = _open(source, text, threads, lambda _fraction: None, cancelled)
    influence = block_influence(work.model, work.windows, telling(0), cancelled)
    loss, without = None, None
    if reads_left_to_right(work.model):
        loss = loss_of(work.model, work.windows, cancelled)
        without = tuple(losses_without(work.model, work.windows, telling(1), cancelled))
    tell(1.0)
    return LayerInfluence(
        influence=tuple(influence),
        loss=loss,
        losses_without=without,
        tokens=sum(window.numel() for window in work.windows),
    )


def _open(source: Path, text: str, threads: int, tell: Tell, cancelled: Cancel) -> _Work:
    spec = ModelSpec(model=source.name, path=str(source), threads=threads)
    loaded: LoadedModel = load_model(spec, lambda _fraction, _stage: None)
    if cancelled():
        raise Cancelled("The compression was stopped.")
    return _Work(loaded.model, windows_of(loaded, text), tell, cancelled)


def _drop_layers(work: _Work, count: float) -> Detail:
    influence = block_influence(work.model, work.windows, work.tell, work.cancelled)
    dropped = least_influential(influence, int(count), work.model.config)
    drop_layers(work.model, dropped)
    return {
        "layers_before": len(influence),
        "layers_after": len(influence) - len(dropped),
        "dropped": dropped,
        "influence": influence,
    }


def _prune_mlp(work: _Work, percent: float) -> Detail:
    return prune_mlp(work.model, percent, work.windows, work.tell, work.cancelled)


def _prune_heads(work: _Work, percent: float) -> Detail:
    return prune_heads(work.model, percent, work.windows, work.tell, work.cancelled)


def _prune_magnitude(work: _Work, percent: float) -> Detail:
    return prune_magnitude(work.model, percent, work.tell, work.cancelled)


_STEPS: dict[str, Callable[[_Work, float], Detail]] = {
    "drop-layers": _drop_layers,
    "prune-mlp": _prune_mlp,
    "prune-heads": _prune_heads,
    "prune-magnitude": _prune_magnitude,
}

"""A student to distil into: fewer layers or a narrower network than its parent, same tokenizer.

Its layers are evenly spaced ones of the parent's (DistilBERT takes every second one: Sanh et al.
2019, arXiv 1910.01108), or everything is random as in a model that was never trained.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from transformers import PretrainedConfig

from slm_explorer.compression.influence import blocks_of, drop_layers
from slm_explorer.compression.structure import save_checkpoint
from slm_explorer.compression.training_plan import StudentPlan
from slm_explorer.engines.checkpoint import load_model
from slm_explorer.engines.folder import LIBRARY_ERRORS, first_line
from slm_explorer.errors import InvalidRequest, UnsupportedModel
from slm_explorer.types import ModelSpec

# Numbers of neurons that the storage steps' kernels take without padding.
_MULTIPLE = 32
_MLP_WIDTHS = ("intermediate_size", "ffn_dim", "n_inner", "hidden_dim", "ffn_hidden_size")
_ATTENDS = ("full_attention", "sliding_attention")


def make_student(
    parent: Path, out: Path, plan: StudentPlan, cancelled: Callable[[], bool] = lambda: False
) -> tuple[int, ...]:
    """Write the student of the checkpoint in `parent` as the new folder `out`; returns which of
    the parent's layers it has, from 0, and none for a fresh one.

    Raises InvalidRequest for a depth or width that cannot be, UnsupportedModel for a network
    whose layers cannot be told apart, what loading the parent raises, StorageError, Cancelled.
    """
    loaded = load_model(
        ModelSpec(model=parent.name, path=str(parent), threads=torch.get_num_threads()),
        lambda _fraction, _stage: None,
    )
    model, config = loaded.model, loaded.model.config
    if config.is_encoder_decoder:
        raise UnsupportedModel(
            f"{parent.name} is an encoder and a decoder, and students are made of models that are "
            "one of them: choose another one."
        )
    depth = len(blocks_of(model))
    if plan.depth > depth:
        raise InvalidRequest(
            f"{parent.name} has {depth} layers, so a student has 1 to {depth}, not {plan.depth}."
        )
    kept = evenly_spaced(plan.depth, depth)
    _check_attention(config, kept)
    drop_layers(model, [layer for layer in range(depth) if layer not in kept])
    if plan.fresh:
        if plan.width is not None:
            _set_width(config, plan.width)
        model = _random(type(model), config, plan.seed).to(model.dtype)
    elif plan.width not in (None, config.hidden_size):
        raise InvalidRequest(
            "A student of another width than its parent's cannot take over its layers: add fresh, "
            "or leave the width out."
        )
    save_checkpoint(model, parent, out, cancelled)
    return () if plan.fresh else kept


def evenly_spaced(count: int, depth: int) -> tuple[int, ...]:
    """`count` of `depth` layers: the first always, and the last where there are two or more."""
    if count == 1:
        return (0,)
    return tuple(round(number * (depth - 1) / (count - 1)) for number in range(count))


def _check_attention(config: PretrainedConfig, kept: tuple[int, ...]) -> None:
    """Where layers differ, some of those kept must look back at the text."""
    kinds = getattr(config, "layer_types", None) or []
    if set(kinds) & set(_ATTENDS) and not {kinds[layer] for layer in kept} & set(_ATTENDS):
        raise InvalidRequest(
            f"None of the layers that a student of {len(kept)} would have is an attention: choose "
            "another number of layers."
        )


def _set_width(config: PretrainedConfig, width: int) -> None:
    """The hidden size, with as many heads of the same size as fit, and the MLP in proportion."""
    old, heads = config.hidden_size, config.num_attention_heads
    share = old // heads
    if width % share:
        raise InvalidRequest(
            f"Each of the parent's {heads} heads stands for {share} of its {old} dimensions, so a "
            f"student's width is a multiple of {share}, not {width}."
        )
    for name in _MLP_WIDTHS:
        neurons = getattr(config, name, None)
        if isinstance(neurons, int):
            scaled = round(neurons * width / old / _MULTIPLE) * _MULTIPLE
            setattr(config, name, max(_MULTIPLE, scaled))
    config.num_attention_heads = width // share
    groups = getattr(config, "num_key_value_heads", None)
    if isinstance(groups, int):
        wanted = max(1, groups * config.num_attention_heads // heads)
        config.num_key_value_heads = next(
            count for count in range(wanted, 0, -1) if config.num_attention_heads % count == 0
        )
    # OPT's table is as wide as its layers; Falcon's keys have as many heads as its queries.
    for name, before, after in (
        ("word_embed_proj_dim", old, width),
        ("num_kv_heads", heads, config.num_attention_heads),
    ):
        if getattr(config, name, None) == before:
            setattr(config, name, after)
    config.hidden_size = width


def _random(model_class: Any, config: PretrainedConfig, seed: int) -> Any:
    """A network with random weights, float32, that can read."""
    torch.manual_seed(seed)
    try:
        student = model_class._from_config(config, dtype=torch.float32).eval()
        with torch.inference_mode():
            student(input_ids=torch.arange(4)[None])
    except LIBRARY_ERRORS as error:
        raise UnsupportedModel(
            f"A {config.model_type} model of this shape cannot be built ({first_line(error)}): "
            "choose another number of layers or width."
        ) from error
    return student

"""Neurons, heads and single weights taken out of a model in memory.

What goes is what adds least to the layer's output on a text: the norm of an activation over the
text times the norm of the weights that read it (Sun et al., Wanda, 2023, whose score of single
weights is summed over a neuron or a head).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from transformers.pytorch_utils import Conv1D

from slm_explorer.compression.architectures import FAMILIES, Attention, Mlp
from slm_explorer.compression.calibration import Cancel, read
from slm_explorer.compression.influence import Tell
from slm_explorer.errors import Cancelled, InvalidRequest, UnsupportedModel

# Widths stay multiples of the largest of these that is at most an eighth of them, so that
# kernels and groups of 64 weights need no padding.
_UNITS = (64, 32, 16, 8, 4, 2, 1)


@dataclass(frozen=True)
class _Part:
    """One MLP or attention: its layers by their role's place in the family's names."""

    inputs: tuple[nn.Module, ...]
    output: nn.Module


def prune_mlp(
    model: Any, percent: float, windows: Sequence[Tensor], tell: Tell, cancelled: Cancel
) -> dict[str, object]:
    """Take about `percent` of the neurons out of every MLP; says how wide they were and are.

    All MLPs get the same width, since a config.json has one number for them.
    """
    mlp = FAMILIES[model.config.model_type].mlp
    assert mlp is not None
    parts = _mlps(model, mlp)
    width = _columns(parts[0].output)
    kept = _kept_width(width, percent)
    scores = _scores([part.output for part in parts], model, windows, tell, cancelled)
    for part, score in zip(parts, scores, strict=True):
        stay = _best(score, kept)
        rows = torch.cat([stay + width * half for half in range(mlp.halves)])
        for layer in part.inputs:
            _cut(layer, rows=rows)
        _cut(part.output, columns=stay)
    setattr(model.config, mlp.width, kept)
    if hasattr(model.config, "block_auto_adjust_ff_dim"):
        model.config.block_auto_adjust_ff_dim = False
    return {"neurons_before": width, "neurons_after": kept}


def _kept_width(width: int, percent: float) -> int:
    unit = next(each for each in _UNITS if each * 8 <= width or each == 1)
    kept = round(width * (1 - percent / 100) / unit) * unit
    kept = max(unit, min(kept, (width - 1) // unit * unit))
    if not 0 < kept < width:
        raise InvalidRequest(f"Its MLPs have {width} neurons, of which none can go.")
    return kept


def prune_heads(
    model: Any, percent: float, windows: Sequence[Tensor], tell: Tell, cancelled: Cancel
) -> dict[str, object]:
    """Take about `percent` of the KV heads out of every attention, each with its query heads.

    Says how many there were and are; more may go than was asked where the architecture's
    configuration takes certain numbers of heads only.
    """
    config = model.config
    family = FAMILIES[config.model_type]
    assert family.attention is not None
    parts = _attentions(model, family.attention)
    queries = config.num_attention_heads
    groups = config.num_key_value_heads or queries
    share = queries // groups
    head = _columns(parts[0].output) // queries
    kept = _kept_groups(config, groups, percent, family.divides_hidden)
    scores = _scores([part.output for part in parts], model, windows, tell, cancelled)
    for part, score in zip(parts, scores, strict=True):
        # Contributions of a group's columns add up as squares: they go into different inputs.
        total = score.square().view(groups, share * head).sum(dim=1)
        stay = _best(total, kept)
        wide, narrow = _spans(stay, share * head), _spans(stay, head)
        for layer, rows in zip(part.inputs, (wide, narrow, narrow), strict=True):
            _cut(layer, rows=rows)
        _cut(part.output, columns=wide)
    config.num_attention_heads, config.num_key_value_heads = kept * share, kept
    config.head_dim = head
    return {
        "kv_heads_before": groups,
        "kv_heads_after": kept,
        "query_heads_before": queries,
        "query_heads_after": kept * share,
    }


def _kept_groups(config: Any, groups: int, percent: float, divides_hidden: bool) -> int:
    share = config.num_attention_heads // groups
    possible = [
        count
        for count in range(1, groups)
        if not divides_hidden or config.hidden_size % (count * share) == 0
    ]
    if not possible:
        raise UnsupportedModel("Its configuration takes no smaller number of heads: use prune-mlp.")
    wanted = groups * (1 - percent / 100)
    return min(possible, key=lambda count: (abs(count - wanted), -count))


def _spans(which: Tensor, length: int) -> Tensor:
    return (which[:, None] * length + torch.arange(length)).flatten()


@torch.no_grad()
def prune_magnitude(model: Any, percent: float, tell: Tell, cancelled: Cancel) -> dict[str, object]:
    """Set the smallest `percent` of every matrix of the layers to zero (Han et al., 2015).

    Tables of tokens and heads are left alone. A few more go where weights are equal. Says how
    many weights are zero now.
    """
    head = model.get_output_embeddings()
    layers = [
        each
        for each in model.modules()
        if isinstance(each, nn.Linear | Conv1D) and each is not head
    ]
    zeros = total = 0
    for number, layer in enumerate(layers):
        if cancelled():
            raise Cancelled("The compression was stopped.")
        weight = layer.weight
        size = weight.abs().float()
        count = max(1, int(weight.numel() * percent / 100))
        weight[size <= size.flatten().kthvalue(count).values] = 0
        zeros += int((weight == 0).sum())
        total += weight.numel()
        tell((number + 1) / len(layers))
    return {"zeros": zeros, "of_weights": total}


def _mlps(model: Any, mlp: Mlp) -> list[_Part]:
    found = []
    for prefix, output in _ending(model, mlp.output):
        inputs = [_layer(model, prefix + name) for name in mlp.inputs]
        present = tuple(each for each in inputs if each is not None)
        if present:
            found.append(_Part(present, output))
    return _alike(found, model)


def _attentions(model: Any, names: Attention) -> list[_Part]:
    found = []
    for prefix, output in _ending(model, names.o):
        inputs = [_layer(model, prefix + name) for name in (names.q, names.k, names.v)]
        present = tuple(each for each in inputs if each is not None)
        if len(present) == 3:
            found.append(_Part(present, output))
    return _alike(found, model)


def _ending(model: Any, name: str) -> Iterator[tuple[str, nn.Module]]:
    for full, module in model.named_modules():
        if full.endswith(f".{name}"):
            yield full.removesuffix(name), module


def _layer(model: Any, name: str) -> nn.Module | None:
    try:
        found: nn.Module = model.get_submodule(name)
    except AttributeError:
        return None
    return found


def _alike(parts: list[_Part], model: Any) -> list[_Part]:
    widths = {_columns(part.output) for part in parts}
    if len(widths) != 1:
        raise UnsupportedModel(
            f"The layers of this {model.config.model_type} model differ in width, which one number "
            "in its config.json cannot say: choose a storage recipe."
        )
    return parts


def _scores(
    layers: Sequence[nn.Module],
    model: Any,
    windows: Sequence[Tensor],
    tell: Tell,
    cancelled: Cancel,
) -> list[Tensor]:
    """For each layer and each of its inputs, the norm of what that input adds to its output."""
    sums: list[Tensor] = [torch.zeros(_columns(layer)) for layer in layers]
    with ExitStack() as hooks:
        for layer, into in zip(layers, sums, strict=True):
            hooks.enter_context(_summing(layer, into))
        for number, window in enumerate(windows):
            read(model, window, cancelled)
            tell((number + 1) / len(windows))
    return [
        total.sqrt() * _matrix(layer).detach().float().norm(dim=0)
        for layer, total in zip(layers, sums, strict=True)
    ]


@contextmanager
def _summing(layer: nn.Module, into: Tensor) -> Iterator[None]:
    """Add the squares of each of the layer's inputs to `into` while it runs."""

    def hook(_layer: nn.Module, args: Any) -> None:
        into.add_(args[0].detach().float().flatten(0, -2).square().sum(dim=0))

    handle = layer.register_forward_pre_hook(hook)
    try:
        yield
    finally:
        handle.remove()


def _best(scores: Tensor, count: int) -> Tensor:
    """The places of the highest scores, in order."""
    best: Tensor = scores.argsort(descending=True, stable=True)[:count].sort().values
    return best


def _matrix(layer: Any) -> Tensor:
    """[outputs, inputs], whichever way round it is stored."""
    weight: Tensor = layer.weight
    return weight.t() if isinstance(layer, Conv1D) else weight


def _columns(layer: nn.Module) -> int:
    return _matrix(layer).shape[1]


@torch.no_grad()
def _cut(layer: Any, *, rows: Tensor | None = None, columns: Tensor | None = None) -> None:
    """Leave the layer those of its outputs, or those of its inputs, in place."""
    matrix = _matrix(layer)
    if rows is not None:
        matrix = matrix[rows]
        if layer.bias is not None:
            layer.bias = nn.Parameter(layer.bias[rows], requires_grad=False)
    if columns is not None:
        matrix = matrix[:, columns]
    stored = matrix.t() if isinstance(layer, Conv1D) else matrix
    layer.weight = nn.Parameter(stored.contiguous(), requires_grad=False)

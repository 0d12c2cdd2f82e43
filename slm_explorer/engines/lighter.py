"""Less work for each token in any transformers decoder, with the same results.

transformers' own forward pass stays; what it calls most becomes cheaper: linear layers become
projections (see projections.py), those that read the same input become one product, norms and
rotations take fewer operators (norms.py, rotary.py), and the attention of a single query asks for
two rows at least, for which torch's CPU kernel is faster than for one. Models of Llama's shape do
without even the forward pass, see lean.py.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from transformers import AttentionInterface, AttentionMaskInterface
from transformers.integrations.sdpa_attention import sdpa_attention_forward
from transformers.masking_utils import sdpa_mask

from slm_explorer.compression.packed import PackedLinear, ShapeOnly
from slm_explorer.compression.slots import READ_WEIGHTS
from slm_explorer.engines import prompt_attention
from slm_explorer.engines.decoder import Decoder, any_decoder
from slm_explorer.engines.memory import return_freed_memory
from slm_explorer.engines.norms import fused_norm
from slm_explorer.engines.projections import WIDE, Projection, one_projection, side_by_side
from slm_explorer.engines.rotary import turn_one_token_faster

# Layers that read the same input, by the names that transformers gives them.
_SIBLINGS = (("q_proj", "k_proj", "v_proj"), ("gate_proj", "up_proj"))
_ATTENTION = "two_rows"
# Their forward pass asks by name whether the attention is transformers' own.
_ASKS_BY_NAME = ("gemma4", "falcon")
# Attention that is asked for these is left to transformers.
_OWN_WAY = frozenset(("softcap", "position_bias", "cache"))


def light_decoder(model: Any) -> Decoder:
    """What runs this causal language model through its own forward pass, made lighter in place:
    the weights of its linear layers belong to the projections afterwards.
    """
    _lighten(model)
    return any_decoder(model)


def _lighten(model: Any) -> None:
    wide = model.config.get_text_config().hidden_size >= WIDE
    tied = _tied(model)
    for module in list(model.modules()):
        if type(module).__name__ in READ_WEIGHTS:
            continue
        for names in _SIBLINGS:
            found = [getattr(module, name, None) for name in names]
            if all(_is_linear(each) for each in found) and _share_an_input(found):
                _replace(module, names, found, wide=wide)
        for name, child in list(module.named_children()):
            if _is_linear(child) and id(child.weight) not in tied and wide:
                _replace(module, (name,), [child], wide=wide)
            norm = fused_norm(child)
            if norm is not None:
                setattr(module, name, norm)
        return_freed_memory()
    turn_one_token_faster(model)
    _use_two_rows(model)


def _is_linear(module: object) -> bool:
    return isinstance(module, PackedLinear) or type(module) is nn.Linear


def _share_an_input(layers: Sequence[Any]) -> bool:
    return len({layer.in_features for layer in layers}) == 1


def _tied(model: Any) -> set[int]:
    """The tensors that an embedding reads by rows, so that no projection may take them over."""
    return {
        id(module.weight)
        for module in model.modules()
        if isinstance(module, nn.Embedding) and isinstance(module.weight, Tensor)
    }


def _replace(holder: nn.Module, names: Sequence[str], layers: Sequence[Any], *, wide: bool) -> None:
    widths = [layer.out_features for layer in layers]
    dtype = layers[0].weight.dtype
    features = layers[0].in_features
    if len(layers) == 1:
        alone = _Alone(one_projection(layers[0], wide=wide), widths[0], features, dtype)
        setattr(holder, names[0], alone)
        return
    shared = _Shared(side_by_side(layers, wide=wide), widths, features)
    for at, name in enumerate(names):
        setattr(holder, name, _Part(shared, at, dtype))


class _Shared:
    """One product for several layers that are called with the same tensor one after another."""

    def __init__(self, projection: Projection, widths: Sequence[int], features: int) -> None:
        self.projection = projection
        self.widths = list(widths)
        self._width = sum(widths)
        self.features = features
        self._inputs: Tensor | None = None
        self._outputs: Sequence[Tensor] = ()

    def output(self, inputs: Tensor, at: int) -> Tensor:
        if self._inputs is not inputs:
            rows = inputs.reshape(-1, self.features)
            joined = self.projection(rows).view(*inputs.shape[:-1], self._width)
            # The tensor itself is kept, not its id, which another could be given meanwhile.
            self._inputs, self._outputs = inputs, joined.split_with_sizes(self.widths, -1)
        found = self._outputs[at]
        if at == len(self.widths) - 1:
            self._inputs, self._outputs = None, ()
        return found


class InPlace(nn.Module):
    """Stands where a linear layer stood. `weight` tells its shape and dtype only."""

    projection: Projection

    def __init__(self, features: int, width: int, dtype: torch.dtype) -> None:
        super().__init__()
        self.in_features, self.out_features, self._dtype = features, width, dtype

    @property
    def weight(self) -> Tensor:
        return ShapeOnly(self.out_features, self.in_features, self._dtype)


class _Alone(InPlace):
    """One layer with a product of its own."""

    def __init__(
        self, projection: Projection, width: int, features: int, dtype: torch.dtype
    ) -> None:
        super().__init__(features, width, dtype)
        self.projection = projection

    def __call__(self, inputs: Tensor) -> Tensor:
        rows = self.projection(inputs.reshape(-1, self.in_features))
        return rows.view(*inputs.shape[:-1], self.out_features)


class _Part(InPlace):
    """One of several layers whose product is shared."""

    def __init__(self, shared: _Shared, at: int, dtype: torch.dtype) -> None:
        super().__init__(shared.features, shared.widths[at], dtype)
        self._shared, self._at = shared, at
        self.projection = shared.projection

    def __call__(self, inputs: Tensor) -> Tensor:
        return self._shared.output(inputs, self._at)


def _use_two_rows(model: Any) -> None:
    config = model.config
    dispatches = hasattr(sys.modules[type(model).__module__], "ALL_ATTENTION_FUNCTIONS")
    if not dispatches or config._attn_implementation != "sdpa":
        return
    if config.model_type.startswith(_ASKS_BY_NAME):
        return
    AttentionInterface.register(_ATTENTION, attend)
    AttentionMaskInterface.register(_ATTENTION, _mask)
    model.set_attn_implementation(_ATTENTION)


def _reads_long(module: nn.Module, query: Tensor, rest: Mapping[str, Any]) -> bool:
    causal = rest.get("is_causal")
    causal = getattr(module, "is_causal", True) if causal is None else causal
    return bool(causal) and prompt_attention.faster(query[0].transpose(0, 1))


def _mask(**asked: Any) -> Tensor | None:
    """transformers' mask; none for a token that sees all that it is given, also where that is
    traced. A sliding cache gives no more than the window (of chunks it gives more); without its
    mask, which hides nothing, float32 sums in another order.
    """
    alone = asked["q_length"] == 1 and asked.get("attention_mask") is None
    slides = asked.get("local_size") is not None
    chunks = getattr(asked.get("config"), "attention_chunk_size", None)
    same = not slides or (chunks is None and asked.get("dtype") is torch.bfloat16)
    if alone and same and asked.get("allow_is_causal_skip", True):
        return None
    mask: Tensor | None = sdpa_mask(**asked)
    return mask


def attend(
    module: nn.Module,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attention_mask: Tensor | None,
    scaling: float | None = None,
    **rest: Any,
) -> tuple[Tensor, None]:
    """transformers' attention through torch; a single bf16 query as two rows, see above, and long
    prompts in our own way (see prompt_attention.py).

    `query` [batch, heads, tokens, head width]; returns [batch, tokens, heads, value width].
    """
    heads, kv_heads = query.shape[1], key.shape[1]
    plain = (
        query.dtype is torch.bfloat16
        and attention_mask is None
        and key.shape[-1] == value.shape[-1]
        and (_OWN_WAY.isdisjoint(rest) or all(rest.get(name) is None for name in _OWN_WAY))
    )
    whole = query.shape[0] == 1 and query.shape[2] == key.shape[2]
    if plain and whole and _reads_long(module, query, rest):
        scale = query.shape[-1] ** -0.5 if scaling is None else scaling
        read = prompt_attention.attend(query[0].transpose(0, 1), key[0], value[0], scale)
        return read[None], None
    if not plain or query.shape[2] != 1:
        return sdpa_attention_forward(  # type: ignore[no-any-return]
            module, query, key, value, attention_mask, scaling=scaling, **rest
        )
    if heads == kv_heads:
        rows = query.expand(-1, -1, 2, -1)
        mixed = F.scaled_dot_product_attention(rows, key, value, scale=scaling)[:, :, :1]
    else:
        # All queries of a KV head are rows of one small attention: nothing is repeated.
        rows = query.view(query.shape[0], kv_heads, heads // kv_heads, query.shape[-1])
        mixed = F.scaled_dot_product_attention(rows, key, value, scale=scaling)
    return mixed.reshape(query.shape[0], 1, heads, query.shape[-1]), None

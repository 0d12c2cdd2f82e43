"""A decoder's weights run directly, for models of Llama's shape, without what each token does
not need: module calls, mask building, three matmuls where one does, a cache that is copied.

The operations and their rounding are those of transformers' own forward pass, so that the
same tokens come out, in bf16 too; tests hold it to that. A fused or packed matmul may sum in
another order, which now and then moves a bf16 number by its last bit: as much as another
thread count does. Narrow models gain little by it and are left exact.

Covers Llama, Mistral, Qwen2, Qwen3, SmolLM3 and Granite without sliding windows; every other
model runs through transformers.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F
from transformers import PretrainedConfig
from transformers.cache_utils import Cache

from slm_explorer.engines.kv_cache import BufferedLayer
from slm_explorer.engines.memory import return_freed_memory
from slm_explorer.engines.projections import WIDE, Projection, one_projection, side_by_side

_FAMILIES = {
    "LlamaForCausalLM",
    "MistralForCausalLM",
    "Qwen2ForCausalLM",
    "Qwen3ForCausalLM",
    "SmolLM3ForCausalLM",
    "GraniteForCausalLM",
}
# Position encodings whose table does not depend on how long the text is.
_FIXED_ROPE = {"default", "linear", "llama3", "yarn"}
_POSITIONS = 512


def lean_decoder(model: Any) -> LeanDecoder | None:
    """A decoder over the model's own weights, or None where the model has another shape.

    It takes the weights over: no second copy of them stays. Where the processor has bf16
    matrix instructions, bf16 projections are stored as those read them, and the model itself
    can no longer run; elsewhere its fused weights become views of the same memory.
    """
    config = model.config
    if type(model).__name__ not in _FAMILIES or config._attn_implementation != "sdpa":
        return None
    if _has_sliding_window(config) or config.rope_parameters["rope_type"] not in _FIXED_ROPE:
        return None
    head_dim = model.model.layers[0].self_attn.head_dim
    if model.model.rotary_emb.inv_freq.shape[-1] * 2 != head_dim:
        return None
    return LeanDecoder(model)


def _has_sliding_window(config: PretrainedConfig) -> bool:
    kinds = getattr(config, "layer_types", None)
    if kinds is not None:
        return any(kind != "full_attention" for kind in kinds)
    return getattr(config, "sliding_window", None) is not None


@dataclass(frozen=True)
class _Layer:
    """One block: its projections as callables, its norms as gains."""

    qkv: Projection
    output: Projection
    gate_up: Projection
    down: Projection
    attention_gain: Tensor
    mlp_gain: Tensor
    query_gain: Tensor | None
    key_gain: Tensor | None
    rotates: bool


class LeanDecoder:
    """A Decoder for models of Llama's shape; made by `lean_decoder`."""

    def __init__(self, model: Any) -> None:
        config = model.config
        attention = model.model.layers[0].self_attn
        self._rotary = model.model.rotary_emb
        self._embedding = model.model.embed_tokens
        # A head tied to the embedding is never packed: the embedding is read by rows.
        tied = model.lm_head.weight is self._embedding.weight
        wide = config.hidden_size >= WIDE
        self._head = one_projection(model.lm_head, wide=wide and not tied)
        self._final_gain = model.model.norm.weight
        self._width = (config.hidden_size,)
        self._head_dim = attention.head_dim
        self._eps = config.rms_norm_eps
        self._heads = config.num_attention_heads
        self._kv_heads = config.num_key_value_heads
        self._scale = attention.scaling
        self._activation = (
            F.silu if config.hidden_act == "silu" else model.model.layers[0].mlp.act_fn
        )
        self._embedding_multiplier = getattr(config, "embedding_multiplier", 1.0)
        self._residual_multiplier = getattr(config, "residual_multiplier", 1.0)
        self._logits_scaling = getattr(config, "logits_scaling", 1.0)
        self._layers: list[_Layer] = []
        for layer in model.model.layers:
            self._layers.append(_layer(layer, wide=wide))
            # Threads read the weights, and what they allocated and this one frees is of no use
            # to it: unreturned, packing takes the model's size again for a moment.
            return_freed_memory()
        self._cosines, self._sines = self._rotary_tables(_POSITIONS)

    @torch.inference_mode()
    def last_logits(self, ids: Tensor, cache: Cache) -> Tensor:
        layers: list[BufferedLayer] = cache.layers
        while len(layers) < len(self._layers):
            layers.append(BufferedLayer())
        logits = self._logits(self._hidden(ids, layers)[-1:])
        return logits[0].float()

    @torch.inference_mode()
    def all_logits(self, ids: Tensor) -> Tensor:
        return self._logits(self._hidden(ids, [BufferedLayer() for _ in self._layers]))

    def _logits(self, hidden: Tensor) -> Tensor:
        logits = self._head(hidden)
        return logits if self._logits_scaling == 1.0 else logits / self._logits_scaling

    def _hidden(self, ids: Tensor, cache: Sequence[BufferedLayer]) -> Tensor:
        """The last block's normalized output [tokens, width] for `ids` after the cache."""
        count, start = ids.shape[0], cache[0].length
        heads, kv_heads, head_dim = self._heads, self._kv_heads, self._head_dim
        both = heads + kv_heads
        cosines, sines = self._rotation(start, start + count)
        mask = None
        if count > 1 and start > 0:
            mask = torch.ones(count, start + count, dtype=torch.bool).tril(start)
        state = self._embedding(ids)
        if self._embedding_multiplier != 1.0:
            state = state * self._embedding_multiplier
        for layer, kept in zip(self._layers, cache, strict=True):
            normed = self._norm(state, layer.attention_gain)
            joined = layer.qkv(normed).view(count, both + kv_heads, head_dim)
            turned = joined[:, :both]
            if layer.query_gain is not None and layer.key_gain is not None:
                turned = torch.cat(
                    (
                        self._head_norm(joined[:, :heads], layer.query_gain),
                        self._head_norm(joined[:, heads:both], layer.key_gain),
                    ),
                    dim=1,
                )
            if layer.rotates:
                # Rotating half the width and negating one half is a roll against signed sines.
                turned = turned * cosines + turned.roll(head_dim // 2, -1) * sines
            keys, values = kept.update(
                turned[:, heads:].transpose(0, 1)[None], joined[:, both:].transpose(0, 1)[None]
            )
            if count == 1:
                # All queries of a KV head are rows of one small attention: nothing is repeated.
                query = turned[:, :heads].reshape(1, kv_heads, heads // kv_heads, head_dim)
                mixed = F.scaled_dot_product_attention(query, keys, values, scale=self._scale)
            else:
                mixed = F.scaled_dot_product_attention(
                    turned[:, :heads].transpose(0, 1)[None],
                    keys,
                    values,
                    attn_mask=mask,
                    is_causal=mask is None,
                    scale=self._scale,
                    enable_gqa=heads != kv_heads,
                ).transpose(1, 2)
            state = self._add(state, layer.output(mixed.reshape(count, heads * head_dim)))
            gate, up = layer.gate_up(self._norm(state, layer.mlp_gain)).chunk(2, dim=-1)
            state = self._add(state, layer.down(self._activation(gate) * up))
        return self._norm(state, self._final_gain)

    def _norm(self, state: Tensor, gain: Tensor) -> Tensor:
        # The gain apart, in the model's dtype: as transformers rounds it.
        return F.rms_norm(state, self._width, None, self._eps) * gain

    def _head_norm(self, heads: Tensor, gain: Tensor) -> Tensor:
        return F.rms_norm(heads, (self._head_dim,), None, self._eps) * gain

    def _add(self, state: Tensor, change: Tensor) -> Tensor:
        if self._residual_multiplier != 1.0:
            change = change * self._residual_multiplier
        return state + change

    def _rotation(self, start: int, end: int) -> tuple[Tensor, Tensor]:
        """Cosines and signed sines [tokens, 1, head width] of the positions."""
        if end > self._cosines.shape[0]:
            self._cosines, self._sines = self._rotary_tables(max(end, 2 * self._cosines.shape[0]))
        return self._cosines[start:end], self._sines[start:end]

    @torch.inference_mode()
    def _rotary_tables(self, positions: int) -> tuple[Tensor, Tensor]:
        """From the model's own rotary module, so that its scaling is its own."""
        dtype = self._final_gain.dtype
        cosines, sines = self._rotary(
            torch.empty(1, dtype=dtype), torch.arange(positions).unsqueeze(0)
        )
        half = self._head_dim // 2
        signed = torch.cat((-sines[0, :, :half], sines[0, :, half:]), dim=-1)
        return cosines[0].unsqueeze(1), signed.unsqueeze(1)


def _layer(layer: Any, *, wide: bool) -> _Layer:
    attention, mlp = layer.self_attn, layer.mlp
    return _Layer(
        qkv=side_by_side((attention.q_proj, attention.k_proj, attention.v_proj), wide=wide),
        output=one_projection(attention.o_proj, wide=wide),
        gate_up=side_by_side((mlp.gate_proj, mlp.up_proj), wide=wide),
        down=one_projection(mlp.down_proj, wide=wide),
        attention_gain=layer.input_layernorm.weight,
        mlp_gain=layer.post_attention_layernorm.weight,
        query_gain=attention.q_norm.weight if hasattr(attention, "q_norm") else None,
        key_gain=attention.k_norm.weight if hasattr(attention, "k_norm") else None,
        rotates=bool(getattr(attention, "use_rope", True)),
    )

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

from collections.abc import Callable, Generator, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F
from transformers import PretrainedConfig
from transformers.cache_utils import Cache

from slm_explorer.engines import prompt_attention
from slm_explorer.engines.batch_rows import SteadyRows
from slm_explorer.engines.kv_cache import BufferedLayer
from slm_explorer.engines.lean_layer import LeanLayer, lean_layer
from slm_explorer.engines.memory import return_freed_memory
from slm_explorer.engines.norms import RmsNorm
from slm_explorer.engines.projections import WIDE, blocked_weights, one_projection
from slm_explorer.engines.racks import PAGE, PageMask, Rack, Racks, whole_pages
from slm_explorer.engines.rotary import RotaryTables
from slm_explorer.engines.traced import FIXED_ROPE, Program, program_of, ruler

_FAMILIES = {
    "LlamaForCausalLM",
    "MistralForCausalLM",
    "Qwen2ForCausalLM",
    "Qwen3ForCausalLM",
    "SmolLM3ForCausalLM",
    "GraniteForCausalLM",
}

# From a layer's number and a token's queries, keys and values to what the attention gives.
Attend = Callable[[int, Tensor, Tensor, Tensor], Tensor]


def lean_decoder(model: Any) -> LeanDecoder | None:
    """A decoder over the model's own weights, or None where the model has another shape.

    It takes the weights over: no second copy of them stays. Where the processor has bf16
    matrix instructions, bf16 projections are stored as those read them, and the model itself
    can no longer run; elsewhere its fused weights become views of the same memory.
    """
    config = model.config
    if type(model).__name__ not in _FAMILIES or config._attn_implementation != "sdpa":
        return None
    if _has_sliding_window(config) or config.rope_parameters["rope_type"] not in FIXED_ROPE:
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


class LeanDecoder:
    """A Decoder for models of Llama's shape; made by `lean_decoder`."""

    def __init__(self, model: Any) -> None:
        config = model.config
        attention = model.model.layers[0].self_attn
        self._embedding = model.model.embed_tokens
        # A head tied to the embedding is never packed: the embedding is read by rows.
        tied = model.lm_head.weight is self._embedding.weight
        wide = config.hidden_size >= WIDE
        # In narrow models attention is little work, and they stay exact (see racks.py).
        self._paged = wide
        self._head = one_projection(model.lm_head, wide=wide and not tied)
        self._norm = RmsNorm(model.model.norm.weight, config.rms_norm_eps)
        self._dtype = model.model.norm.weight.dtype
        self._head_dim = attention.head_dim
        self._heads = config.num_attention_heads
        self._kv_heads = config.num_key_value_heads
        self._scale = attention.scaling
        activation = F.silu if config.hidden_act == "silu" else model.model.layers[0].mlp.act_fn
        self._embedding_multiplier = getattr(config, "embedding_multiplier", 1.0)
        self._residual_multiplier = getattr(config, "residual_multiplier", 1.0)
        self._logits_scaling = getattr(config, "logits_scaling", 1.0)
        self._layers: list[LeanLayer] = []
        for layer in model.model.layers:
            self._layers.append(lean_layer(layer, activation, config.rms_norm_eps, wide=wide))
            # Threads read the weights, and what they allocated and this one frees is of no use
            # to it: unreturned, packing takes the model's size again for a moment.
            return_freed_memory()
        rows = SteadyRows(self._dtype)
        widths = config.hidden_size, self._heads * self._head_dim, config.intermediate_size
        self._step_layers = [layer.steady(rows, *widths) for layer in self._layers]
        self._step_head = rows.steady(self._head, config.hidden_size)
        self._rotary = RotaryTables(model.model.rotary_emb, self._head_dim, self._dtype)
        self._mask = PageMask(self._dtype)
        self._program: Program | None = None
        self._weights = blocked_weights(self._head)
        for layer in self._layers:
            for project in (layer.qkv, layer.output, layer.gate_up, layer.down):
                self._weights += blocked_weights(project)

    def racks(self) -> Racks:
        """Where a batch keeps its caches."""
        return Racks(self._dtype, paged=self._paged)

    @property
    def cache_bytes_per_token(self) -> int:
        """What a token's keys and values take in all layers together."""
        size: int = self._dtype.itemsize
        values: int = 2 * len(self._layers) * self._kv_heads * self._head_dim
        return values * size

    def last_logits(self, ids: Tensor, cache: Cache) -> Tensor:
        return _finished(self.read(ids, cache))

    @torch.inference_mode()
    def read(self, ids: Tensor, cache: Cache) -> Generator[None, None, Tensor]:
        """`last_logits` with a pause after every block, so that others need not wait long."""
        layers = self._buffers(cache)
        if ids.shape[0] == 1 and layers[0].length > 0:
            return self._one(ids, layers)
        hidden = yield from self._hidden(ids, layers)
        return self._logits(self._head(hidden[-1:]))[0].float()

    @torch.inference_mode()
    def next_logits(self, ids: Tensor, racks: Sequence[Rack]) -> Tensor:
        """Read one token of each sequence, `ids` [sequences], each after what its own cache
        holds, in the order of the racks; float32 [sequences, vocabulary]. A row is what
        `last_logits` gives for its sequence alone, bit for bit (see batch_rows.py for how).
        """
        positions = [length for rack in racks for length in rack.lengths]
        logits = self._next(ids, *self._rotary.of_each(positions), self._racked(racks))
        for rack in racks:
            rack.lengths = [length + 1 for length in rack.lengths]
        return logits

    @torch.inference_mode()
    def all_logits(self, ids: Tensor) -> Tensor:
        hidden = _finished(self._hidden(ids, [BufferedLayer() for _ in self._layers]))
        return self._logits(self._head(hidden))

    def _buffers(self, cache: Cache) -> list[BufferedLayer]:
        layers: list[BufferedLayer] = cache.layers
        while len(layers) < len(self._layers):
            layers.append(BufferedLayer())
        return layers

    def _logits(self, logits: Tensor) -> Tensor:
        return logits if self._logits_scaling == 1.0 else logits / self._logits_scaling

    def _embed(self, ids: Tensor) -> Tensor:
        state: Tensor = self._embedding(ids)
        if self._embedding_multiplier != 1.0:
            state = state * self._embedding_multiplier
        return state

    @torch.inference_mode()
    def trace(self) -> None:
        """From now on, single tokens go through a program; see traced.py."""
        draw = torch.Generator().manual_seed(0)
        states = []
        for length in (2, PAGE + 2):
            layers = [BufferedLayer() for _ in self._layers]
            for layer in layers:
                shape = (2, 1, self._kv_heads, length, self._head_dim)
                layer.update(*torch.randn(shape, generator=draw).to(self._dtype))
            states.append(self._state(torch.tensor([1]), layers))
        wanted = [self._step(*state) for state in states]
        self._program = program_of(self._step, states, wanted)

    def _one(self, ids: Tensor, layers: Sequence[BufferedLayer]) -> Tensor:
        """`last_logits` of one token after others."""
        logits = (self._program or self._step)(*self._state(ids, layers))
        for layer in layers:
            layer.advance()
        return logits

    def _state(self, ids: Tensor, layers: Sequence[BufferedLayer]) -> list[Tensor]:
        """What `_step` is given for one token after what the layers hold."""
        total = layers[0].length + 1
        room, mask = 0, ruler(total)
        if self._paged:
            room, mask = whole_pages(total), self._mask.row(total)
        buffers = [each for layer in layers for each in layer.room_for_one(room)]
        turned = self._rotary.of(total - 1, total)
        return [ids, *turned, ruler(total), mask, *buffers, *self._weights]

    def _step(
        self,
        ids: Tensor,
        cosines: Tensor,
        sines: Tensor,
        total: Tensor,
        mask: Tensor,
        *buffers: Tensor,
    ) -> Tensor:
        """Logits [vocabulary] of one token, whose keys and values go into the buffers behind
        `total` - 1 others. Attended to are as many as the mask is long. Behind the buffers are
        the weights that a trace cannot hold.
        """
        last, room = total.shape[0] - 1, mask.shape[0]

        def attend(at: int, queries: Tensor, keys: Tensor, values: Tensor) -> Tensor:
            all_keys, all_values = buffers[2 * at : 2 * at + 2]
            all_keys.narrow(2, last, 1).copy_(keys[:, :, None])
            all_values.narrow(2, last, 1).copy_(values[:, :, None])
            return F.scaled_dot_product_attention(
                queries,
                all_keys.narrow(2, 0, room),
                all_values.narrow(2, 0, room),
                attn_mask=mask[None, None, None] if self._paged else None,
                scale=self._scale,
            )

        return self._next(ids, cosines, sines, attend)[0]

    def _next(self, ids: Tensor, cosines: Tensor, sines: Tensor, attend: Attend) -> Tensor:
        """Logits for one token of each sequence, see `next_logits`."""
        count = ids.shape[0]
        heads, kv_heads, head_dim = self._heads, self._kv_heads, self._head_dim
        state = self._embed(ids)
        for at, layer in enumerate(self._step_layers):
            turned, values = self._heads_of(layer, state, cosines, sines)
            # All queries of a KV head are rows of one small attention: nothing is repeated.
            queries = turned[:, :heads].reshape(count, kv_heads, heads // kv_heads, head_dim)
            mixed = attend(at, queries, turned[:, heads:], values)
            state = self._rest(layer, state, mixed.reshape(count, heads * head_dim))
        return self._logits(self._step_head(self._norm(state))).float()

    def _racked(self, racks: Sequence[Rack]) -> Attend:
        sizes = [len(rack) for rack in racks]

        def attend(at: int, queries: Tensor, keys: Tensor, values: Tensor) -> Tensor:
            if len(racks) == 1:
                return racks[0].attend(at, queries, keys, values, self._scale)
            parts = (torch.split(each, sizes) for each in (queries, keys, values))
            return torch.cat(
                [
                    rack.attend(at, query, key, value, self._scale)
                    for rack, query, key, value in zip(racks, *parts, strict=True)
                ]
            )

        return attend

    def _hidden(self, ids: Tensor, cache: Sequence[BufferedLayer]) -> Generator[None, None, Tensor]:
        """The last block's normalized output [tokens, width] for `ids` after the cache; pauses
        after every block.
        """
        count, start = ids.shape[0], cache[0].length
        heads, head_dim = self._heads, self._head_dim
        cosines, sines = self._rotary.of(start, start + count)
        mask = None
        if count > 1 and start > 0:
            mask = torch.ones(count, start + count, dtype=torch.bool).tril(start)
        state = self._embed(ids)
        for layer, kept in zip(self._layers, cache, strict=True):
            turned, values = self._heads_of(layer, state, cosines, sines)
            all_keys, all_values = kept.update(
                turned[:, heads:].transpose(0, 1)[None], values.transpose(0, 1)[None]
            )
            queries = turned[:, :heads]
            if start == 0 and self._paged and prompt_attention.faster(queries):
                mixed = prompt_attention.attend(queries, all_keys[0], all_values[0], self._scale)
            else:
                mixed = F.scaled_dot_product_attention(
                    queries.transpose(0, 1)[None],
                    all_keys,
                    all_values,
                    attn_mask=mask,
                    is_causal=mask is None,
                    scale=self._scale,
                    enable_gqa=heads != self._kv_heads,
                ).transpose(1, 2)
            state = self._rest(layer, state, mixed.reshape(count, heads * head_dim))
            yield
        return self._norm(state)

    def _heads_of(
        self, layer: LeanLayer, state: Tensor, cosines: Tensor, sines: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Queries and keys, turned to their positions, side by side, and values: each
        [tokens, heads, head width].
        """
        heads, both = self._heads, self._heads + self._kv_heads
        joined = layer.qkv(layer.attention_norm(state))
        joined = joined.view(state.shape[0], both + self._kv_heads, self._head_dim)
        turned = joined[:, :both]
        if layer.query_norm is not None and layer.key_norm is not None:
            turned = torch.cat(
                (layer.query_norm(joined[:, :heads]), layer.key_norm(joined[:, heads:both])), dim=1
            )
        if layer.rotates:
            # Rotating half the width and negating one half is a roll against signed sines.
            turned = turned * cosines + turned.roll(self._head_dim // 2, -1) * sines
        return turned, joined[:, both:]

    def _rest(self, layer: LeanLayer, state: Tensor, mixed: Tensor) -> Tensor:
        """What follows the attention in a block."""
        state = self._add(state, layer.output(mixed))
        gate, up = layer.gate_up(layer.mlp_norm(state)).chunk(2, dim=-1)
        return self._add(state, layer.down(layer.activation(gate) * up))

    def _add(self, state: Tensor, change: Tensor) -> Tensor:
        if self._residual_multiplier != 1.0:
            change = change * self._residual_multiplier
        return state + change


def _finished(work: Generator[None, None, Tensor]) -> Tensor:
    """What work with pauses gives in the end, without them."""
    while True:
        try:
            next(work)
        except StopIteration as end:
            result: Tensor = end.value
            return result

"""The KV caches of a batch, side by side in memory, so that few operators serve many sequences.

A row must not change with its neighbours, and how an attention sums depends on the number of keys
that it is given. Either each row has its own attention over as many keys as there are, which is
what transformers computes, to the last bit; or keys come in whole pages, alone as in a batch, with
what is not yet written masked, and one attention serves all sequences of as many pages. The
pages are those of vLLM (Kwon et al. 2023, arXiv:2309.06180), but lie in one piece: torch's
attention has no other way to read them.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional as F
from transformers.cache_utils import Cache

PAGE = 128
"""Tokens: with more, short sequences read much that is empty; with fewer, racks are emptier."""

# Places are added to a rack so many at a time.
_PLACES = 4

# Each row's attention to its own keys so far and the new one. As TorchScript: of sixteen rows a
# layer of sprout-5m, 178 instead of 224 microseconds.
_each_alone = torch.jit.CompilationUnit(
    """
def each_alone(
    queries: Tensor, keys: Tensor, values: Tensor, lengths: List[int], scale: float
) -> Tensor:
    mixed: List[Tensor] = []
    for place in range(len(lengths)):
        room = lengths[place] + 1
        mixed.append(
            torch.ops.aten.scaled_dot_product_attention(
                queries.narrow(0, place, 1),
                keys.narrow(0, place, 1).narrow(2, 0, room),
                values.narrow(0, place, 1).narrow(2, 0, room),
                None, 0.0, False, scale=scale,
            )
        )
    return torch.cat(mixed)
"""
).each_alone


def whole_pages(tokens: int) -> int:
    """The room that so many tokens take, in tokens."""
    return -(-tokens // PAGE) * PAGE


class PageMask:
    """What is to be left out of the attention of one token to a cache of whole pages."""

    def __init__(self, dtype: torch.dtype) -> None:
        self._dtype = dtype
        self._strip = self._made(PAGE)

    def row(self, tokens: int) -> Tensor:
        """[whole pages]: nothing is added to the scores of the first `tokens` keys, minus infinity
        to the others.
        """
        written = self._strip.shape[0] - PAGE
        if tokens > written:
            self._strip = self._made(max(tokens, 2 * written))
            written = self._strip.shape[0] - PAGE
        return self._strip[written - tokens :][: whole_pages(tokens)]

    def _made(self, tokens: int) -> Tensor:
        strip = torch.zeros(tokens + PAGE, dtype=self._dtype)
        strip[tokens:] = -torch.inf
        return strip


class Rack:
    """The caches of sequences that have room for `tokens` tokens each. A layer's keys, and its
    values, are [places, KV heads, tokens, head width]; the first places are taken.
    """

    def __init__(self, tokens: int, *, paged: bool) -> None:
        self.tokens = tokens
        self._paged = paged
        self.caches: list[Cache] = []
        self.lengths: list[int] = []
        self._keys: list[Tensor] = []
        self._values: list[Tensor] = []
        self._rows = torch.empty(0, dtype=torch.long)
        self._mask = torch.empty(0)

    def __len__(self) -> int:
        return len(self.caches)

    def add(self, cache: Cache, states: Sequence[tuple[Tensor, Tensor]], length: int) -> None:
        """`states` are each layer's keys and values so far, [KV heads, length, head width]."""
        place = len(self)
        self._make_room(states)
        for layers, kind in ((self._keys, 0), (self._values, 1)):
            for layer, state in zip(layers, states, strict=True):
                layer[place, :, :length] = state[kind]
                # What another left there could be infinite, which no mask hides.
                layer[place, :, length:] = 0
        self.caches.append(cache)
        self.lengths.append(length)

    def take(self, place: int) -> list[tuple[Tensor, Tensor]]:
        """The keys and values of every layer, out of the rack; the last one moves up."""
        length, last = self.lengths[place], len(self) - 1
        taken = [
            (keys[place, :, :length].clone(), values[place, :, :length].clone())
            for keys, values in zip(self._keys, self._values, strict=True)
        ]
        if place != last:
            for layer in (*self._keys, *self._values):
                layer[place] = layer[last]
        self.caches[place], self.lengths[place] = self.caches[last], self.lengths[last]
        self.caches.pop()
        self.lengths.pop()
        return taken

    def prepare(self, mask: PageMask) -> None:
        """Before a step that adds a token to each."""
        kv_heads = self._keys[0].shape[1]
        starts = torch.tensor(self.lengths).repeat_interleave(kv_heads)
        self._rows = starts + torch.arange(len(self) * kv_heads) * self.tokens
        self._mask = torch.stack([mask.row(length + 1) for length in self.lengths])[:, None, None]

    def attend(
        self, layer: int, queries: Tensor, keys: Tensor, values: Tensor, scale: float
    ) -> Tensor:
        """Keep a token's keys and values, each [sequences, KV heads, head width], and attend to
        all so far: `queries` [sequences, KV heads, queries of each, head width], the result too.
        """
        count, width = len(self), keys.shape[-1]
        for kept, new in ((self._keys[layer], keys), (self._values[layer], values)):
            if count == 1:
                kept[0, :, self.lengths[0]] = new[0]
            else:
                kept.view(-1, width).index_copy_(0, self._rows, new.reshape(-1, width))
        all_keys, all_values = self._keys[layer], self._values[layer]
        if self._paged:
            return F.scaled_dot_product_attention(
                queries, all_keys[:count], all_values[:count], attn_mask=self._mask, scale=scale
            )
        mixed: Tensor = _each_alone(queries, all_keys, all_values, self.lengths, scale)
        return mixed

    def _make_room(self, states: Sequence[tuple[Tensor, Tensor]]) -> None:
        if self._keys and len(self) < self._keys[0].shape[0]:
            return
        kv_heads, _, width = states[0][0].shape
        shape = (len(self) + _PLACES, kv_heads, self.tokens, width)
        for layers in (self._keys, self._values):
            for at, (state, _) in enumerate(states):
                room = state.new_empty(shape)
                if at < len(layers):
                    room[: len(self)] = layers[at][: len(self)]
                    layers[at] = room
                else:
                    layers.append(room)


class Racks:
    """All racks of a batch. While a cache is in, only they hold its keys and values."""

    def __init__(self, dtype: torch.dtype, *, paged: bool) -> None:
        self._mask = PageMask(dtype)
        self._paged = paged
        self._racks: dict[int, Rack] = {}

    def join(self, cache: Cache) -> None:
        length = cache.layers[0].length
        self._add(cache, [layer.hand_over() for layer in cache.layers], length)

    def leave(self, cache: Cache) -> None:
        """Give the cache its own keys and values again."""
        for layer, (keys, values) in zip(cache.layers, self._take(cache), strict=True):
            layer.take_back(keys, values)

    def ready(self) -> list[Rack]:
        """The racks for the next step, with everybody in the rack that has room for the token."""
        full = [
            (cache, rack.lengths[at])
            for rack in self._racks.values()
            for at, cache in enumerate(rack.caches)
            if rack.lengths[at] == rack.tokens
        ]
        for cache, length in full:
            self._add(cache, self._take(cache), length)
        racks = list(self._racks.values())
        for rack in racks:
            rack.prepare(self._mask)
        return racks

    def _add(self, cache: Cache, states: Sequence[tuple[Tensor, Tensor]], length: int) -> None:
        tokens = whole_pages(length + 1)
        self._racks.setdefault(tokens, Rack(tokens, paged=self._paged)).add(cache, states, length)

    def _take(self, cache: Cache) -> list[tuple[Tensor, Tensor]]:
        for tokens, rack in self._racks.items():
            if cache in rack.caches:
                taken = rack.take(rack.caches.index(cache))
                if not rack:
                    del self._racks[tokens]
                return taken
        raise ValueError("this cache is in no rack")

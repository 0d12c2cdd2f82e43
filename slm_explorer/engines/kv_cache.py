"""The KV cache: buffers allocated ahead, and the caches kept between turns of conversations."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from torch import Tensor
from transformers import PretrainedConfig
from transformers.cache_utils import Cache, DynamicCache, DynamicLayer

from slm_explorer.engines.racks import PAGE

# A cache grows by at least this many tokens, so that growing (a copy) is rare.
_GROWTH = 2 * PAGE


class BufferedLayer(DynamicLayer):  # type: ignore[misc]
    """One layer's keys and values, [1, KV heads, tokens, head width], in buffers with room.

    transformers' own DynamicLayer copies the whole layer for every token; this one writes the
    new token behind the others, and forgets tokens by lowering a number.
    """

    def __init__(self) -> None:
        super().__init__()
        self.length = 0
        self._key_buffer: Tensor | None = None
        self._value_buffer: Tensor | None = None
        # So many tokens were written or cleared; what lies behind may be no number at all.
        self._clear = 0

    def update(
        self, key_states: Tensor, value_states: Tensor, *_args: Any, **_kwargs: Any
    ) -> tuple[Tensor, Tensor]:
        """Append tokens; returns views of all keys and values so far."""
        keys, values = self._append(key_states, value_states)
        return keys.narrow(2, 0, self.length), values.narrow(2, 0, self.length)

    def room_for_one(self, room: int = 0) -> tuple[Tensor, Tensor]:
        """The buffers of a layer that holds something, with room for one token more: whoever
        writes it there says `advance`. What is unwritten of the first `room` tokens is zero.
        """
        keys, values = self._key_buffer, self._value_buffer
        assert keys is not None
        assert values is not None
        if self.length == keys.shape[-2]:
            keys = self._key_buffer = self._grown(keys, keys, self.length + 1)
            values = self._value_buffer = self._grown(values, values, self.length + 1)
            self._clear = self.length
        if room > self._clear:
            # Masked, and yet an infinite value would spoil the sum.
            keys.narrow(2, self._clear, room - self._clear).zero_()
            values.narrow(2, self._clear, room - self._clear).zero_()
            self._clear = room
        return keys, values

    def advance(self) -> None:
        """One token more was written."""
        self.length += 1
        self._clear = max(self._clear, self.length)

    def hand_over(self) -> tuple[Tensor, Tensor]:
        """Keys and values, each [KV heads, tokens, head width], which it holds no longer."""
        keys, values = self._key_buffer, self._value_buffer
        assert keys is not None
        assert values is not None
        self._key_buffer = self._value_buffer = None
        return keys[0, :, : self.length], values[0, :, : self.length]

    def take_back(self, keys: Tensor, values: Tensor) -> None:
        """The opposite of `hand_over`; there may be more tokens by now."""
        self.length = 0
        self._append(keys[None], values[None])

    def _append(self, key_states: Tensor, value_states: Tensor) -> tuple[Tensor, Tensor]:
        count = key_states.shape[-2]
        end = self.length + count
        keys, values = self._key_buffer, self._value_buffer
        if keys is None or values is None or end > keys.shape[-2]:
            keys = self._key_buffer = self._grown(keys, key_states, end)
            values = self._value_buffer = self._grown(values, value_states, end)
            self._clear = self.length
            self.is_initialized = True
        keys.narrow(2, self.length, count).copy_(key_states)
        values.narrow(2, self.length, count).copy_(value_states)
        self.length = end
        self._clear = max(self._clear, end)
        return keys, values

    def _grown(self, buffer: Tensor | None, states: Tensor, needed: int) -> Tensor:
        capacity = max(needed, self.length + self.length // 2)
        capacity = -(-capacity // _GROWTH) * _GROWTH
        batch, heads, _, width = states.shape
        grown = states.new_empty(batch, heads, capacity, width)
        if buffer is not None:
            grown[:, :, : self.length] = buffer[:, :, : self.length]
        return grown

    def get_seq_length(self) -> int:
        return self.length

    def crop(self, tokens_to_remove: int) -> None:
        """Forget the last tokens; like its base, it takes their number as a negative."""
        self.length += tokens_to_remove

    @property
    def nbytes(self) -> int:
        buffers = (self._key_buffer, self._value_buffer)
        return sum(buffer.nbytes for buffer in buffers if buffer is not None)


def new_cache(config: PretrainedConfig) -> Cache:
    """An empty cache that fits the model: buffered where every layer is plain full attention,
    transformers' own (sliding windows, convolution and recurrent states) elsewhere.
    """
    cache = DynamicCache(config=config)
    if cache.layers and all(type(layer) is DynamicLayer for layer in cache.layers):
        return Cache(layers=[BufferedLayer() for _ in cache.layers])
    if not cache.layers:
        return Cache(layer_class_to_replicate=BufferedLayer)
    return cache


def _is_croppable(cache: Cache) -> bool:
    return all(type(layer) is BufferedLayer for layer in cache.layers)


def _nbytes(cache: Cache) -> int:
    total = 0
    for layer in cache.layers:
        if isinstance(layer, BufferedLayer):
            total += layer.nbytes
        else:
            total += sum(
                value.nbytes for value in vars(layer).values() if isinstance(value, Tensor)
            )
    return total


@dataclass
class KeptCache:
    """A cache and the tokens whose keys and values it holds."""

    cache: Cache
    ids: list[int]


class ConversationCaches:
    """The caches of the conversations used last, at most `limit` of them and `max_bytes`."""

    def __init__(
        self, config: PretrainedConfig, limit: int = 32, max_bytes: int = 256 * 2**20
    ) -> None:
        self._config = config
        self._limit = limit
        self._max_bytes = max_bytes
        self._kept: OrderedDict[str, KeptCache] = OrderedDict()

    def take(self, chat: str | None, prompt_ids: Sequence[int]) -> KeptCache:
        """The conversation's cache cut to what it shares with the prompt, or an empty one.

        At least the prompt's last token stays to be read: its logits are wanted. A cache that
        cannot forget (sliding window, recurrent state) is used only if it holds nothing but a
        beginning of the prompt. The cache is out of the store until `keep` brings it back, so
        that a failure in between loses it rather than leave it wrong.
        """
        kept = self._kept.pop(chat, None) if chat is not None else None
        if kept is not None:
            shared = _common_prefix(kept.ids, prompt_ids[:-1])
            if shared == len(kept.ids):
                return kept
            if shared > 0 and _is_croppable(kept.cache):
                for layer in kept.cache.layers:
                    layer.crop(shared - len(kept.ids))
                return KeptCache(kept.cache, kept.ids[:shared])
        return KeptCache(new_cache(self._config), [])

    def keep(self, chat: str | None, kept: KeptCache) -> None:
        """Store the cache for the conversation's next turn; the least recently used ones go."""
        if chat is None:
            return
        self._kept[chat] = kept
        while self._kept and (
            len(self._kept) > self._limit
            or sum(_nbytes(each.cache) for each in self._kept.values()) > self._max_bytes
        ):
            self._kept.popitem(last=False)


def _common_prefix(first: Sequence[int], second: Sequence[int]) -> int:
    count = min(len(first), len(second))
    for at in range(count):
        if first[at] != second[at]:
            return at
    return count

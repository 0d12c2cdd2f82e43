"""The KV cache: buffers allocated ahead, and the caches kept between turns of conversations."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from torch import Tensor
from transformers import PretrainedConfig
from transformers.cache_utils import (
    Cache,
    DynamicCache,
    DynamicLayer,
    DynamicSlidingWindowLayer,
)

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
        # So many tokens were forgotten for good: the buffers begin after them.
        self._dropped = 0
        # So many of the buffers were written or cleared; what follows may be no number at all.
        self._clear = 0

    @property
    def held(self) -> int:
        """Tokens in the buffers."""
        return self.length - self._dropped

    def seen(self, count: int) -> int:
        """How many tokens the last of `count` further ones attend to."""
        return self.length + count

    def update(
        self, key_states: Tensor, value_states: Tensor, *_args: Any, **_kwargs: Any
    ) -> tuple[Tensor, Tensor]:
        """Append tokens; returns views of all keys and values that they attend to."""
        seen, count = self.seen(key_states.shape[-2]), key_states.shape[-2]
        keys, values = self._key_buffer, self._value_buffer
        if keys is None or values is None or self.held + count > keys.shape[-2]:
            keys, values = self._grow(key_states, value_states, count)
            self.is_initialized = True
        keys.narrow(2, self.held, count).copy_(key_states)
        values.narrow(2, self.held, count).copy_(value_states)
        self.advance(count)
        start = self.held - seen
        return keys.narrow(2, start, seen), values.narrow(2, start, seen)

    def room_for_one(self, room: int = 0) -> tuple[Tensor, Tensor]:
        """The buffers of a layer that holds something, with room for one token more: whoever
        writes it there says `advance`. What is unwritten of the first `room` tokens is zero.
        """
        keys, values = self._key_buffer, self._value_buffer
        assert keys is not None
        assert values is not None
        if self.held == keys.shape[-2]:
            keys, values = self._grow(keys, values, 1)
        if room > self._clear:
            # Masked, and yet an infinite value would spoil the sum.
            keys.narrow(2, self._clear, room - self._clear).zero_()
            values.narrow(2, self._clear, room - self._clear).zero_()
            self._clear = room
        return keys, values

    def advance(self, count: int = 1) -> None:
        """So many tokens more were written."""
        self.length += count
        self._clear = max(self._clear, self.held)

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
        self.update(keys[None], values[None])

    def _grow(self, keys: Tensor, values: Tensor, count: int) -> tuple[Tensor, Tensor]:
        """New buffers for the tokens that are still attended to and `count` more, of the shape
        and kind of `keys` and `values`.
        """
        kept = min(self.held, self.seen(1) - 1)
        capacity = max(kept + count, kept + kept // 2)
        capacity = -(-capacity // _GROWTH) * _GROWTH
        grown = []
        for old, like in ((self._key_buffer, keys), (self._value_buffer, values)):
            batch, heads, _, width = like.shape
            new = like.new_empty(batch, heads, capacity, width)
            if old is not None:
                new.narrow(2, 0, kept).copy_(old.narrow(2, self.held - kept, kept))
            grown.append(new)
        self._key_buffer, self._value_buffer = grown
        self._dropped = self.length - kept
        self._clear = kept
        return grown[0], grown[1]

    def get_seq_length(self) -> int:
        return self.length

    def crop(self, tokens_to_remove: int) -> None:
        """Forget the last tokens; like its base, it takes their number as a negative."""
        self.length += tokens_to_remove

    @property
    def nbytes(self) -> int:
        buffers = (self._key_buffer, self._value_buffer)
        return sum(buffer.nbytes for buffer in buffers if buffer is not None)


class BufferedWindow(BufferedLayer):
    """The same for a layer whose tokens attend to themselves and those `window` - 1 before them:
    what is older goes when the buffers are full. It cannot forget tokens but the last one.
    """

    is_sliding = True

    def __init__(self, window: int) -> None:
        super().__init__()
        self.window = window

    def seen(self, count: int) -> int:
        return min(self.length, self.window - 1) + count

    def get_mask_sizes(self, query_length: int) -> tuple[int, int]:
        return self.seen(query_length), self.length + query_length - self.seen(query_length)


def new_cache(config: PretrainedConfig) -> Cache:
    """An empty cache that fits the model: buffered where every layer is full or sliding attention,
    transformers' own (convolution and recurrent states) elsewhere.
    """
    cache = DynamicCache(config=config)
    if not cache.layers:
        return Cache(layer_class_to_replicate=BufferedLayer)
    layers = [_buffered(layer) for layer in cache.layers]
    return cache if None in layers else Cache(layers=layers)


def _buffered(layer: Any) -> BufferedLayer | None:
    if type(layer) is DynamicLayer:
        return BufferedLayer()
    return (
        BufferedWindow(layer.sliding_window) if type(layer) is DynamicSlidingWindowLayer else None
    )


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

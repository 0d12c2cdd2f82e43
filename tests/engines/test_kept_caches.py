"""The KV caches kept between turns: what is reused, what goes, and what an error leaves."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import AutoConfig
from transformers.cache_utils import DynamicSlidingWindowLayer

from slm_explorer.engines.base import Engine
from slm_explorer.engines.kv_cache import (
    BufferedLayer,
    BufferedWindow,
    ConversationCaches,
    KeptCache,
    new_cache,
)
from slm_explorer.engines.racks import whole_pages
from slm_explorer.types import Sampling
from tests.engines.answers import Said, StopAfter, ask, request
from tests.engines.conftest import Checkpoint, load
from tests.engines.models import ARCHITECTURES

LLAMA = AutoConfig.for_model(**ARCHITECTURES["llama"])
# Keys and values of one token: 2 x 3 layers x 2 heads x 16 wide x 4 bytes, in steps of 256.
STEP_BYTES = 256 * 2 * 3 * 2 * 16 * 4


def filled(tokens: int) -> KeptCache:
    cache = new_cache(LLAMA)
    for layer in cache.layers:
        layer.update(torch.zeros(1, 2, tokens, 16), torch.zeros(1, 2, tokens, 16))
    return KeptCache(cache, list(range(tokens)))


def test_the_least_recently_used_conversation_goes_first() -> None:
    caches = ConversationCaches(LLAMA, limit=2)
    for chat in ("a", "b"):
        caches.keep(chat, filled(10))
    caches.keep("a", caches.take("a", range(20)))
    caches.keep("c", filled(10))
    assert len(caches.take("b", range(20)).ids) == 0
    assert len(caches.take("a", range(20)).ids) == 10
    assert len(caches.take("c", range(20)).ids) == 10


def test_bytes_bound_what_is_kept() -> None:
    caches = ConversationCaches(LLAMA, max_bytes=2 * STEP_BYTES)
    for chat in ("a", "b", "c"):
        caches.keep(chat, filled(200))
    kept = [chat for chat in ("a", "b", "c") if caches.take(chat, range(300)).ids]
    assert kept == ["b", "c"]
    caches.keep("huge", filled(1000))
    assert not caches.take("huge", range(2000)).ids, "one that is too large alone goes too"


def test_a_taken_cache_is_gone_until_it_is_kept_again() -> None:
    caches = ConversationCaches(LLAMA)
    caches.keep("a", filled(10))
    assert caches.take("a", range(20)).ids
    assert not caches.take("a", range(20)).ids


def test_the_last_token_of_the_prompt_is_always_read() -> None:
    caches = ConversationCaches(LLAMA)
    caches.keep("a", filled(10))
    kept = caches.take("a", range(10))
    assert kept.ids == list(range(9))
    assert all(layer.get_seq_length() == 9 for layer in kept.cache.layers)


def test_a_buffered_layer_holds_what_was_appended_while_it_grows() -> None:
    layer = BufferedLayer()
    keys = torch.randn(1, 2, 700, 8)
    start = 0
    for size in (1, 254, 1, 1, 300, 143):
        piece = keys[:, :, start : start + size]
        start += size
        got_keys, got_values = layer.update(piece, -piece)
        assert torch.equal(got_keys, keys[:, :, :start])
        assert torch.equal(got_values, -keys[:, :, :start])
    layer.crop(-600)
    assert torch.equal(layer.update(keys[:, :, 100:101], keys[:, :, :1])[0], keys[:, :, :101])


def test_what_a_page_does_not_hold_yet_is_zero_and_no_other_page_is_touched() -> None:
    layer = BufferedLayer()
    keys = torch.randn(1, 2, 300, 8)
    layer.update(keys[:, :, :100], keys[:, :, :100])
    for buffer in (layer._key_buffer, layer._value_buffer):
        assert buffer is not None
        buffer[:, :, 100:] = float("nan")  # as memory may come
    for start in range(100, 300):
        room = whole_pages(start + 1)
        for buffer in layer.room_for_one(room):
            buffer[:, :, start : start + 1] = keys[:, :, start : start + 1]
            assert torch.equal(buffer[:, :, : start + 1], keys[:, :, : start + 1])
            assert not buffer[:, :, start + 1 : room].any()
            if start < 256:
                assert buffer[:, :, room:].isnan().all()
        layer.advance()
    assert layer.get_seq_length() == 300


def test_a_window_gives_what_transformers_gives_in_bounded_room() -> None:
    ours, theirs = BufferedWindow(20), DynamicSlidingWindowLayer(20)
    for count in (5, 1, 30, 1, 1, 400, *[1] * 700):
        keys, values = torch.randn(2, 1, 2, count, 8)
        assert ours.get_mask_sizes(count) == theirs.get_mask_sizes(count)
        pairs = zip(ours.update(keys, values), theirs.update(keys, values), strict=True)
        assert all(torch.equal(one, other) for one, other in pairs)
        assert ours.get_seq_length() == theirs.get_seq_length()
    assert ours._key_buffer is not None
    assert ours._key_buffer.shape[2] <= 512


PROMPT = tuple(range(10, 60))


@pytest.fixture
def engine(numbered: Checkpoint) -> Engine:
    return load(numbered("llama"))


def turn(engine: Engine, prompt: tuple[int, ...], chat: str | None, **more: Any) -> Said:
    sampling = Sampling(max_tokens=12, ignore_eos=True)
    return ask(engine, request(sampling, prompt_ids=prompt, chat=chat), **more)


def test_conversations_do_not_mix(engine: Engine) -> None:
    others = tuple(reversed(PROMPT))
    alone = [turn(engine, PROMPT, None).text, turn(engine, others, None).text]
    for _ in range(2):
        assert [turn(engine, PROMPT, "a").text, turn(engine, others, "b").text] == alone
    assert turn(engine, PROMPT, "b").stats.cached_tokens == 0


def test_asking_again_reads_one_token(engine: Engine) -> None:
    first = turn(engine, PROMPT, "a")
    again = turn(engine, PROMPT, "a")
    assert again.text == first.text
    assert again.stats.cached_tokens == len(PROMPT) - 1


def test_nothing_is_kept_for_a_request_without_a_conversation(engine: Engine) -> None:
    turn(engine, PROMPT, None)
    assert turn(engine, PROMPT, None).stats.cached_tokens == 0


def test_a_cancelled_answer_is_kept(engine: Engine) -> None:
    whole = turn(engine, PROMPT, None)
    stopped = turn(engine, PROMPT, "a", stop=StopAfter(6))
    assert 0 < stopped.stats.output_tokens < 12
    after = turn(engine, PROMPT, "a")
    assert after.text == whole.text
    assert after.stats.cached_tokens == len(PROMPT) - 1


def test_a_reader_who_left_in_the_middle_leaves_a_good_cache(engine: Engine) -> None:
    whole = turn(engine, PROMPT, None)
    sampling = Sampling(max_tokens=12, ignore_eos=True)
    asked = request(sampling, prompt_ids=PROMPT, chat="a")
    stream = engine.generate(asked, threading.Event())
    next(stream)
    stream.close()  # type: ignore[attr-defined]
    after = turn(engine, PROMPT, "a")
    assert after.text == whole.text
    assert after.stats.cached_tokens == len(PROMPT) - 1


def test_a_stop_between_chunks_of_a_long_prompt_keeps_what_was_read(engine: Engine) -> None:
    long = tuple((7 * at) % 300 + 10 for at in range(900))
    whole = turn(engine, long, None)
    stopped = turn(engine, long, "a", stop=StopAfter(1))
    assert stopped.stats.output_tokens == 0
    after = turn(engine, long, "a")
    assert after.text == whole.text
    assert 0 < after.stats.cached_tokens < len(long)


@pytest.mark.parametrize("architecture", ["mistral-sliding", "gemma3_text", "lfm2"])
def test_a_cache_that_cannot_forget_is_used_only_to_go_on(
    architecture: str, numbered: Checkpoint
) -> None:
    engine = load(numbered(architecture))
    turn(engine, PROMPT, "a")
    again = turn(engine, PROMPT, "a")
    assert again.stats.cached_tokens == 0
    assert again.text == turn(engine, PROMPT, None).text


def test_a_failed_answer_keeps_nothing(engine: Engine, numbered: Checkpoint) -> None:
    path: Path = numbered("llama")
    broken = load(path)
    turn(broken, PROMPT, "a")
    head = broken._ready.loaded.model.model.norm.weight  # type: ignore[attr-defined]
    good = head.clone()
    head.fill_(float("nan"))
    with pytest.raises(Exception, match="not finite"):
        turn(broken, (*PROMPT, 5, 6), "a")
    head.copy_(good)
    after = turn(broken, PROMPT, "a")
    assert after.stats.cached_tokens == 0
    assert after.text == turn(engine, PROMPT, None).text

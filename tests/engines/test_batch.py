"""Answers that share steps are those that each gets alone, whoever comes and goes meanwhile."""

from __future__ import annotations

import random
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest
import torch

from slm_explorer.assets import asset_folder
from slm_explorer.engines.base import Batch, Engine
from slm_explorer.engines.batch import LeanBatch
from slm_explorer.engines.checkpoint import load_model
from slm_explorer.engines.kv_cache import new_cache
from slm_explorer.engines.lean import lean_decoder
from slm_explorer.errors import BadCheckpoint, ContextOverflow, SlmError
from slm_explorer.types import (
    Delta,
    Done,
    GenerateRequest,
    GenerationStats,
    ModelSpec,
    Sampling,
)
from tests.engines.answers import Said, ask, request, user
from tests.engines.conftest import Checkpoint, load
from tests.engines.models import VOCABULARY, save_model

SPROUTS = ("sprout-300k", "sprout-300k-distilled", "sprout-1m", "sprout-5m")
QUESTIONS = (
    "What is the capital of France?",
    "What is 3 plus 4?",
    "Tell me a story about a fox.",
    "Sort these numbers: 5 2 9",
    "What is the opposite of hot?",
    "My name is Anna. What is my name?",
)


@dataclass
class Guest:
    """One request on its way through a batch."""

    asked: GenerateRequest
    stop: threading.Event = field(default_factory=threading.Event)
    deltas: list[Delta] = field(default_factory=list)
    end: Done | SlmError | None = None

    @property
    def text(self) -> str:
        return "".join(delta.text for delta in self.deltas)

    @property
    def stats(self) -> GenerationStats:
        assert isinstance(self.end, Done), self.end
        assert isinstance(self.end.stats, GenerationStats)
        return self.end.stats


def batch_of(engine: Engine) -> Batch:
    batch = engine.batch()
    assert batch is not None
    return batch


class Table:
    """A batch and everybody who has been in it."""

    def __init__(self, engine: Engine) -> None:
        self.batch = batch_of(engine)
        self.guests: list[Guest] = []

    def seat(self, asked: GenerateRequest) -> Guest:
        guest = Guest(asked)
        self.batch.join(len(self.guests), asked, guest.stop)
        self.guests.append(guest)
        return guest

    def step(self) -> None:
        for ticket, event in self.batch.step():
            guest = self.guests[ticket]
            assert guest.end is None, "nothing after the end"
            if isinstance(event, Delta):
                guest.deltas.append(event)
            else:
                guest.end = event

    def finish(self) -> None:
        while len(self.batch):
            self.step()


def serve(engine: Engine, requests: list[GenerateRequest], seed: int = 0) -> list[Guest]:
    """All requests through one batch, which they join at random moments, at most 16 at once."""
    draw = random.Random(seed)
    table = Table(engine)
    for asked in requests:
        table.seat(asked)
        while len(table.batch) >= 16 or (len(table.batch) and draw.random() < 0.7):
            table.step()
    table.finish()
    return table.guests


def sampled(at: int, tokens: int) -> Sampling:
    """Greedy mostly, and every third drawn with a seed of its own."""
    if at % 3 == 2:
        return Sampling(temperature=0.9, top_p=0.95, seed=at, max_tokens=tokens)
    return Sampling(max_tokens=tokens)


def chats(count: int) -> list[GenerateRequest]:
    draw = random.Random(1)
    return [
        request(
            sampled(at, draw.randint(1, 40)),
            messages=user(QUESTIONS[at % len(QUESTIONS)] + " Please." * (at // 6)),
        )
        for at in range(count)
    ]


def prompts(count: int) -> list[GenerateRequest]:
    draw = random.Random(2)
    return [
        request(
            replace(sampled(at, draw.randint(1, 40)), ignore_eos=True),
            prompt_ids=tuple(
                draw.randrange(3, VOCABULARY) for _ in range(draw.choice((1, 2, 9, 40, 130)))
            ),
        )
        for at in range(count)
    ]


def assert_as_alone(engine: Engine, guests: list[Guest]) -> None:
    for guest in guests:
        alone: Said = ask(engine, guest.asked)
        assert guest.text == alone.text
        assert guest.stats.output_tokens == alone.stats.output_tokens
        assert guest.stats.finish_reason == alone.stats.finish_reason
        assert sum(delta.tokens for delta in guest.deltas) == guest.stats.output_tokens


@pytest.mark.parametrize("recipe", ["native", "f32", "int8", "int4"])
@pytest.mark.parametrize("sprout", SPROUTS)
def test_every_sprout_says_the_same_as_alone(sprout: str, recipe: str) -> None:
    engine = load(asset_folder() / "sprouts" / sprout, recipe=recipe)
    guests = serve(engine, chats(24))
    assert max(guest.stats.batch for guest in guests) > 3, "they did share steps"
    assert_as_alone(engine, guests)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float32], ids=["bf16", "f32"])
@pytest.mark.parametrize("architecture", ["llama-tied-bias", "llama3-rope", "qwen3", "granite"])
def test_every_family_says_the_same_as_alone(
    architecture: str, dtype: torch.dtype, tmp_path: Path
) -> None:
    engine = load(save_model(tmp_path, architecture, dtype=dtype))
    assert_as_alone(engine, serve(engine, prompts(20)))


@pytest.mark.parametrize("recipe", ["native", "f32", "int8", "int4"])
def test_a_wide_model_says_the_same_as_alone(recipe: str, tmp_path: Path) -> None:
    # Wider than 1,024 in both directions: there one row of bf16 is summed in another order.
    wide = {"hidden_size": 1152, "intermediate_size": 1280, "num_hidden_layers": 2}
    folder = save_model(tmp_path, "llama", dtype=torch.bfloat16, head_dim=64, **wide)
    engine = load(folder, recipe=recipe)
    assert_as_alone(engine, serve(engine, prompts(20)))


@pytest.fixture
def three_threads() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(3)
    yield
    torch.set_num_threads(before)


@pytest.mark.usefixtures("three_threads")
@pytest.mark.parametrize("recipe", ["native", "f32", "int8", "int4"])
def test_a_step_of_any_size_gives_each_row_to_the_last_bit(recipe: str, tmp_path: Path) -> None:
    wide = {"hidden_size": 1152, "intermediate_size": 1280, "num_hidden_layers": 2}
    folder = save_model(tmp_path, "llama", dtype=torch.bfloat16, head_dim=64, **wide)
    loaded = load_model(ModelSpec("wide", str(folder), recipe), lambda *_: None)
    decoder = lean_decoder(loaded.model)
    assert decoder is not None
    draw = random.Random(3)
    count = 40
    texts = [[draw.randrange(3, VOCABULARY) for _ in range(2 + 7 * at)] for at in range(count)]
    together = [new_cache(loaded.config) for _ in texts]
    alone = [new_cache(loaded.config) for _ in texts]
    for text, *caches in zip(texts, together, alone, strict=True):
        for cache in caches:
            decoder.last_logits(torch.tensor(text), cache)
    racks = decoder.racks()
    by_cache = {id(shared): own for shared, own in zip(together, alone, strict=True)}
    joined = 0
    for size in (1, 2, 7, 12, 13, 16, 17, 33, count):
        for cache in together[joined:size]:
            racks.join(cache)
        joined = size
        ready = racks.ready()
        caches = [by_cache[id(cache)] for rack in ready for cache in rack.caches]
        ids = torch.tensor([draw.randrange(3, VOCABULARY) for _ in range(size)])
        logits = decoder.next_logits(ids, ready)
        for row, token, cache in zip(logits, ids, caches, strict=True):
            assert torch.equal(row, decoder.last_logits(token[None], cache))


def test_who_leaves_is_gone_within_a_token_and_the_others_go_on(numbered: Checkpoint) -> None:
    engine = load(numbered("llama"))
    table = Table(engine)
    guests = [table.seat(asked) for asked in prompts(6)]
    sampling = Sampling(max_tokens=200, ignore_eos=True)
    leaver = table.seat(request(sampling, prompt_ids=(5, 6, 7)))
    guests += [table.seat(asked) for asked in prompts(6)]
    while len(leaver.deltas) < 3:
        table.step()
    leaver.stop.set()
    table.step()
    assert leaver.stats.finish_reason == "cancelled"
    assert leaver.stats.output_tokens == len(leaver.deltas) == 3
    table.finish()
    assert_as_alone(engine, guests)


def test_stopped_while_its_prompt_is_read(numbered: Checkpoint) -> None:
    engine = load(numbered("llama"))
    table = Table(engine)
    sampling = Sampling(max_tokens=4, ignore_eos=True)
    long = request(sampling, prompt_ids=tuple(range(5, 365)) * 2, chat="talk")
    guest = table.seat(long)
    guest.stop.set()
    table.step()
    assert guest.stats.finish_reason == "cancelled"
    assert guest.stats.ttft_s is None
    assert guest.text == ""
    assert ask(engine, long).text == ask(load(numbered("llama")), long).text


def test_a_conversation_goes_on_from_what_was_kept_while_others_talk(numbered: Checkpoint) -> None:
    engine = load(numbered("llama"))
    sampling = Sampling(max_tokens=6, ignore_eos=True)
    first = tuple(range(10, 60))
    table = Table(engine)
    talk = table.seat(request(sampling, prompt_ids=first, chat="talk"))
    others = [table.seat(asked) for asked in prompts(5)]
    table.finish()
    said = tuple(int(number) for number in talk.text.split(",") if number)
    longer = (*first, *said, 7, 8, 9)
    again = table.seat(request(sampling, prompt_ids=longer, chat="talk"))
    others += [table.seat(asked) for asked in prompts(5)]
    table.finish()
    assert again.stats.cached_tokens == len(first) + len(said) - 1
    assert again.text == ask(load(numbered("llama")), request(sampling, prompt_ids=longer)).text
    assert_as_alone(engine, others)


def test_two_answers_of_one_conversation_at_once_do_not_share_a_cache(
    numbered: Checkpoint,
) -> None:
    engine = load(numbered("llama"))
    sampling = Sampling(max_tokens=8, ignore_eos=True)
    asked = [
        request(sampling, prompt_ids=tuple(range(10, 40 + more)), chat="talk") for more in (0, 1, 2)
    ]
    guests = serve(engine, asked)
    fresh = load(numbered("llama"))
    for guest in guests:
        assert guest.text == ask(fresh, replace(guest.asked, chat=None)).text


def test_an_answer_that_cannot_begin_leaves_the_others_alone(numbered: Checkpoint) -> None:
    engine = load(numbered("llama"))
    table = Table(engine)
    fine = table.seat(prompts(1)[0])
    with pytest.raises(ContextOverflow):
        table.batch.join(9, request(prompt_ids=(5,) * 5000), threading.Event())
    table.finish()
    assert_as_alone(engine, [fine])


def test_weights_that_break_fail_those_they_break(tmp_path: Path) -> None:
    folder = save_model(tmp_path, "llama")
    engine = load(folder)
    decoder = engine._ready.decoder  # type: ignore[attr-defined]
    table = Table(engine)
    guests = [table.seat(asked) for asked in prompts(4)]
    table.step()
    decoder._norm._gain[:] = float("nan")
    table.finish()
    ends = [guest.end for guest in guests]
    assert all(isinstance(end, BadCheckpoint | Done) for end in ends)
    assert any(isinstance(end, BadCheckpoint) for end in ends)


def test_caches_together_keep_within_their_limit(numbered: Checkpoint) -> None:
    engine = load(numbered("llama"))
    table = Table(engine)
    batch = table.batch
    assert isinstance(batch, LeanBatch)
    batch._max_tokens = 100
    asked = [
        request(Sampling(max_tokens=20, ignore_eos=True), prompt_ids=tuple(range(10, 10 + size)))
        for size in (30, 30, 300, 10)
    ]
    guests = [table.seat(each) for each in asked]
    table.finish()
    # 50 + 50 fit; 320 fit alone only, and the last does not overtake it.
    assert [guest.stats.batch for guest in guests][2] == 1
    assert_as_alone(engine, guests)


def test_who_answers_one_at_a_time_says_so(numbered: Checkpoint) -> None:
    engine = load(numbered("gpt2"))
    assert engine.batch() is None
    assert load(None, "echo").batch() is None

"""Answers that share steps are those that each gets alone, whoever comes and goes meanwhile."""

from __future__ import annotations

import random
import threading
from dataclasses import dataclass, field, replace

import pytest

from slm_explorer.assets import asset_folder
from slm_explorer.engines.base import Batch, Engine
from slm_explorer.errors import SlmError
from slm_explorer.types import Delta, Done, GenerateRequest, GenerationStats, Sampling
from tests.engines.answers import Said, ask, request, user
from tests.engines.conftest import load
from tests.engines.models import VOCABULARY

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

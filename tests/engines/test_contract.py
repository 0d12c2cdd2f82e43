"""What every engine in the registry must do, the shipped fake included."""

from __future__ import annotations

import sys
import threading
from pathlib import Path

import pytest

from slm_explorer.engines.base import Engine
from slm_explorer.engines.registry import ENGINES, create_engine
from slm_explorer.errors import Cancelled, InvalidRequest
from slm_explorer.types import Delta, Done, Sampling, ScoreRequest
from tests.engines.answers import StopAfter, ask, request, score, user
from tests.engines.conftest import load

WORDS = "The fox asked the owl how far it was to the moon, and the owl said farther than that. " * 4


@pytest.fixture(scope="module", params=sorted(ENGINES))
def engine(request: pytest.FixtureRequest, tiny_llama: Path) -> Engine:
    name = str(request.param)
    return load(None if name == "echo" else tiny_llama, name)


def endless(**settings: float) -> Sampling:
    """Sampling that only the number of tokens ends."""
    return Sampling(ignore_eos=True, **settings)  # type: ignore[arg-type]


def test_tokens_of_the_stream_add_up(engine: Engine) -> None:
    said = ask(engine, request(endless(max_tokens=17), messages=user(WORDS)))
    assert said.tokens == said.stats.output_tokens == 17
    assert said.stats.finish_reason == "length"
    assert said.stats.prompt_tokens > 10
    assert said.stats.ttft_s is not None
    assert said.stats.ttft_s > 0
    assert said.stats.decode_tps is not None
    assert said.stats.decode_tps > 0


def test_one_token_has_no_decode_rate(engine: Engine) -> None:
    said = ask(engine, request(endless(max_tokens=1), messages=user(WORDS)))
    assert said.tokens == 1
    assert said.stats.decode_tps is None


def test_a_stop_ends_the_answer_within_one_token(engine: Engine) -> None:
    said = ask(engine, request(endless(max_tokens=60), messages=user(WORDS)), StopAfter(8))
    assert said.stats.finish_reason == "cancelled"
    assert said.stats.output_tokens == said.tokens <= 8


def test_a_stop_before_the_first_token_computes_nothing(engine: Engine) -> None:
    stop = threading.Event()
    stop.set()
    said = ask(engine, request(messages=user(WORDS)), stop)
    assert said.stats.finish_reason == "cancelled"
    assert (said.tokens, said.stats.output_tokens, said.text) == (0, 0, "")
    assert said.stats.ttft_s is None


def test_the_seed_decides_what_is_drawn(engine: Engine) -> None:
    def drawn(seed: int) -> str:
        sampling = endless(max_tokens=20, temperature=1.0, seed=seed)
        said = ask(engine, request(sampling, messages=user(WORDS)))
        assert said.stats.seed == seed
        return said.text

    assert drawn(1) == drawn(1)
    assert len({drawn(seed) for seed in range(4)}) == 4


@pytest.mark.parametrize(
    "text",
    [
        "\x00\x07\x1b[31m",
        "\ud800 alone",
        "👩‍👩‍👧 \N{RIGHT-TO-LEFT OVERRIDE}abc",
        "\n\n\t x",
        "é" * 300,
    ],
    ids=["control", "surrogate", "emoji", "blank lines", "accents"],
)
def test_any_text_gets_an_answer(engine: Engine, text: str) -> None:
    said = ask(engine, request(endless(max_tokens=4), messages=user(text)))
    assert said.tokens == said.stats.output_tokens
    said.text.encode()


def test_an_empty_prompt_is_refused_in_words() -> None:
    with pytest.raises(InvalidRequest, match="empty"):
        request(messages=user(" \n "))


def test_nothing_of_a_stop_string_gets_out(engine: Engine) -> None:
    plain = ask(engine, request(endless(max_tokens=30), messages=user(WORDS))).text
    stop = plain[len(plain) // 2 : len(plain) // 2 + 5]
    sampling = Sampling(max_tokens=30, ignore_eos=True, stop=(stop, "never said"))
    said = ask(engine, request(sampling, messages=user(WORDS)))
    assert said.text == plain[: plain.find(stop)]
    assert said.stats.finish_reason == "stop"


def test_details_come_with_every_token(engine: Engine) -> None:
    said = ask(engine, request(endless(max_tokens=5), messages=user(WORDS), alternatives=3))
    details = [detail for delta in said.deltas for detail in delta.details]
    assert len(details) == 5
    for detail in details:
        assert detail.logprob <= 0.0
        assert detail.alternatives
        best = max(each.logprob for each in detail.alternatives)
        assert detail.logprob == pytest.approx(best), "greedy takes the likeliest"


def test_a_reader_who_leaves_early_does_no_harm(engine: Engine) -> None:
    asked = request(endless(max_tokens=40), messages=user(WORDS), chat="left")
    whole = ask(engine, asked).text
    stream = engine.generate(asked, threading.Event())
    for _ in range(3):
        next(stream)
    stream.close()  # type: ignore[attr-defined]
    assert ask(engine, asked).text == whole


def test_scores_cover_the_whole_text(engine: Engine) -> None:
    text = "The fox 😀😀 saw\tthe moon é over\n\n the hill. " * 9
    stats = score(engine, text, window=32)
    assert sum(window.bytes for window in stats.windows) == len(text.encode())
    assert all(0 < window.tokens <= 32 for window in stats.windows)
    assert all(window.tokens == 32 for window in stats.windows[:-1])
    assert all(window.nll > 0 for window in stats.windows)


def test_a_score_can_be_stopped(engine: Engine) -> None:
    asked = ScoreRequest(id="1", visitor="test", text=WORDS, window=4)
    with pytest.raises(Cancelled):
        list(engine.score(asked, StopAfter(3)))


def test_progress_of_a_score_ends_at_one(engine: Engine) -> None:
    asked = ScoreRequest(id="1", visitor="test", text=WORDS, window=32)
    *progress, done = engine.score(asked, threading.Event())
    fractions = [event.fraction for event in progress if not isinstance(event, Done)]
    assert fractions == sorted(fractions)
    assert 0 < fractions[0] <= fractions[-1] <= 1
    assert isinstance(done, Done)


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells a process's private memory")
def test_memory_is_measured(engine: Engine) -> None:
    stats = ask(engine, request(messages=user(WORDS))).stats
    assert stats.memory_bytes is not None
    assert stats.peak_memory_bytes is not None
    assert stats.peak_memory_bytes >= stats.memory_bytes > 10**6


def test_each_event_is_a_delta_or_the_end(engine: Engine) -> None:
    for event in engine.generate(request(messages=user(WORDS)), threading.Event()):
        assert isinstance(event, Delta | Done)


def test_an_unknown_engine_is_refused_by_name() -> None:
    with pytest.raises(InvalidRequest, match=r"'llama'.*torch"):
        create_engine("llama")

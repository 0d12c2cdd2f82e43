"""Values check themselves: nothing out of range gets past a dataclass."""

from __future__ import annotations

import pickle

import pytest

from slm_explorer.errors import DoesNotFit, InvalidRequest, SlmError, WorkerCrashed, error_of_kind
from slm_explorer.settings import Settings, parse_bytes
from slm_explorer.text import clean_text
from slm_explorer.types import (
    MAX_PROMPT_CHARS,
    Delta,
    GenerateRequest,
    Message,
    Sampling,
    ScoreRequest,
)


def request(text: str) -> GenerateRequest:
    return GenerateRequest("1", "v", Sampling(), (Message("user", text),))


@pytest.mark.parametrize(
    "bad",
    [
        {"temperature": -0.1},
        {"temperature": float("nan")},
        {"top_p": 1.5},
        {"top_k": -1},
        {"min_p": 2.0},
        {"repetition_penalty": 0.0},
        {"max_tokens": 0},
        {"max_tokens": -5},
        {"max_tokens": 10**9},
        {"seed": -1},
    ],
)
def test_sampling_out_of_range_is_refused_in_words(bad: dict[str, float]) -> None:
    with pytest.raises(InvalidRequest, match="must be between"):
        Sampling(**bad)  # type: ignore[arg-type]


def test_an_empty_prompt_is_refused() -> None:
    for text in ("", "  \n\t"):
        with pytest.raises(InvalidRequest, match="empty"):
            request(text)


def test_two_million_characters_are_refused_with_the_limit() -> None:
    with pytest.raises(InvalidRequest, match=f"{MAX_PROMPT_CHARS:,}"):
        request("x" * 2_000_000)


def test_lone_surrogates_become_replacement_characters_and_pairs_join() -> None:
    assert clean_text("a\ud800b") == "a\ufffdb"
    assert clean_text("\ud83d\ude00") == "\N{GRINNING FACE}"
    assert request("\udfff \x00 \N{GRINNING FACE}").messages[0].content == "\ufffd \x00 😀"


def test_a_request_is_exactly_one_of_three_things() -> None:
    with pytest.raises(InvalidRequest, match="exactly one"):
        GenerateRequest("1", "v", Sampling())
    with pytest.raises(InvalidRequest, match="exactly one"):
        GenerateRequest("1", "v", Sampling(), (Message("user", "a"),), raw="b")


def test_a_conversation_ends_with_the_user() -> None:
    with pytest.raises(InvalidRequest, match="end with a user"):
        GenerateRequest("1", "v", Sampling(), (Message("assistant", "a"),))


def test_a_forged_role_is_refused() -> None:
    with pytest.raises(InvalidRequest, match="role"):
        Message("tool", "a")  # type: ignore[arg-type]


def test_a_text_to_score_is_not_empty() -> None:
    with pytest.raises(InvalidRequest, match="empty"):
        ScoreRequest("1", "v", " ")


def test_values_survive_the_wire() -> None:
    for value in (request("hello"), Delta("x", 1), Sampling(stop=("a",))):
        assert pickle.loads(pickle.dumps(value)) == value


def test_an_error_is_rebuilt_from_its_name() -> None:
    assert type(error_of_kind("WorkerCrashed", "x")) is WorkerCrashed
    assert type(error_of_kind("DoesNotFit", "x")) is DoesNotFit
    assert type(error_of_kind("KeyError", "x")) is SlmError


@pytest.mark.parametrize(
    ("text", "count"),
    [("512MB", 512 * 10**6), ("1.5 GiB", 3 * 2**29), ("3g", 3 * 10**9), ("17", 17), ("16Gi", -1)],
)
def test_sizes(text: str, count: int) -> None:
    if count < 0:
        with pytest.raises(InvalidRequest, match="not a size"):
            parse_bytes(text)
    else:
        assert parse_bytes(text) == count


def test_settings_come_from_the_environment_and_are_checked() -> None:
    settings = Settings.from_env({"SLM_EXPLORER_PORT": "7000", "SLM_EXPLORER_MEMORY_BUDGET": "2GB"})
    assert (settings.port, settings.memory_budget) == (7000, 2 * 10**9)
    assert Settings.from_env({"SPACE_ID": "a/b"}).host == "0.0.0.0"
    assert Settings.from_env({}).host == "127.0.0.1"
    with pytest.raises(InvalidRequest, match="SLM_EXPLORER_THREADS"):
        Settings.from_env({"SLM_EXPLORER_THREADS": "none"})
    assert Settings.from_env({"SLM_EXPLORER_CPU_WATTS": "10 - 25.5"}).cpu_watts == (10.0, 25.5)
    assert Settings.from_env({}).cpu_watts is None
    for text in ("25", "25-10", "0-5", "ten-20", "-5-10"):
        with pytest.raises(InvalidRequest, match="SLM_EXPLORER_CPU_WATTS is a range"):
            Settings.from_env({"SLM_EXPLORER_CPU_WATTS": text})

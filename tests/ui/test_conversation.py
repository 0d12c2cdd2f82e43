"""The chat as values: what retry, undo and edit leave, and what a model gets to read."""

from __future__ import annotations

import pytest

from slm_explorer.errors import InvalidRequest
from slm_explorer.types import Delta, Done, Event, Failed, GenerationStats, Loading, Message, Queued
from slm_explorer.ui.conversation import (
    MAX_CHAT_CHARS,
    MAX_TURNS,
    Answer,
    Conversation,
    Turn,
    advance,
    ask,
    begin,
    edit,
    history,
    retry,
    undo,
    without_lane,
)

STATS = GenerationStats(
    prompt_tokens=9,
    cached_tokens=0,
    output_tokens=2,
    finish_reason="stop",
    ttft_s=0.01,
    prefill_tps=900.0,
    decode_tps=100.0,
    seed=0,
)


def answered(*texts: str | None) -> tuple[Answer | None, ...]:
    """One answer a slot; None takes no part."""
    return tuple(None if text is None else Answer("m", status="done", text=text) for text in texts)


def chat(*prompts: str) -> Conversation:
    turns = tuple(Turn(p, answered(f"{p}-a", f"{p}-b", None, None)) for p in prompts)
    return Conversation("key", turns)


def test_retry_asks_the_last_prompt_again_with_the_next_seed() -> None:
    again = retry(retry(chat("one", "two")))
    assert again.todo == ("one",)
    once = retry(chat("one", "two"))
    assert [turn.prompt for turn in once.turns] == ["one"]
    assert (once.todo, once.retries) == (("two",), 1)


def test_a_new_prompt_starts_again_at_the_first_seed() -> None:
    assert ask(retry(chat("one")), ["two"]).retries == 0


def test_undo_gives_the_prompt_back() -> None:
    left, prompt = undo(chat("one", "two"))
    assert prompt == "two"
    assert left.turns == chat("one").turns


def test_edit_drops_what_followed_in_every_lane() -> None:
    edited = edit(chat("one", "two", "three"), 1, "TWO")
    assert edited.turns == chat("one").turns
    assert edited.todo == ("TWO",)


@pytest.mark.parametrize("index", [-1, 2])
def test_a_prompt_that_is_not_there_cannot_be_edited(index: int) -> None:
    with pytest.raises(InvalidRequest, match="no longer"):
        edit(chat("one", "two"), index, "new")


@pytest.mark.parametrize("change", [retry, undo])
def test_an_empty_chat_has_nothing_to_take_back(change: object) -> None:
    assert callable(change)
    with pytest.raises(InvalidRequest, match="nothing"):
        change(Conversation())


@pytest.mark.parametrize("prompt", ["", "  \n\t "])
def test_an_empty_prompt_is_refused(prompt: str) -> None:
    with pytest.raises(InvalidRequest, match="empty"):
        ask(chat("one"), [prompt])


def test_a_chat_has_limits() -> None:
    with pytest.raises(InvalidRequest, match="clear"):
        ask(chat(*(["x"] * MAX_TURNS)), ["one more"])
    with pytest.raises(InvalidRequest, match="characters"):
        ask(chat("one"), ["x" * MAX_CHAT_CHARS])


def test_events_reach_only_their_lane() -> None:
    started = begin(ask(Conversation("key"), ["hi"]), {0: Answer("a"), 2: Answer("b")})
    events: list[tuple[int, Event]] = [
        (0, Queued(2)),
        (0, Loading(0.5)),
        (0, Delta("he", 1)),
        (2, Failed("broken", trace="why")),
        (0, Delta("llo", 1)),
        (1, Delta("nobody", 1)),
    ]
    first, second, third, _ = advance(started, events).turns[-1].answers
    assert first is not None
    assert (first.text, first.tokens, first.status) == ("hello", 2, "writing")
    assert second is None
    assert third is not None
    assert (third.status, third.error, third.trace, third.text) == ("failed", "broken", "why", "")


def test_the_end_brings_the_figures() -> None:
    started = begin(ask(Conversation("key"), ["hi"]), {0: Answer("a")})
    answer = advance(started, [(0, Delta("hi", 1)), (0, Done(STATS))]).turns[-1].answers[0]
    assert answer is not None
    assert (answer.status, answer.stats, answer.tokens) == ("done", STATS, 2)


def test_stopping_before_the_first_token_is_no_failure() -> None:
    started = begin(ask(Conversation("key"), ["hi"]), {0: Answer("a")})
    answer = advance(started, [(0, Failed("stopped", "Cancelled"))]).turns[-1].answers[0]
    assert answer is not None
    assert (answer.status, answer.error) == ("stopped", "")


def test_a_lane_reads_its_own_answers_only() -> None:
    asked = begin(ask(chat("one"), ["two"]), {0: Answer("a"), 1: Answer("b")})
    assert history(asked, 1, "Be brief.") == (
        Message("system", "Be brief."),
        Message("user", "one"),
        Message("assistant", "one-b"),
        Message("user", "two"),
    )


def test_a_lane_added_later_skips_turns_that_it_did_not_answer() -> None:
    asked = begin(ask(chat("one"), ["two"]), {3: Answer("late")})
    assert history(asked, 3, "") == (Message("user", "two"),)


@pytest.mark.parametrize(
    "answer",
    [Answer("m", status="failed", text="half"), Answer("m", status="done", text="")],
    ids=["failed", "silent"],
)
def test_turns_without_an_answer_are_left_out_whole(answer: Answer) -> None:
    before = Conversation("key", (Turn("one", (answer, None, None, None)),))
    asked = begin(ask(before, ["two"]), {0: Answer("m")})
    assert history(asked, 0, "") == (Message("user", "two"),)


def test_a_removed_lane_is_forgotten_and_others_are_not() -> None:
    left = without_lane(chat("one"), 0).turns[0].answers
    assert left[0] is None
    assert left[1] is not None

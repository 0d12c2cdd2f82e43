"""The generator: the same text every time, and nothing held out ever in it.

Each kind of content is read back from the text by its own pattern, not by the generator's code.
"""

from __future__ import annotations

import json
import random
import re
from collections.abc import Iterator

import pytest
from sprouts.conversation import conversation
from sprouts.data import numbered, segments
from sprouts.split import Split, split_of
from sprouts.suites import SUITES, prose, suite

SCANNED = 8_000


@pytest.fixture(scope="module")
def exchanges() -> list[tuple[str, str, str]]:
    """Return skill, question and answer of each exchange in a part of the training text."""
    return [
        (each.skill, each.user, each.answer)
        for index in range(SCANNED)
        for each in numbered(index).exchanges
    ]


def held_out(skill: str) -> Iterator[tuple[list[dict[str, str]], str]]:
    for row in suite(skill):
        messages = row["messages"]
        assert isinstance(messages, list)
        yield messages, str(row["answer"])


def test_same_seed_same_text() -> None:
    for index in (0, 17, 4_711):
        assert segments(numbered(index)) == segments(numbered(index))
    assert conversation(random.Random(1)) != conversation(random.Random(2))
    assert suite("facts") == suite("facts")
    assert prose(5_000) == prose(5_000)


def test_suites_on_disk_are_what_the_generator_makes(assets_evaluation: dict[str, str]) -> None:
    for skill in SUITES:
        made = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in suite(skill))
        assert assets_evaluation[f"skills/{skill}.jsonl"] == made, skill
    assert assets_evaluation["sprout-text.txt"] == prose()


def test_no_training_content_is_held_out() -> None:
    for index in range(SCANNED):
        for each in numbered(index).exchanges:
            free = each.skill in ("small talk", "times", "untold", "plain text")
            unsplit = each.skill == "opposites" and len(each.key) == 2
            numbers = [part for part in each.key if isinstance(part, int)]
            easy = each.skill == "arithmetic" and any(n <= 10 or n % 10 == 0 for n in numbers)
            known = each.skill == "spell" and each.key[1] in KNOWN_WORDS
            if not (free or unsplit or easy or known):
                assert split_of(each.key) is Split.TRAIN, each


def test_no_held_out_prompt_is_a_training_prompt(exchanges: list[tuple[str, str, str]]) -> None:
    seen = {user.casefold().rstrip(".?!") for _, user, _ in exchanges}
    for skill in ("arithmetic", "compare", "copy", "facts", "opposites", "sort", "spell", "story"):
        for messages, _ in held_out(skill):
            assert messages[-1]["content"].casefold().rstrip(".?!") not in seen, messages


def test_no_held_out_sum_is_written_anywhere(exchanges: list[tuple[str, str, str]]) -> None:
    """Neither asked in any wording nor written down as a step of another sum."""
    trained: set[tuple[str, int, int]] = set()
    for skill, user, answer in exchanges:
        if skill in ("arithmetic", "plain text"):
            for a, op, b in re.findall(r"(\d+) ([+-]) (\d+) =", answer):
                trained.add(_sum_key(int(a), op, int(b)))
        if skill == "arithmetic":
            first, second = (int(n) for n in re.findall(r"\d+", user))
            big, small = max(first, second), min(first, second)
            trained.add(_sum_key(big, "-" if _is_minus(user) else "+", small))
    for messages, answer in held_out("arithmetic"):
        first, second = (int(n) for n in re.findall(r"\d+", messages[-1]["content"]))
        minus = " - " in answer
        key = _sum_key(max(first, second), "-" if minus else "+", min(first, second))
        assert key not in trained, messages


def test_no_held_out_comparison_or_list_in_any_order(
    exchanges: list[tuple[str, str, str]],
) -> None:
    for skill in ("compare", "sort"):
        trained = {
            tuple(sorted(int(n) for n in re.findall(r"\d+", user)))
            for each, user, _ in exchanges
            if each == skill
        }
        for messages, _ in held_out(skill):
            numbers = tuple(sorted(int(n) for n in re.findall(r"\d+", messages[-1]["content"])))
            assert numbers not in trained


def test_no_held_out_word_is_spelt_and_no_sequence_copied(
    exchanges: list[tuple[str, str, str]],
) -> None:
    answers = {(skill, answer) for skill, _, answer in exchanges}
    for skill in ("spell", "copy"):
        for _, answer in held_out(skill):
            assert (skill, answer) not in answers


def test_no_held_out_story_is_told(exchanges: list[tuple[str, str, str]]) -> None:
    told = {answer for skill, _, answer in exchanges if skill == "story"}
    for messages, _ in held_out("story_questions"):
        if len(messages) == 3:
            assert messages[1]["content"] not in told


def test_recall_asks_two_turns_later() -> None:
    for messages, answer in held_out("recall"):
        assert [each["role"] for each in messages] == ["user", "assistant"] * 2 + ["user"]
        value = re.findall(r"\d+|[\w]+(?=\.$)", answer)[0]
        assert value.casefold() in messages[0]["content"].casefold()
        assert value.casefold() not in messages[-1]["content"].casefold()


def _sum_key(a: int, op: str, b: int) -> tuple[str, int, int]:
    return (op, max(a, b), min(a, b)) if op == "+" else (op, a, b)


def _is_minus(user: str) -> bool:
    return bool(re.search(r" - |minus|away|left|ubtract", user))


def _known_words() -> frozenset[str]:
    from sprouts.world import SPELL_WORDS

    return frozenset(SPELL_WORDS)


KNOWN_WORDS = _known_words()

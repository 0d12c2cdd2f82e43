"""The text of the encoders and the text-to-text model: true, varied, and never in a suite too.

What a clause or a scene is about is read back from the text here, not taken from the generator.
"""

from __future__ import annotations

import json
import random
import re
from itertools import pairwise

import pytest
from kinds.batches import JUDGEMENTS, SCENES, generator
from kinds.numbers import in_words
from kinds.paraphrase import FRAMES, changes, scene, tellings, ways
from kinds.rewriting import TASKS, rewriting
from kinds.sentiment import (
    BAD_WORDS,
    GOOD_WORDS,
    OWNERS,
    PEOPLE,
    SUBJECTS,
    VERY,
    by_counting,
    judgement,
)
from kinds.suites import SUITES, suite
from kinds.tense import past, present
from sprouts.split import Split
from sprouts.world import HERO_NAMES, NAMES

STEPS = 60
_PEOPLE = "|".join((*PEOPLE, *NAMES, *HERO_NAMES))
_SUBJECT = rf"(?:{'|'.join(dict.fromkeys(OWNERS))}) (?:{'|'.join(SUBJECTS)})"


def skeletons(text: str) -> list[str]:
    """Each clause of a sentence without what it speaks of: its pattern and its word."""
    text = re.sub(r", and they were (wrong|right)", r" they-were-\1", text.rstrip(".!"))
    clauses = re.split(r", (?:but|and|although) |, ", re.sub(r"^Although ", "", text))
    found = []
    for clause in clauses:
        bare = re.sub(rf"\b{_SUBJECT}\b", "S", clause, flags=re.IGNORECASE)
        bare = re.sub(rf"(?<=[a-z] )(?:{'|'.join(SUBJECTS)})$", "N", bare)
        bare = re.sub(rf"\b(?:{_PEOPLE})\b(?! S)", "P", bare, flags=re.IGNORECASE)
        found.append(re.sub(rf"\b(?:{'|'.join(VERY)})\b", "V", bare).casefold())
    return found


def test_suites_on_disk_are_what_the_generator_makes(assets_evaluation: dict[str, str]) -> None:
    for task, suites in SUITES.items():
        for name, (items, _) in suites.items():
            rows = suite(task, name)
            made = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
            assert assets_evaluation[f"kinds/{task}/{name}.jsonl"] == made, name
            assert len(rows) == items >= 200


def test_no_clause_of_the_suite_is_in_training() -> None:
    trained = set()
    for step in range(STEPS):
        rng = generator("sentiment", step)
        for _ in range(JUDGEMENTS):
            trained.update(skeletons(judgement(rng, Split.TRAIN).text))
    asked = [str(row["text"]) for row in suite("text-classification", "sentiment")]
    for text in asked:
        assert not trained.intersection(skeletons(text)), text
    # But each of its words was learnt from, in other clauses.
    words = " ".join(trained)
    for text in asked:
        for word in (GOOD_WORDS | BAD_WORDS).intersection(text.casefold().rstrip(".!").split()):
            assert word in words


def test_words_alone_do_not_tell_the_sentiment() -> None:
    rows = suite("text-classification", "sentiment")
    counted = [by_counting(str(row["text"])) for row in rows]
    right = sum(c == (r["answer"] == "POSITIVE") for c, r in zip(counted, rows, strict=True))
    assert right < 0.5 * len(rows)
    assert 0.4 < sum(row["answer"] == "POSITIVE" for row in rows) / len(rows) < 0.6


@pytest.mark.parametrize(
    ("pattern", "flips"),
    [
        (r"^\w+ \w+ was (\w+)\.$", False),
        (r"^\w+ \w+ was not (\w+)(?: at all)?\.$", True),
        (r"^\w+ \w+ was hardly (\w+)\.$", True),
        (r"^Nobody could call \w+ \w+ (\w+)\.$", True),
        (r"^[Ii]t is not true that \w+ \w+ was not (\w+)\.$", False),
        (r"but \w+ \w+ was anything but (\w+)\.$", True),
        (r"and they were wrong\.$", True),
    ],
)
def test_a_label_says_what_the_sentence_means(pattern: str, flips: bool) -> None:
    rng = random.Random(4)
    seen = 0
    for _ in range(20_000):
        drawn = judgement(rng, Split.TRAIN)
        found = re.search(pattern, drawn.text)
        if found is None or drawn.text.count(",") > 1:
            continue
        last = found[1] if found.groups() else re.findall(r"was (\w+), and", drawn.text)[-1]
        if last in GOOD_WORDS | BAD_WORDS:
            assert drawn.positive is ((last in GOOD_WORDS) is not flips), drawn
            seen += 1
    assert seen > 10


def test_ways_to_tell_a_scene_mean_that_scene_only() -> None:
    rng = random.Random(5)
    frames = set()
    for _ in range(2_000):
        told = scene(rng, Split.TRAIN)
        frames.add(told.frame)
        texts = set(ways(told))
        assert len(texts) >= 6
        for other in changes(rng, told, 3, None):
            assert not texts.intersection(ways(other)), (told, other)
    assert frames == set(FRAMES)


def test_no_scene_of_the_suite_is_in_training() -> None:
    trained: set[str] = set()
    for step in range(STEPS):
        rng = generator("similarity", step)
        drawn = [scene(rng, Split.TRAIN) for _ in range(SCENES)]
        for each in drawn:
            tellings(rng, each, 2)
            trained.update(ways(each))
        for each in drawn:
            for other in changes(rng, each, 2, Split.TRAIN):
                trained.update(ways(other))
    for row in suite("sentence-similarity", "paraphrase"):
        assert row["text"] not in trained
        assert row["answer"] not in trained
        candidates = row["candidates"]
        assert isinstance(candidates, list)
        assert len(set(candidates)) == 4


@pytest.mark.parametrize(
    ("number", "words"),
    [
        (0, "zero"),
        (19, "nineteen"),
        (40, "forty"),
        (101, "one hundred and one"),
        (999, "nine hundred and ninety-nine"),
        (1000, "one thousand"),
        (4006, "four thousand and six"),
        (9870, "nine thousand eight hundred and seventy"),
    ],
)
def test_numbers_in_words(number: int, words: str) -> None:
    assert in_words(number) == words


def test_every_number_has_words_of_its_own() -> None:
    assert len({in_words(number) for number in range(10_000)}) == 10_000
    for wrong in (-1, 10_000):
        with pytest.raises(ValueError, match="not between"):
            in_words(wrong)


@pytest.mark.parametrize(
    ("verb", "she", "yesterday"),
    [
        ("carry", "carries", "carried"),
        ("play", "plays", "played"),
        ("stop", "stops", "stopped"),
        ("open", "opens", "opened"),
        ("repair", "repairs", "repaired"),
        ("fix", "fixes", "fixed"),
        ("go", "goes", "went"),
        ("have", "has", "had"),
        ("travel", "travels", "travelled"),
        ("tie", "ties", "tied"),
        ("show", "shows", "showed"),
        ("cut", "cuts", "cut"),
    ],
)
def test_verbs(verb: str, she: str, yesterday: str) -> None:
    assert (present(verb), past(verb)) == (she, yesterday)


def test_nothing_to_rewrite_is_in_a_suite_and_in_training() -> None:
    rng = random.Random(6)
    sources: set[str] = set()
    numbers: set[str] = set()
    for task in TASKS:
        for _ in range(6_000):
            drawn = rewriting(rng, task, Split.TRAIN)
            sources.add(drawn.source)
            if task == "number_words":
                numbers.update((drawn.target, drawn.source.partition(": ")[2]))
    for task in TASKS:
        for row in suite("text-to-text", task):
            messages = row["messages"]
            assert isinstance(messages, list)
            asked = messages[-1]["content"]
            assert asked not in sources
            if task == "number_words":
                # Neither in digits nor in words, so neither direction gives the other away.
                assert not numbers.intersection((row["answer"], asked.partition(": ")[2]))


def test_words_to_order_are_those_of_the_answer_and_fit_in_one_way() -> None:
    rng = random.Random(7)
    for _ in range(500):
        drawn = rewriting(rng, "word_order", Split.TRAIN)
        given = drawn.source.removeprefix("order: ").split()
        answer = re.sub(r"([.?])$", r" \1", drawn.target).split()
        assert sorted(map(str.casefold, given)) == sorted(map(str.casefold, answer))
        # The article would be the other one before the noun alone: the adjective belongs there.
        places = [(a, b) for a, b in pairwise(answer) if a.casefold() in ("a", "an")]
        ((article, adjective),) = places
        noun = answer[answer.index(adjective) + 1]
        assert (article == "an") is (adjective[0] in "aeiou") is not (noun[0] in "aeiou")

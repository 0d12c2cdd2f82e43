"""The skill suites: true answers worked out here again, and the judging of answers."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from slm_explorer.skills import (
    SkillItem,
    list_suites,
    load_suite,
    matches,
    wilson_interval,
)

SKILLS = (
    "arithmetic", "compare", "copy", "facts", "opposites", "recall", "sort", "spell", "story",
    "story_questions", "unknown",
)  # fmt: skip


def items(assets: Path, skill: str) -> tuple[SkillItem, ...]:
    return load_suite(list_suites(assets)[skill])


def question(item: SkillItem) -> str:
    return item.messages[-1][1]


def numbers(text: str) -> list[int]:
    return [int(n) for n in re.findall(r"\d+", text)]


def test_all_suites_are_there_and_large_enough(assets: Path) -> None:
    assert tuple(list_suites(assets)) == SKILLS
    for skill in SKILLS:
        suite = items(assets, skill)
        assert 200 <= len(suite) <= 250
        assert len({item.messages for item in suite}) == len(suite)
        assert len({item.id for item in suite}) == len(suite)


def test_no_suites_is_an_empty_dictionary(tmp_path: Path) -> None:
    assert list_suites(tmp_path) == {}


def test_arithmetic_is_right(assets: Path) -> None:
    for item in items(assets, "arithmetic"):
        answer = item.answer[0]
        first, second = numbers(question(item))
        a, op, b = re.match(r"(\d+) ([+-]) (\d+) =", answer).groups()  # type: ignore[union-attr]
        del b
        truth = first + second if op == "+" else max(first, second) - min(first, second)
        assert int(a) in (first, second)
        assert answer.endswith(f"The answer is {truth}.")
        for left, sign, right, result in re.findall(r"(\d+) ([+-]) (\d+) = (\d+)", answer):
            step = int(right) if sign == "+" else -int(right)
            assert int(left) + step == int(result)
        minus = re.search(r" - |minus|away|left|[Ss]ubtract", question(item))
        assert (op == "-") == bool(minus)


def test_sort_is_right(assets: Path) -> None:
    for item in items(assets, "sort"):
        down = "from largest" in question(item) or "large to small" in question(item)
        assert numbers(item.answer[0]) == sorted(numbers(question(item)), reverse=down)


def test_compare_is_right(assets: Path) -> None:
    for item in items(assets, "compare"):
        answer, asked = item.answer[0], question(item)
        a, b = numbers(asked)
        first, second = numbers(answer)
        assert {first, second} == {a, b}
        if a == b:
            assert "equal" in answer
            continue
        assert ("larger" in answer) == (first > second)
        word = "larger" if "larger" in asked else "smaller"
        if asked.startswith("Is "):
            assert answer.startswith("Yes") == ((a > b) == (word == "larger"))
        else:
            assert word in answer


def test_spell_and_copy_are_right(assets: Path) -> None:
    for item in items(assets, "spell"):
        word = item.answer[0].replace(" ", "")
        assert word in question(item)
        assert item.answer[0] == " ".join(word)
    for item in items(assets, "copy"):
        assert question(item).endswith(f": {item.answer[0]}")


def test_story_names_what_was_asked_for(assets: Path) -> None:
    for item in items(assets, "story"):
        assert item.check == "contains_all"
        assert item.answer[-1] == "The end."
        assert all(part in question(item) for part in item.answer[:-1])


def test_unknown_always_says_so(assets: Path) -> None:
    assert {item.answer for item in items(assets, "unknown")} == {
        ("I am sorry, I do not know that.",)
    }


@pytest.mark.parametrize(
    ("text", "right"),
    [("  42\n", True), ("42", True), ("42.", False), ("", False), ("The answer is 42", False)],
)
def test_exact(text: str, right: bool) -> None:
    assert matches(SkillItem("x", (("user", "?"),), ("42",)), text) is right


def test_contains_all_does_not_mind_case_or_order() -> None:
    item = SkillItem("x", (("user", "?"),), ("fox", "The end."), "contains_all")
    assert matches(item, "A Fox. THE END.")
    assert not matches(item, "A fox.")


@pytest.mark.parametrize(
    "line",
    [
        "[]",
        "{",
        '{"id": "a", "messages": [], "answer": "b"}',
        '{"id": "a", "messages": [{"role": "assistant", "content": "c"}], "answer": "b"}',
        '{"id": "a", "messages": [{"role": "user", "content": "c"}], "answer": ["b"]}',
        '{"id": "a", "messages": [{"role": "user", "content": "c"}], "answer": "b", "check": "no"}',
        '{"id": "a", "messages": ["c"], "answer": "b"}',
    ],
)
def test_a_broken_suite_names_its_line(tmp_path: Path, line: str) -> None:
    path = tmp_path / "broken.jsonl"
    path.write_text(f"\n{line}\n")
    with pytest.raises(ValueError, match=r"broken\.jsonl, line 2"):
        load_suite(path)


def test_wilson_interval() -> None:
    low, high = wilson_interval(81, 263)  # Newcombe 1998, Stat. Med. 17:857, table I
    assert (round(low, 4), round(high, 4)) == (0.2553, 0.3662)
    assert wilson_interval(0, 200)[0] == 0.0
    assert wilson_interval(200, 200)[1] == 1.0
    for right, n in ((1, 0), (-1, 5), (6, 5)):
        with pytest.raises(ValueError, match="no share"):
            wilson_interval(right, n)

"""`slm-explorer serve --class` in a process of its own, and a small class that is measured."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[2] / "scripts"))

from measure.class_screen import Screen
from measure_class import lesson, running_class

MODEL = "sprout-300k"


@pytest.fixture(scope="module")
def served() -> Iterator[tuple[str, str, str]]:
    with running_class({}, "2GB") as running:
        yield running


def test_the_terminals_code_and_key_open_the_class(served: tuple[str, str, str]) -> None:
    address, code, key = served
    teacher = Screen(address)
    assert teacher.enter(key)["code"] == code
    student = Screen(address)
    assert student.join(code.lower(), "Ada")["name"] == "Ada"
    assert student.enter(code)["screen"] == "student"
    assert [each["name"] for each in teacher.look()[0]["students"]] == ["Ada"]
    assert "running already" in Screen(address).act("start")["notice"]


@pytest.mark.parametrize("together", [True, False])
def test_nothing_is_lost_or_mixed(served: tuple[str, str, str], together: bool) -> None:
    prompts = ("What is 2 + 2?", "What is the opposite of big?", "Hello!")
    row = lesson(*served, MODEL, 4, 3.0, together, prompts)
    assert row["error_count"] == 0, row["errors"]
    assert row["different"] == 0
    answers = row["answers"]
    assert isinstance(answers, int)
    assert answers > 0

"""The held-out suites and the held-out prose that ship in assets/evaluation."""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from pathlib import Path

from .conversation import about_story, ask_for_story, free_story, plain_text, single
from .exercise import Exercise
from .knowledge import unknown
from .memory import remember, untold
from .skills import SINGLE_TURN
from .split import Split

ITEMS = 200
PROSE_BYTES = 80_000
_SEED = 977

Row = dict[str, object]


def _messages(*exchanges: Exercise) -> list[dict[str, str]]:
    """Return the chat up to and with the last user message."""
    messages: list[dict[str, str]] = []
    for each in exchanges:
        messages.append({"role": "user", "content": each.user})
        messages.append({"role": "assistant", "content": each.answer})
    return messages[:-1]


def _one_turn(skill: str) -> Callable[[random.Random], Row]:
    def make(rng: random.Random) -> Row:
        exercise = SINGLE_TURN[skill](rng, Split.HELD_OUT)
        return {"messages": _messages(exercise), "answer": exercise.answer}

    return make


def _unknown(rng: random.Random) -> Row:
    """Ask about something outside the world; in one of five, about what the user never told."""
    if rng.random() < 0.8:
        exercise = unknown(rng, Split.HELD_OUT)
        return {"messages": _messages(exercise), "answer": exercise.answer}
    said, names = remember(rng, Split.HELD_OUT, frozenset())
    stated = Exercise("remember", said.statement, said.reply, said.key)
    asked = untold(rng, frozenset(names))
    return {"messages": _messages(stated, asked), "answer": asked.answer}


def _recall(rng: random.Random) -> Row:
    """State something, do something else, then ask: what was said lies two turns back."""
    said, _ = remember(rng, Split.HELD_OUT, frozenset())
    stated = Exercise("remember", said.statement, said.reply, said.key)
    question, answer = rng.choice(said.questions)
    asked = Exercise("recall", question, answer, said.key)
    return {"messages": _messages(stated, single(rng, Split.TRAIN), asked), "answer": answer}


def _story(rng: random.Random) -> Row:
    asked, _, wanted = ask_for_story(rng, Split.HELD_OUT)
    return {"messages": _messages(asked), "check": "contains_all", "answer": [*wanted, "The end."]}


def _story_questions(rng: random.Random) -> Row:
    if rng.random() < 0.3:
        quoted = about_story(rng, free_story(rng, Split.HELD_OUT), quoted=True)
        return {"messages": _messages(quoted), "answer": quoted.answer}
    told, story, _ = ask_for_story(rng, Split.HELD_OUT)
    question = about_story(rng, story)
    return {"messages": _messages(told, question), "answer": question.answer}


SUITES: dict[str, Callable[[random.Random], Row]] = {
    **{
        skill: _one_turn(skill)
        for skill in ("arithmetic", "compare", "copy", "facts", "opposites", "sort", "spell")
    },
    "recall": _recall,
    "story": _story,
    "story_questions": _story_questions,
    "unknown": _unknown,
}


def suite(skill: str, items: int = ITEMS) -> list[Row]:
    """Make a suite of different prompts."""
    rng = random.Random(f"{_SEED} {skill}")
    rows: dict[str, Row] = {}
    while len(rows) < items:
        row = SUITES[skill](rng)
        rows.setdefault(json.dumps(row["messages"]), row)
    return [{"id": f"{skill}-{i:03}", **row} for i, row in enumerate(rows.values(), start=1)]


def prose(size: int = PROSE_BYTES) -> str:
    """Write held-out stories, questions and answers as plain text."""
    rng = random.Random(f"{_SEED} prose")
    parts: list[str] = []
    while sum(map(len, parts)) < size:
        parts.append(plain_text(rng, Split.HELD_OUT))
    return "\n\n".join(parts) + "\n"


def write_suites(folder: Path) -> None:
    """Write all suites and the prose into the evaluation folder."""
    (folder / "skills").mkdir(parents=True, exist_ok=True)
    for skill in SUITES:
        lines = [json.dumps(row, ensure_ascii=False) + "\n" for row in suite(skill)]
        (folder / "skills" / f"{skill}.jsonl").write_text("".join(lines), encoding="utf-8")
    (folder / "sprout-text.txt").write_text(prose(), encoding="utf-8")

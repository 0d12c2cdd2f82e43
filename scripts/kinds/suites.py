"""The held-out suites that ship in assets/evaluation/kinds, by task."""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from pathlib import Path

from sprouts.conversation import free_story
from sprouts.knowledge import facts
from sprouts.split import Split
from sprouts.word_skills import opposites

from slm_explorer.tasks import MASK, Task

from .paraphrase import Scene, changes, scene, tellings
from .rewriting import TASKS
from .sentiment import judgement

_SEED = 977
CANDIDATES = 4
_OPPOSITES_MASKED = "The opposites are"
# Answers to facts that the encoder's tokenizer has as one piece, since one mask is one piece.
_FACT_WORDS = frozenset(
    "Monday Tuesday Wednesday Thursday Friday Saturday Sunday January February March April May "
    "June July August September October November December red blue green yellow orange pink white "
    "calf piglet cub fawn chick den kennel water desert cave".split()
)

Row = dict[str, object]


def _masked(question: str, answer: str, word: str) -> Row:
    """The answer's last such word is what is asked for."""
    before, _, after = answer.rpartition(word)
    return {"text": f"{question} {before}{MASK}{after}", "answer": word.casefold()}


def _world(rng: random.Random) -> Row:
    """Ask for a word that a story told, that a fact is about, or that is an opposite."""
    draw = rng.random()
    if draw < 0.2:
        while True:
            asked = facts(rng, Split.HELD_OUT)
            words = [each for each in asked.answer.rstrip(".").split() if each in _FACT_WORDS]
            unsaid = [each for each in words if each not in asked.user]
            if unsaid:
                return _masked(asked.user, asked.answer, unsaid[0])
    if draw < 0.4:
        while True:
            asked = opposites(rng, Split.HELD_OUT)
            if asked.answer.startswith(_OPPOSITES_MASKED):
                return _masked(asked.user, asked.answer, asked.answer.rstrip(".").split()[-1])
    story = free_story(rng, Split.HELD_OUT)
    cast = story.cast
    question, answer = rng.choice(story.questions)
    told = (cast.kind, cast.thing, cast.place, cast.friend_kind, cast.feeling)
    words = [word for word in told if word in answer.rstrip(".").split()]
    return _masked(f"{story.text} {question}", answer, words[-1])


def _sentiment(rng: random.Random) -> Row:
    drawn = judgement(rng, Split.HELD_OUT)
    return {"text": drawn.text, "answer": drawn.label}


def _telling(rng: random.Random, told: Scene) -> str:
    return tellings(rng, told, 1)[0]


def _paraphrase(rng: random.Random) -> Row:
    """One of four texts means the same; each other is about a scene with a part changed."""
    drawn = scene(rng, Split.HELD_OUT)
    text, same = tellings(rng, drawn, 2)
    candidates = [
        same,
        *(_telling(rng, each) for each in changes(rng, drawn, CANDIDATES - 1, None)),
    ]
    rng.shuffle(candidates)
    return {"text": text, "candidates": candidates, "answer": same}


def _rewriting(task: str) -> Callable[[random.Random], Row]:
    makers = TASKS[task]

    def make(rng: random.Random) -> Row:
        drawn = rng.choice(makers)(rng, Split.HELD_OUT)
        return {"messages": [{"role": "user", "content": drawn.source}], "answer": drawn.target}

    return make


SUITES: dict[Task, dict[str, tuple[int, Callable[[random.Random], Row]]]] = {
    "fill-mask": {"world": (240, _world)},
    "text-classification": {"sentiment": (400, _sentiment)},
    "sentence-similarity": {"paraphrase": (300, _paraphrase)},
    "text-to-text": {task: (240, _rewriting(task)) for task in TASKS},
}


def suite(task: Task, name: str) -> list[Row]:
    """Make a suite of different items, the same on every machine."""
    items, make = SUITES[task][name]
    rng = random.Random(f"{_SEED} {task} {name}")
    rows: dict[str, Row] = {}
    while len(rows) < items:
        row = make(rng)
        rows.setdefault(json.dumps(row.get("text", row.get("messages"))), row)
    return [{"id": f"{name}-{i:03}", **row} for i, row in enumerate(rows.values(), start=1)]


def write_suites(folder: Path) -> None:
    """Write all suites below the evaluation folder."""
    for task, suites in SUITES.items():
        (folder / "kinds" / task).mkdir(parents=True, exist_ok=True)
        for name in suites:
            lines = [json.dumps(row, ensure_ascii=False) + "\n" for row in suite(task, name)]
            path = folder / "kinds" / task / f"{name}.jsonl"
            path.write_text("".join(lines), encoding="utf-8")

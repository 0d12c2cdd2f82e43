"""Suites for encoders: inputs whose answer is known, and how a result is judged.

A suite is a file of JSON Lines under `assets/evaluation/kinds/<task>`. Its contents never occur in
the training text of the shipped models. What models that write are asked is in skills.py.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from slm_explorer.tasks import (
    Classify,
    Compare,
    FillMask,
    Labels,
    MaskFills,
    SimilarityMatrix,
    Spans,
    Task,
    TaskInput,
    TaskResult,
)


@dataclass(frozen=True, slots=True)
class TaskItem:
    """One input with its only right answer: a word, a label, or the text that means the same."""

    id: str
    input: TaskInput
    answer: str


def load_task_suite(path: Path, task: Task) -> tuple[TaskItem, ...]:
    """Read a suite of the task. Raises OSError if it cannot be read, ValueError for a bad line."""
    items: list[TaskItem] = []
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), start=1):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
            items.append(TaskItem(str(row["id"]), _input(row, task), str(row["answer"])))
        except (ValueError, KeyError, TypeError) as problem:
            raise ValueError(
                f"{path.name}, line {number}: not an item for {task} ({problem})"
            ) from problem
    return tuple(items)


def _input(row: Mapping[str, object], task: Task) -> TaskInput:
    if task == "fill-mask":
        return FillMask(str(row["text"]), top=1)
    if task == "text-classification":
        return Classify(str(row["text"]))
    candidates = row["candidates"]
    if task != "sentence-similarity" or not isinstance(candidates, list):
        raise ValueError("there are no such suites")
    return Compare((str(row["text"]), *map(str, candidates)))


def says(item: TaskItem, result: TaskResult) -> str:
    """The answer in a result: the likeliest word, label or span, or of the texts after the first
    the one that is most like it.
    """
    match result:
        case MaskFills(masks):
            return masks[0][0].text
        case Labels(labels):
            return labels[0].text
        case Spans(spans):
            return spans[0].text if spans else ""
        case SimilarityMatrix(matrix):
            assert isinstance(item.input, Compare)
            likeness = matrix[0][1:]
            return item.input.texts[1 + likeness.index(max(likeness))]

"""Exact-match skill suites: reading them, and judging an answer.

A suite is a file of JSON Lines under `assets/evaluation`. Its prompts never occur in the training
text of the shipped models. This module knows nothing about models.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from slm_explorer.tasks import Task


@dataclass(frozen=True, slots=True)
class SkillItem:
    """One prompt with its true answer.

    messages: (role, content) pairs that end with the user's. check: "exact", or "contains_all" when
    each text in `answer` must occur. For "exact", `answer` holds the one right text.
    """

    id: str
    messages: tuple[tuple[str, str], ...]
    answer: tuple[str, ...]
    check: str = "exact"

    def chat(self) -> list[dict[str, str]]:
        """Return the messages in the form that chat templates take."""
        return [{"role": role, "content": content} for role, content in self.messages]


def list_suites(assets_dir: Path, task: Task = "chat") -> dict[str, Path]:
    """Return the task's suite files by name, in alphabetical order; empty if there are none.

    Those of "chat" and "text-to-text" hold skill items; for others see task_suites.py.
    """
    folder = assets_dir / "evaluation"
    folder = folder / "skills" if task == "chat" else folder / "kinds" / task
    return {path.stem: path for path in sorted(folder.glob("*.jsonl"))}


def load_suite(path: Path) -> tuple[SkillItem, ...]:
    """Read a suite. Raises OSError if it cannot be read and ValueError if a line is not an item."""
    items: list[SkillItem] = []
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), start=1):
        if not line.strip():
            continue
        try:
            items.append(_item(json.loads(line)))
        except (ValueError, KeyError, TypeError, AttributeError) as problem:
            raise ValueError(
                f"{path.name}, line {number}: not a skill item ({problem})"
            ) from problem
    return tuple(items)


def matches(item: SkillItem, text: str) -> bool:
    """Say whether a model's text is right; white space around it does not count."""
    if item.check == "contains_all":
        folded = text.casefold()
        return all(part.casefold() in folded for part in item.answer)
    return text.strip() == item.answer[0].strip()


def wilson_interval(right: int, n: int, z: float = 1.959964) -> tuple[float, float]:
    """Return Wilson's score interval for a share of `right` in `n`, 95 % by default.

    Wilson 1927, J. Am. Stat. Assoc. 22:209. Unlike the normal one it stays within 0 to 1 and does
    not shrink to nothing when all or none are right. Raises ValueError unless 0 <= right <= n and
    n > 0.
    """
    if n <= 0 or not 0 <= right <= n:
        raise ValueError(f"no share of {right} in {n}")
    share = right / n
    spread = z * math.sqrt(share * (1 - share) / n + z * z / (4 * n * n))
    middle, scale = share + z * z / (2 * n), 1 + z * z / n
    # At the ends the bound is exact, whatever rounding makes of it.
    low = 0.0 if right == 0 else (middle - spread) / scale
    return low, 1.0 if right == n else (middle + spread) / scale


def _item(row: Mapping[str, object]) -> SkillItem:
    messages, answer, check = row["messages"], row["answer"], str(row.get("check", "exact"))
    if not isinstance(messages, list) or not messages:
        raise ValueError("no messages")
    pairs = tuple((str(each["role"]), str(each["content"])) for each in messages)
    if pairs[-1][0] != "user":
        raise ValueError("the last message is not the user's")
    if check == "exact" and isinstance(answer, str):
        return SkillItem(str(row["id"]), pairs, (answer,), check)
    if check == "contains_all" and isinstance(answer, list) and answer:
        return SkillItem(str(row["id"]), pairs, tuple(map(str, answer)), check)
    raise ValueError(f"check {check!r} does not go with this answer")

"""What an exercise is, and how its content is drawn from one split only."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from .split import Key, Split, split_of

UNKNOWN_ANSWER = "I am sorry, I do not know that."


@dataclass(frozen=True, slots=True)
class Exercise:
    """One user message with its only right answer; `key` says what it is about."""

    skill: str
    user: str
    answer: str
    key: Key


def listing(words: list[str]) -> str:
    """Join words as `a, b and c`."""
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} and {words[-1]}"


def draw(split: Split, candidates: Iterator[tuple[Key, bool]]) -> Key:
    """Return the first candidate key in the split; `False` marks keys that are never held out."""
    for key, may_be_held_out in candidates:
        if (split_of(key) if may_be_held_out else Split.TRAIN) is split:
            return key
    raise RuntimeError("candidates ended")

"""What is right on the suites without any understanding: counting and matching words."""

from __future__ import annotations

from collections.abc import Sequence

from slm_explorer.task_suites import TaskItem
from slm_explorer.tasks import Classify, Compare

from .sentiment import LABELS, by_counting


def by_word_counts(items: Sequence[TaskItem]) -> float:
    """The share right by counting good and bad words; a tie counts half."""
    right = 0.0
    for item in items:
        assert isinstance(item.input, Classify)
        positive = by_counting(item.input.text)
        right += 0.5 if positive is None else LABELS[positive] == item.answer
    return right / len(items)


def by_shared_words(items: Sequence[TaskItem]) -> float:
    """The share right by taking the candidate with most words in common; ties count in part."""
    right = 0.0
    for item in items:
        assert isinstance(item.input, Compare)
        text, *candidates = (_words(each) for each in item.input.texts)
        shares = [len(text & each) / len(text | each) for each in candidates]
        best = [i for i, share in enumerate(shares) if share == max(shares)]
        right += (item.input.texts.index(item.answer, 1) - 1 in best) / len(best)
    return right / len(items)


def _words(text: str) -> frozenset[str]:
    return frozenset(text.casefold().rstrip(".").replace(",", "").split())


BASELINES = {"sentiment": by_word_counts, "paraphrase": by_shared_words}

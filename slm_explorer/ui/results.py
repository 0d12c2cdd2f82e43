"""What encoders answered, as plain values for assets/page/results.js."""

from __future__ import annotations

from slm_explorer.tasks import (
    MASK,
    AskContext,
    Candidate,
    Compare,
    FillMask,
    Labels,
    MaskFills,
    SimilarityMatrix,
    Spans,
    TaskResult,
)
from slm_explorer.ui.uses import Prompt

AROUND_CHARS = 300
"""So much of the context is shown on each side of an answer; the prompt above has all of it."""


def result_view(prompt: Prompt, result: TaskResult) -> dict[str, object]:
    """One result beside what was asked. `how` is the method behind its numbers."""
    match result:
        case MaskFills(masks):
            return {
                "kind": "masks",
                "how": "Softmax over the model's whole vocabulary at the mask.",
                "text": _filled(prompt.text, masks) if isinstance(prompt, FillMask) else [],
                "masks": [_bars(candidates) for candidates in masks],
            }
        case Labels(labels):
            return {
                "kind": "labels",
                "how": "Softmax over the labels of the model's head; they add up to 100%.",
                "labels": _bars(labels),
            }
        case SimilarityMatrix(matrix, pooling):
            return {
                "kind": "matrix",
                "how": f"Cosine similarity of the texts' vectors ({pooling}): 1 is the same "
                "direction, 0 unrelated.",
                "texts": list(prompt.texts) if isinstance(prompt, Compare) else [],
                "rows": [[_similarity(value) for value in row] for row in matrix],
                "closest": _closest(matrix),
            }
        case Spans(spans, ranges):
            context = prompt.context if isinstance(prompt, AskContext) else ""
            return {
                "kind": "spans",
                "how": "Probability that the answer starts and ends here, by softmax over the "
                "places in the text.",
                "found": _found(context, *ranges[0]) if ranges else None,
                "spans": _bars(spans),
            }


def _bars(candidates: tuple[Candidate, ...]) -> list[dict[str, object]]:
    return [
        {
            "text": candidate.text,
            "fraction": candidate.probability,
            "percent": percent(candidate.probability),
        }
        for candidate in candidates
    ]


def percent(probability: float) -> str:
    """Never 0% or 100% for what is only close to them."""
    if 0 < probability < 0.001:
        return "<0.1%"
    if 0.9995 <= probability < 1:
        return ">99.9%"
    return f"{probability:.1%}"


def _filled(text: str, masks: tuple[tuple[Candidate, ...], ...]) -> list[dict[str, object]]:
    """The text in pieces, each mask replaced by its likeliest filling."""
    pieces: list[dict[str, object]] = []
    for index, piece in enumerate(text.split(MASK)):
        if index:
            best = masks[index - 1][:1] if index <= len(masks) else ()
            pieces.append({"text": best[0].text.strip() if best else MASK, "filled": True})
        pieces.append({"text": piece, "filled": False})
    return [piece for piece in pieces if piece["text"]]


def _similarity(value: float) -> dict[str, object]:
    # Rounding leaves a text's similarity with itself a hair above 1.
    return {"text": f"{value:.2f}", "fraction": min(1.0, max(0.0, value))}


def _closest(matrix: tuple[tuple[float, ...], ...]) -> str:
    pairs = [(row[j], i, j) for i, row in enumerate(matrix) for j in range(i)]
    if len(pairs) < 2:
        return ""
    value, i, j = max(pairs)
    return f"Most alike: {j + 1} and {i + 1} ({value:.2f})"


def _found(context: str, start: int, end: int) -> dict[str, str]:
    """The answer within its surroundings."""
    first, last = max(0, start - AROUND_CHARS), min(len(context), end + AROUND_CHARS)
    return {
        "before": ("…" if first else "") + context[first:start],
        "answer": context[start:end],
        "after": context[end:last] + ("…" if last < len(context) else ""),
    }

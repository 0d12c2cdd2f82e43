"""Token by token: the values of assets/page/lab_tokens.js."""

from __future__ import annotations

from collections.abc import Sequence
from math import exp, isfinite

from slm_explorer.lab.types import MAX_TOKEN_TEXT, TokenComparison
from slm_explorer.types import Alternative

# The change in log-probability, in nats, with the strongest colour: a factor of twenty.
STRONGEST = 3.0
EXAMPLE = "The cat and the dog are friends. What is 3 + 4? It is 7."


def tokens_view(
    run: str | None,
    *,
    names: tuple[str, str] = ("parent", "child"),
    found: TokenComparison | None = None,
    error: str = "",
    refused: str = "",
    answer: int = 0,
) -> dict[str, object]:
    """Nothing is drawn without a finished `run`. `answer` is the page's own
    number of the question that this answers.
    """
    pairs = () if found is None else found.tokens
    changes = [pair.child_logprob - pair.parent_logprob for pair in pairs]
    return {
        "id": run or "",
        "text": EXAMPLE,
        "limit": MAX_TOKEN_TEXT,
        "names": list(names),
        "most": STRONGEST,
        "error": error,
        "refused": refused,
        "answer": answer,
        "mean": _mean(changes),
        "tokens": [
            {
                "text": pair.text,
                "delta": change,
                "much": strength(change),
                "parent": pair.parent_logprob,
                "child": pair.child_logprob,
                "parent_top": _top(pair.parent_top),
                "child_top": _top(pair.child_top),
            }
            for pair, change in zip(pairs, changes, strict=True)
        ],
    }


def strength(change: float) -> float:
    """0 to 1 of the colour for a change in nats."""
    return min(1.0, abs(change) / STRONGEST) if isfinite(change) else 1.0


def _mean(changes: Sequence[float]) -> str:
    if not changes:
        return ""
    return f"mean of {len(changes)} tokens: {sum(changes) / len(changes):+.3f} nats"


def _top(candidates: Sequence[Alternative]) -> list[dict[str, object]]:
    return [
        {"text": each.text, "share": exp(each.logprob), "percent": f"{exp(each.logprob):.1%}"}
        for each in candidates
    ]

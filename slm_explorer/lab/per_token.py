"""A text, token by token, under a model and its parent."""

from __future__ import annotations

import threading
import uuid
from dataclasses import dataclass

from slm_explorer.errors import InvalidRequest, error_of_kind
from slm_explorer.lab.types import MAX_TOKEN_TEXT, TokenComparison, TokenPair
from slm_explorer.runtime.manager import ModelManager
from slm_explorer.types import Done, Failed, ModelSpec, ScoreRequest, ScoreStats, TokenDetail

_ALTERNATIVES = 5


@dataclass(frozen=True)
class Pair:
    """The two to compare."""

    parent: ModelSpec
    child: ModelSpec


def compare_tokens(
    manager: ModelManager, pair: Pair, text: str, visitor: str, cancel: threading.Event
) -> TokenComparison:
    """Both models read `text`, one after the other, each in its worker.

    Raises InvalidRequest for a text that is empty or too long, and what a worker fails with:
    UnsupportedModel for a model that does not predict a next token.
    """
    if len(text) > MAX_TOKEN_TEXT:
        raise InvalidRequest(
            f"The text has {len(text):,} characters; the limit is {MAX_TOKEN_TEXT:,}: shorten it."
        )
    before, after = (
        _read(manager, spec, text, visitor, cancel) for spec in (pair.parent, pair.child)
    )
    if [token.text for token in before] != [token.text for token in after]:
        raise InvalidRequest("The two models read text as different tokens: compare bits per byte.")
    return TokenComparison(
        tokens=tuple(
            TokenPair(
                text=first.text,
                parent_logprob=first.logprob,
                child_logprob=second.logprob,
                parent_top=first.alternatives,
                child_top=second.alternatives,
            )
            for first, second in zip(before, after, strict=True)
        ),
        parent=pair.parent.model,
        child=pair.child.model,
    )


def _read(
    manager: ModelManager, spec: ModelSpec, text: str, visitor: str, cancel: threading.Event
) -> tuple[TokenDetail, ...]:
    request = ScoreRequest(uuid.uuid4().hex, visitor, text, alternatives=_ALTERNATIVES)
    for event in manager.stream(spec, request, cancel):
        match event:
            case Failed(error, kind):
                raise error_of_kind(kind, error)
            case Done(ScoreStats() as stats):
                return stats.tokens
    raise InvalidRequest("The reading was stopped.")

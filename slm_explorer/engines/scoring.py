"""How well a model predicts a text: sums of negative log-likelihood over windows."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor

from slm_explorer.engines.base import StopFlag
from slm_explorer.engines.checkpoint import LoadedModel
from slm_explorer.engines.decoder import Decoder
from slm_explorer.engines.memory import private_memory
from slm_explorer.errors import Cancelled, InvalidRequest, UnsupportedModel
from slm_explorer.types import (
    Alternative,
    Done,
    Progress,
    ScoreRequest,
    ScoreStats,
    ScoreWindow,
    TokenDetail,
)

# Rows of float32 log-probabilities at a time: 128 rows of a vocabulary of 256,000 are 131 MB.
_ROWS = 128


def score_text(
    loaded: LoadedModel, decoder: Decoder, request: ScoreRequest, stop: StopFlag
) -> Iterator[Progress | Done]:
    """Windows of `request.window` tokens (fewer if the model reads fewer), each read after the
    model's BOS, or after its EOS where it has no BOS, so that each token is predicted once.

    A window's bytes are the UTF-8 bytes of the text from its first token's first character to
    the next window's, so the windows' bytes add up to the text's.
    """
    tokenizer = loaded.tokenizer
    if tokenizer is None:
        raise InvalidRequest("Random weights have no tokenizer, and so nothing to measure.")
    if not tokenizer.is_fast:
        raise UnsupportedModel(
            "This model's tokenizer does not tell which characters a token stands for, so bits "
            "per byte cannot be measured."
        )
    start = tokenizer.bos_token_id
    if start is None:
        start = min(loaded.eos_ids, default=None)
    if start is None:
        raise UnsupportedModel(
            "This model has neither a BOS nor an EOS token to read a window after, so its text "
            "cannot be measured."
        )
    encoded = tokenizer(
        request.text, add_special_tokens=False, return_offsets_mapping=True, verbose=False
    )
    ids: list[int] = encoded.input_ids
    if not ids:
        raise InvalidRequest("The text has no character that this model can read.")
    size = request.window
    if loaded.context_length is not None:
        size = min(size, loaded.context_length - 1)
    firsts = list(range(0, len(ids), size))
    # The first window owns whatever the tokenizer dropped before its first token.
    edges = [0, *(encoded.offset_mapping[at][0] for at in firsts[1:]), len(request.text)]
    windows: list[ScoreWindow] = []
    details: list[TokenDetail] = []
    for number, at in enumerate(firsts):
        if stop.is_set():
            raise Cancelled("The measurement was stopped.")
        part = ids[at : at + size]
        logits = decoder.all_logits(torch.tensor([start, *part[:-1]]))
        windows.append(
            ScoreWindow(
                tokens=len(part),
                bytes=len(request.text[edges[number] : edges[number + 1]].encode()),
                nll=_nll(logits, part),
            )
        )
        if request.alternatives:
            firsts_of = [first for first, _ in encoded.offset_mapping[at : at + len(part)]]
            firsts_of = [edges[number], *firsts_of[1:], edges[number + 1]]
            texts = [request.text[a:b] for a, b in itertools.pairwise(firsts_of)]
            details += _details(tokenizer, logits, part, texts, request.alternatives)
        yield Progress("scoring", (number + 1) / len(firsts))
    yield Done(ScoreStats(tuple(windows), private_memory().peak, tuple(details)))


@torch.inference_mode()
def _details(
    tokenizer: Any, logits: Tensor, targets: list[int], texts: list[str], most: int
) -> Iterator[TokenDetail]:
    """Each of `targets` with its text, under `logits` [tokens, vocabulary]."""
    for row, target, text in zip(logits, targets, texts, strict=True):
        likely = row.float().log_softmax(-1)
        best = likely.topk(min(most, likely.numel()))
        pairs = zip(best.indices.tolist(), best.values.tolist(), strict=True)
        rivals = tuple(Alternative(tokenizer.decode([token]), value) for token, value in pairs)
        yield TokenDetail(text, float(likely[target]), rivals)


@torch.inference_mode()
def _nll(logits: Tensor, targets: list[int]) -> float:
    """Nats of `targets` [tokens] under `logits` [tokens, vocabulary]."""
    total = 0.0
    for at in range(0, len(targets), _ROWS):
        wanted = torch.tensor(targets[at : at + _ROWS])
        rows = logits[at : at + _ROWS].float()
        total += float(torch.nn.functional.cross_entropy(rows, wanted, reduction="sum"))
    return total

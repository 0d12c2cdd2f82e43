"""Choosing the next token. The filters' definitions and order are those of transformers'
logits processors, so that the same settings mean the same here and in a script:
repetition penalty, temperature, top-k, top-p, min-p, then one draw.

Repetition penalty: Keskar et al. 2019 (arXiv 1909.05858). Top-k: Fan et al. 2018 (arXiv
1805.04833). Top-p: Holtzman et al. 2019 (arXiv 1904.09751). Min-p: Nguyen et al. 2024 (arXiv
2407.01082).
"""

from __future__ import annotations

import math
from collections.abc import Collection, Sequence

import torch
from torch import Tensor

from slm_explorer.errors import BadCheckpoint
from slm_explorer.types import Sampling


class Sampler:
    """Chooses tokens for one request, from its own random numbers and its own history."""

    def __init__(self, sampling: Sampling, prompt_ids: Sequence[int]) -> None:
        self._sampling = sampling
        self._generator = torch.Generator().manual_seed(sampling.seed)
        self._seen = set(prompt_ids)

    def choose(self, logits: Tensor) -> int:
        """The next token's id, from float32 logits of shape [vocabulary].

        Raises BadCheckpoint where they are not finite.
        """
        sampling = self._sampling
        if sampling.repetition_penalty != 1.0:
            logits = penalize_repetition(logits, self._seen, sampling.repetition_penalty)
        highest, likeliest = logits.max(dim=-1)
        if not math.isfinite(highest):
            raise BadCheckpoint(
                "The model computes numbers that are not finite: its weights are broken, or too "
                "large for this dtype. Load it as bf16 or f32."
            )
        token = int(likeliest)
        if sampling.temperature > 0.0:
            probabilities = filter_logits(logits, sampling).softmax(dim=-1)
            token = int(torch.multinomial(probabilities, 1, generator=self._generator))
        self._seen.add(token)
        return token


def penalize_repetition(logits: Tensor, seen: Collection[int], penalty: float) -> Tensor:
    """Divide positive and multiply negative logits of the tokens seen so far by `penalty`."""
    ids = torch.tensor(list(seen), dtype=torch.long)
    chosen = logits[ids]
    return logits.index_put((ids,), torch.where(chosen < 0, chosen * penalty, chosen / penalty))


def filter_logits(logits: Tensor, sampling: Sampling) -> Tensor:
    """Temperature, top-k, top-p and min-p: what they exclude becomes -inf. Shape [vocabulary]."""
    logits = logits / sampling.temperature
    if sampling.top_k > 0:
        count = min(sampling.top_k, logits.shape[-1])
        logits = logits.masked_fill(logits < logits.topk(count).values[-1], -torch.inf)
    if sampling.top_p < 1.0:
        ascending, order = logits.sort()
        excluded = ascending.softmax(dim=-1).cumsum(dim=-1) <= 1 - sampling.top_p
        excluded[-1] = False
        logits = logits.masked_fill(
            torch.zeros_like(excluded).scatter(0, order, excluded), -torch.inf
        )
    if sampling.min_p > 0.0:
        probabilities = logits.softmax(dim=-1)
        excluded = probabilities < sampling.min_p * probabilities.amax()
        excluded[probabilities.argmax()] = False
        logits = logits.masked_fill(excluded, -torch.inf)
    return logits

"""What computes logits: the seam between the token loop and a way to run the network."""

from __future__ import annotations

from typing import Any, Protocol

import torch
from torch import Tensor
from transformers.cache_utils import Cache


class Decoder(Protocol):
    """Runs a decoder-only language model, batch size 1."""

    def last_logits(self, ids: Tensor, cache: Cache) -> Tensor:
        """Read `ids` [tokens] after what `cache` holds, add them to it, and return the last
        position's logits as float32 [vocabulary].
        """
        ...

    def all_logits(self, ids: Tensor) -> Tensor:
        """Logits [tokens, vocabulary] at every position of `ids` [tokens], in the model's dtype."""
        ...


class TransformersDecoder:
    """Runs any transformers causal language model through its own forward pass."""

    def __init__(self, model: Any) -> None:
        self._model = model

    @torch.inference_mode()
    def last_logits(self, ids: Tensor, cache: Cache) -> Tensor:
        output = self._model(
            input_ids=ids[None], past_key_values=cache, use_cache=True, logits_to_keep=1
        )
        logits: Tensor = output.logits
        return logits[0, -1].float()

    @torch.inference_mode()
    def all_logits(self, ids: Tensor) -> Tensor:
        logits: Tensor = self._model(input_ids=ids[None], use_cache=False).logits
        return logits[0]

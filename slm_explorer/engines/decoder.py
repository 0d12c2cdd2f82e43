"""What computes logits: the seam between the token loop and a way to run the network."""

from __future__ import annotations

import inspect
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


class WholeTextDecoder:
    """Runs a model that takes no KV cache (Reformer, Mamba, the first GPT): the whole text is read
    anew for every token, which is slow and right.
    """

    def __init__(self, model: Any) -> None:
        self._model = model
        self._cache: Cache | None = None
        self._ids = torch.empty(0, dtype=torch.long)
        if hasattr(model.config, "hash_seed"):
            # Reformer hashes by other random numbers in every pass, unless it is given a seed.
            model.config.hash_seed = 0

    def last_logits(self, ids: Tensor, cache: Cache) -> Tensor:
        read = self._ids if cache is self._cache else self._ids[:0]
        self._cache, self._ids = cache, torch.cat([read, ids])
        return self.all_logits(self._ids)[-1].float()

    @torch.inference_mode()
    def all_logits(self, ids: Tensor) -> Tensor:
        logits: Tensor = self._model(input_ids=ids[None]).logits
        return logits[0]


def any_decoder(model: Any) -> Decoder:
    """What runs this causal language model through its own forward pass."""
    takes = inspect.signature(model.forward).parameters
    return TransformersDecoder(model) if "past_key_values" in takes else WholeTextDecoder(model)

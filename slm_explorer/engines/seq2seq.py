"""Encoder-decoders: a text is read once, as a whole, and another is written from it.

Such a model reads no conversation: its input is the last thing that the user said, after the
system prompt as the task's prefix.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from transformers import PretrainedConfig
from transformers.cache_utils import DynamicCache, EncoderDecoderCache

from slm_explorer.engines.checkpoint import LoadedModel
from slm_explorer.errors import ContextOverflow, InvalidRequest
from slm_explorer.types import GenerateRequest

# T5's positions are relative and end nowhere, but attention's cost does not: what its makers
# trained on, eight times over.
MAX_INPUT_TOKENS = 4096


def encode_input(loaded: LoadedModel, request: GenerateRequest) -> list[int]:
    """The encoder's input ids, with the special tokens that the model was trained with.

    Raises InvalidRequest without a tokenizer, ContextOverflow for what is too long.
    """
    if request.prompt_ids:
        ids = list(request.prompt_ids)
        vocabulary = loaded.info.vocab_size
        if min(ids) < 0 or max(ids) >= vocabulary:
            raise InvalidRequest(f"Token ids of this model are between 0 and {vocabulary - 1}.")
    elif loaded.tokenizer is None:
        raise InvalidRequest("Random weights have no tokenizer: give token ids, not text.")
    else:
        ids = loaded.tokenizer(input_text(request), verbose=False).input_ids
    limit = loaded.context_length or MAX_INPUT_TOKENS
    if len(ids) > limit:
        raise ContextOverflow(
            f"The text has {len(ids):,} tokens, and this model reads {limit:,}: shorten it."
        )
    return ids


def input_text(request: GenerateRequest) -> str:
    """The words of a request that has no token ids."""
    if request.raw is not None:
        return request.raw
    system = [message.content for message in request.messages if message.role == "system"]
    return " ".join([*system, request.messages[-1].content])


def start_token(config: PretrainedConfig) -> int | None:
    """The token that every output begins with, and that is no part of the text; None where a
    decoder-only model needs none.
    """
    if not config.is_encoder_decoder:
        return None
    token = config.decoder_start_token_id
    return int(token if token is not None else config.pad_token_id or 0)


class Seq2SeqDecoder:
    """The writing half, with its cache, after the reading half has read `input_ids`."""

    def __init__(self, loaded: LoadedModel, input_ids: list[int]) -> None:
        self._model: Any = loaded.model
        self._ids = torch.tensor([input_ids])
        self._mask = torch.ones_like(self._ids)
        self._read: Any = None
        self._cache = EncoderDecoderCache(
            DynamicCache(config=loaded.config), DynamicCache(config=loaded.config)
        )

    @torch.inference_mode()
    def read(self) -> None:
        """Run the encoder, once."""
        self._read = self._model.get_encoder()(
            input_ids=self._ids, attention_mask=self._mask, return_dict=True
        )

    @torch.inference_mode()
    def last_logits(self, token: int) -> Tensor:
        """Logits (vocabulary,) in float32 of what follows `token`."""
        output = self._model(
            encoder_outputs=self._read,
            attention_mask=self._mask,
            decoder_input_ids=torch.tensor([[token]]),
            past_key_values=self._cache,
            use_cache=True,
        )
        logits: Tensor = output.logits
        return logits[0, -1].float()

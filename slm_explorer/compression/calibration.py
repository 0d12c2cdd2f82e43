"""The text that a model reads while it is measured what its parts do: windows of tokens, and
the forward pass over each.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from slm_explorer.engines.checkpoint import LoadedModel
from slm_explorer.errors import Cancelled, InvalidRequest

MIN_TOKENS = 16
_WINDOW = 256
_MOST_TOKENS = 4096

Cancel = Callable[[], bool]


def windows_of(loaded: LoadedModel, text: str) -> list[Tensor]:
    """`text` as token ids [1, at most 256], at most 4,096 tokens in all, each window between the
    model's own special tokens. InvalidRequest where there are fewer than 16 tokens.
    """
    tokenizer: Any = loaded.tokenizer
    ids: list[int] = tokenizer(text, add_special_tokens=False, verbose=False).input_ids
    if len(ids) < MIN_TOKENS:
        raise InvalidRequest(
            f"The text has {len(ids)} tokens, and at least {MIN_TOKENS} are needed to measure what "
            "each part of the model does: give it a longer one."
        )
    ids = ids[:_MOST_TOKENS]
    before, after = _special_ids(tokenizer)
    size = min(_WINDOW, loaded.context_length or _WINDOW) - len(before) - len(after)
    parts = (ids[at : at + size] for at in range(0, len(ids), size))
    return [torch.tensor([[*before, *part, *after]]) for part in parts]


def _special_ids(tokenizer: Any) -> tuple[list[int], list[int]]:
    """What this tokenizer puts before and after a text; at least a BOS where it has one."""
    around: list[int] = tokenizer("a", verbose=False).input_ids
    bare: list[int] = tokenizer("a", add_special_tokens=False, verbose=False).input_ids
    at = next(
        (start for start in range(len(around)) if around[start : start + len(bare)] == bare), 0
    )
    before, after = around[:at], around[at + len(bare) :]
    if not around[:at] and tokenizer.bos_token_id is not None and not after:
        before = [tokenizer.bos_token_id]
    return before, after


@torch.no_grad()
def read(model: Any, window: Tensor, cancelled: Cancel) -> Any:
    """The model's outputs for one window [1, tokens]; an encoder-decoder reads it on both sides.
    Raises Cancelled instead where `cancelled()` says so.
    """
    if cancelled():
        raise Cancelled("The compression was stopped.")
    if model.config.is_encoder_decoder:
        return model(input_ids=window, decoder_input_ids=window, use_cache=False)
    takes_cache = getattr(model.config, "use_cache", None) is not None
    return model(input_ids=window, **({"use_cache": False} if takes_cache else {}))


def reads_left_to_right(model: Any) -> bool:
    """Whether its logits predict the next token, so that a text has a loss."""
    return bool(model.can_generate()) and not model.config.is_encoder_decoder


def loss_of(model: Any, windows: list[Tensor], cancelled: Cancel) -> float:
    """Mean negative log-likelihood in nats a token of a decoder on the windows."""
    total, count = 0.0, 0
    for window in windows:
        logits: Tensor = read(model, window, cancelled).logits[0, :-1].float()
        targets = window[0, 1:]
        total += float(torch.nn.functional.cross_entropy(logits, targets, reduction="sum"))
        count += targets.numel()
    return total / max(1, count)

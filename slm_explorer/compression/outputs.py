"""What encoders and encoder-decoders predict on a text, for comparing a child with its parent.

They predict no next token, so each kind is asked what it was made for: a masked-language model
for hidden tokens, an encoder-decoder for the second half of a window after it has read the first,
a classifier for its labels.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from slm_explorer.engines.checkpoint import LoadedModel
from slm_explorer.engines.seq2seq import start_token
from slm_explorer.errors import InvalidRequest, UnsupportedModel

# One token in so many is hidden: about the share that masked-language models learn with (Devlin
# et al. 2018, arXiv 1810.04805).
MASKED = 7

MASKED_TOKENS = f"hidden tokens, one in {MASKED}"
SECOND_HALVES = "the second half of each window, after reading the first"
LABELS = "labels of each window"


_Frame = tuple[list[int], list[int]]


@dataclass(frozen=True)
class Question:
    """One forward pass: `inputs` for the model, the `rows` of its logits that count, and the
    `targets` there with the UTF-8 bytes they stand for; no targets where the truth is not known.
    """

    inputs: dict[str, Tensor]
    rows: list[int] | None
    targets: list[int]
    bytes: int


def measure_of(loaded: LoadedModel) -> str | None:
    """What is asked of a model of this kind; None for decoders, which predict next tokens.

    Raises UnsupportedModel where its outputs are neither tokens nor labels.
    """
    if loaded.config.is_encoder_decoder:
        return SECOND_HALVES
    tasks = loaded.info.tasks
    if "chat" in tasks:
        return None
    if "fill-mask" in tasks:
        return MASKED_TOKENS
    if "text-classification" in tasks:
        return LABELS
    raise UnsupportedModel(
        "This encoder predicts neither tokens nor labels, so how far a child strays from it "
        "cannot be told in bits: compare what both find similar."
    )


def questions(loaded: LoadedModel, text: str, window: int) -> Iterator[tuple[float, Question]]:
    """The text in windows, each with how much of it is done then (0 to 1)."""
    tokenizer, measure = loaded.tokenizer, measure_of(loaded)
    if tokenizer is None or not tokenizer.is_fast:
        raise UnsupportedModel(
            "This model's tokenizer does not tell which characters a token stands for, so its "
            "predictions cannot be measured."
        )
    if measure == MASKED_TOKENS and tokenizer.mask_token_id is None:
        raise UnsupportedModel(
            "This model's tokenizer has no mask, so no token can be hidden from it."
        )
    frame = _frame(tokenizer, text)
    encoded = tokenizer(text, add_special_tokens=False, return_offsets_mapping=True, verbose=False)
    ids, offsets = encoded.input_ids, encoded.offset_mapping
    if len(ids) < 2:
        raise InvalidRequest("The text is too short to measure.")
    size = min(window, (loaded.context_length or window) - 4)
    for number, at in enumerate(range(0, len(ids), size)):
        part, places = ids[at : at + size], offsets[at : at + size]
        done = min(1.0, (at + size) / len(ids))
        if measure == SECOND_HALVES:
            middle = len(part) // 2
            if middle:
                size_of = _bytes(text, places[middle:])
                yield done, _second_half(loaded, frame, part, size_of, middle)
        elif measure == MASKED_TOKENS:
            hidden = list(range(number % MASKED, len(part), MASKED))
            if hidden:
                chosen = [places[place] for place in hidden]
                mask = tokenizer.mask_token_id
                yield done, _masked(mask, frame, part, _bytes(text, chosen), hidden)
        else:
            yield done, Question(_inputs(frame, part), None, [], 0)


@torch.inference_mode()
def answer(loaded: LoadedModel, question: Question) -> Tensor:
    """Logits (targets or 1, classes) of what was asked, float32."""
    logits: Tensor = loaded.model(**question.inputs).logits[0].float()
    if question.rows is None:
        return logits[None]
    return logits[question.rows]


def _bytes(text: str, places: Sequence[tuple[int, int]]) -> int:
    return sum(len(text[first:last].encode()) for first, last in places)


def _frame(tokenizer: Any, text: str) -> _Frame:
    """The special tokens that this tokenizer puts before and behind a text."""
    sample = text[:200]
    inner = tokenizer(sample, add_special_tokens=False, verbose=False).input_ids
    whole = tokenizer(sample, verbose=False).input_ids
    for at in range(len(whole) - len(inner) + 1):
        if whole[at : at + len(inner)] == inner:
            return whole[:at], whole[at + len(inner) :]
    return [], []


def _inputs(frame: _Frame, part: list[int]) -> dict[str, Tensor]:
    ids = torch.tensor([[*frame[0], *part, *frame[1]]])
    return {"input_ids": ids, "attention_mask": torch.ones_like(ids)}


def _masked(mask: int, frame: _Frame, part: list[int], size: int, hidden: list[int]) -> Question:
    seen = [mask if place in hidden else token for place, token in enumerate(part)]
    rows = [place + len(frame[0]) for place in hidden]
    return Question(_inputs(frame, seen), rows, [part[place] for place in hidden], size)


def _second_half(
    loaded: LoadedModel, frame: _Frame, part: list[int], size: int, middle: int
) -> Question:
    first, second = part[:middle], part[middle:]
    start = start_token(loaded.config)
    inputs = _inputs(frame, first) | {"decoder_input_ids": torch.tensor([[start, *second[:-1]]])}
    return Question(inputs, list(range(len(second))), second, size)

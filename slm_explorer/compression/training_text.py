"""What a student learns from: the user's text, or text that the parent itself writes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor
from transformers import GenerationConfig, StoppingCriteria, StoppingCriteriaList

from slm_explorer.compression.training_plan import MIN_TEXT_TOKENS, TextOrigin
from slm_explorer.engines.checkpoint import LoadedModel
from slm_explorer.engines.text import render_chat, token_text
from slm_explorer.errors import (
    BadCheckpoint,
    Cancelled,
    InvalidRequest,
    TemplateError,
    UnsupportedModel,
)
from slm_explorer.types import Message

# One row in ten, up to this many, is never learnt from: it measures what was learnt.
_HELD_OUT_ROWS = 32
# Rows that the parent writes at a time, and at least before it is asked to stop.
_WRITTEN_ROWS = 32
# A sample has so many tokens, and so many of them are given.
_SHOWN, _SHOWN_BEFORE = 64, 12
# Stands for what a user would say, to find where that begins in a chat template.
_MARK = "⁂"


@dataclass(frozen=True)
class TrainingText:
    """Rows of one length. `ids` int64 [rows, window]; `learnt` bool [rows, window]: the tokens
    that are to be predicted, which padding and what starts a row are not.
    """

    ids: Tensor
    learnt: Tensor
    origin: TextOrigin

    @property
    def tokens(self) -> int:
        """How many tokens are there to learn."""
        return int(self.learnt.sum())

    def split(self, seed: int) -> tuple[TrainingText, TrainingText]:
        """(to learn from, held out): rows drawn by `seed`."""
        rows = len(self.ids)
        order = torch.randperm(rows, generator=torch.Generator().manual_seed(seed))
        held = max(1, min(_HELD_OUT_ROWS, rows // 10))
        return self._rows(order[held:]), self._rows(order[:held])

    def _rows(self, numbers: Tensor) -> TrainingText:
        return replace(self, ids=self.ids[numbers], learnt=self.learnt[numbers])


def user_text(loaded: LoadedModel, text: str, window: int, *, encoder: bool) -> TrainingText:
    """`text` cut into rows of `window` tokens (fewer where the model reads fewer), each after a
    BOS, or for an encoder between [CLS] and [SEP]; what does not fill a row is left out.

    InvalidRequest where the text is too short to learn from.
    """
    tokenizer = _tokenizer(loaded)
    ids: list[int] = tokenizer(text, add_special_tokens=False, verbose=False).input_ids
    if len(ids) < MIN_TEXT_TOKENS:
        raise InvalidRequest(
            f"The text has {len(ids):,} tokens, and a training needs {MIN_TEXT_TOKENS:,} at least: "
            "give a longer text."
        )
    if encoder:
        before, after = _some(tokenizer.cls_token_id), _some(tokenizer.sep_token_id)
    else:
        before, after = _some(_start(loaded)), []
    width = _width(loaded, window) - len(before) - len(after)
    rows = [ids[at : at + width] for at in range(0, len(ids) - width + 1, width)]
    learnt = [False] * len(before) + [True] * width + [False] * len(after)
    return TrainingText(
        torch.tensor([before + row + after for row in rows]),
        torch.tensor(learnt).expand(len(rows), -1),
        "user",
    )


def parents_text(
    loaded: LoadedModel,
    rows: int,
    window: int,
    enough: Callable[[], bool],
    cancelled: Callable[[], bool],
    report: Callable[[float], None],
) -> TrainingText:
    """At most `rows` rows that the model writes itself, each token drawn at temperature 1, so
    that the text is a sample of what the model knows; fewer once `enough` says so.

    Rows begin at the model's BOS and, where it has a chat template, every second batch where a
    user would speak (Xu et al., Magpie, 2024, https://arxiv.org/abs/2406.08464). Draws from
    torch's global random numbers. Raises Cancelled, UnsupportedModel for a model that has nothing
    to begin with, BadCheckpoint for one whose numbers are not finite.
    """
    width = _width(loaded, window)
    opening = _opening(loaded)
    starts = _starts(loaded, opening)
    if not starts:
        raise UnsupportedModel(
            "This model has no token that a text begins with, so it cannot write one to train on: "
            "give a text."
        )
    ids: list[Tensor] = []
    learnt: list[Tensor] = []
    done = 0
    while done < rows and not (done and enough()):
        count = min(_WRITTEN_ROWS, rows - done)
        first = starts[len(ids) % len(starts)][-width // 2 :]
        written, ends = _write(loaded, first, count, width, opening is not None, cancelled)
        ids.append(written)
        learnt.append(ends)
        done += count
        report(done / rows)
    return TrainingText(torch.cat(ids), torch.cat(learnt), "parent")


def _write(
    loaded: LoadedModel,
    first: list[int],
    rows: int,
    width: int,
    chats: bool,
    cancelled: Callable[[], bool],
) -> tuple[Tensor, Tensor]:
    """Ids and learnt [rows, width]. Where the model chats, a turn's end is not the text's; a second
    one right after it is, for then the model knows nothing more to write.
    """
    eos = sorted(loaded.eos_ids)
    settings = GenerationConfig(
        do_sample=True,
        temperature=1.0,
        top_k=0,
        top_p=1.0,
        min_new_tokens=None,
        max_new_tokens=width - len(first),
        eos_token_id=None if chats or not eos else eos,
        pad_token_id=eos[0] if eos else 0,
    )
    prompt = torch.tensor(first).expand(rows, -1)
    stops = StoppingCriteriaList([_Stop(cancelled, torch.tensor(eos) if chats and eos else None)])
    try:
        made: Tensor = loaded.model.generate(
            input_ids=prompt,
            attention_mask=torch.ones_like(prompt),
            generation_config=settings,
            stopping_criteria=stops,
        )
    except RuntimeError as error:
        if "probability tensor" not in str(error):
            raise
        raise BadCheckpoint(
            "The parent computes numbers that are not finite, so it cannot write a text to train "
            "on: its weights are broken. Download or make it again."
        ) from error
    if cancelled():
        raise Cancelled("The compression was stopped.")
    ids = torch.full((rows, width), int(settings.pad_token_id))
    ids[:, : made.shape[1]] = made
    learnt = torch.ones_like(ids, dtype=torch.bool)
    learnt[:, : len(first)] = False
    learnt[:, made.shape[1] :] = False
    if eos:
        ends = torch.isin(ids, torch.tensor(eos)) & learnt
        if chats:
            seconds = ends & ends.roll(1, dims=1)
            learnt &= seconds.cumsum(dim=1) == 0
        else:
            learnt &= ends.cumsum(dim=1) - ends.long() == 0
    return ids, learnt


def continuation(loaded: LoadedModel, row: Tensor, cancelled: Callable[[], bool]) -> str:
    """What the model writes after the first tokens of a row, with them. It draws from random
    numbers of its own, so that a training is the same with and without samples.
    """
    first = row[:_SHOWN_BEFORE]
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        ids, learnt = _write(loaded, first.tolist(), 1, _SHOWN, True, cancelled)
    length = len(first) + int(learnt.sum())
    return token_text(loaded.tokenizer, ids[0, :length].tolist())


class _Stop(StoppingCriteria):  # type: ignore[misc]
    """Ends generation after the token at which the run was cancelled, and of a row that has come
    to an end of a turn twice in a row.
    """

    def __init__(self, cancelled: Callable[[], bool], ends: Tensor | None) -> None:
        self._cancelled, self._ends = cancelled, ends

    def __call__(self, input_ids: Tensor, _scores: Any, **_settings: Any) -> Tensor:
        if self._ends is None or self._cancelled():
            return torch.full((len(input_ids),), self._cancelled())
        return torch.isin(input_ids[:, -2:], self._ends).all(dim=1)


def can_begin(loaded: LoadedModel) -> bool:
    """Whether there is something that a text of the model's begins with."""
    return bool(_starts(loaded, _opening(loaded)))


def _starts(loaded: LoadedModel, opening: list[int] | None) -> list[list[int]]:
    start = _start(loaded)
    return [part for part in ([start] if start is not None else None, opening) if part]


def _opening(loaded: LoadedModel) -> list[int] | None:
    """What stands before the first words of a user; None where there is no chat template."""
    if not loaded.info.has_chat_template:
        return None
    tokenizer = _tokenizer(loaded)
    try:
        before, found, _ = render_chat(tokenizer, [Message("user", _MARK)]).partition(_MARK)
    except TemplateError:
        return None
    ids: list[int] = tokenizer(before, add_special_tokens=False, verbose=False).input_ids
    return ids if found and ids else None


def _tokenizer(loaded: LoadedModel) -> Any:
    if loaded.tokenizer is None:
        raise InvalidRequest("Random weights have no tokenizer, and so no text to train on.")
    return loaded.tokenizer


def _start(loaded: LoadedModel) -> int | None:
    """What a text begins with: BOS, or EOS for models that have no BOS."""
    bos: int | None = _tokenizer(loaded).bos_token_id
    return bos if bos is not None else min(loaded.eos_ids, default=None)


def _width(loaded: LoadedModel, window: int) -> int:
    return window if loaded.context_length is None else min(window, loaded.context_length)


def _some(token: int | None) -> list[int]:
    return [] if token is None else [token]

"""Text to token ids and back: chat templates, raw prompts, and detokenizing a stream."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import jinja2

from slm_explorer.engines.checkpoint import LoadedModel
from slm_explorer.errors import ContextOverflow, InvalidRequest, TemplateError
from slm_explorer.types import GenerateRequest, Message

# A chat template is a small program: besides jinja2's own errors it can raise these.
_TEMPLATE_ERRORS = (
    jinja2.TemplateError,
    ArithmeticError,
    AttributeError,
    LookupError,
    RecursionError,
    TypeError,
    ValueError,
)
_REPLACEMENT = "\N{REPLACEMENT CHARACTER}"


@dataclass(frozen=True)
class Prompt:
    """What the model reads, and the stop strings that its format needs."""

    ids: list[int]
    stop: tuple[str, ...] = ()


def encode_prompt(loaded: LoadedModel, request: GenerateRequest) -> Prompt:
    """The request as token ids.

    A conversation goes through the model's chat template; a model without one is given
    `plain_chat`. A raw prompt follows the model's own BOS where its tokenizer adds one.
    Raises TemplateError, InvalidRequest, and ContextOverflow if no token could follow.
    """
    stop: tuple[str, ...] = ()
    if request.prompt_ids:
        ids = list(request.prompt_ids)
        vocabulary = loaded.info.vocab_size
        if min(ids) < 0 or max(ids) >= vocabulary:
            raise InvalidRequest(f"Token ids of this model are between 0 and {vocabulary - 1}.")
    elif loaded.tokenizer is None:
        raise InvalidRequest("Random weights have no tokenizer: give token ids, not text.")
    elif request.raw is not None:
        ids = with_bos(loaded.tokenizer, request.raw)
    elif loaded.info.has_chat_template:
        ids = _plain_ids(loaded.tokenizer, render_chat(loaded.tokenizer, request.messages))
    else:
        text, stop = plain_chat(request.messages)
        ids = with_bos(loaded.tokenizer, text)
    if not ids:
        raise InvalidRequest("The prompt has no character that this model can read.")
    limit = loaded.context_length
    if limit is not None and len(ids) >= limit:
        raise ContextOverflow(
            f"The conversation has {len(ids):,} tokens, and this model reads {limit:,} with its "
            "answer: clear the chat, or shorten the prompt."
        )
    return Prompt(ids, stop)


def plain_chat(messages: Sequence[Message]) -> tuple[str, tuple[str, ...]]:
    """A conversation for a model without a chat template, and the strings that end an answer.

    The system text stands first, then each turn on a line of its own after its speaker's name;
    the prompt ends where the assistant's next turn begins.
    """
    names = {"user": "User: ", "assistant": "Assistant: "}
    parts = [
        f"{message.content}\n\n"
        if message.role == "system"
        else f"{names[message.role]}{message.content}\n"
        for message in messages
    ]
    return "".join(parts) + "Assistant:", ("\nUser:",)


def with_bos(tokenizer: Any, text: str) -> list[int]:
    """Token ids of `text` after a BOS, if the tokenizer puts one before every text."""
    empty = tokenizer("").input_ids
    bos = [tokenizer.bos_token_id] if empty[:1] == [tokenizer.bos_token_id] else []
    return bos + _plain_ids(tokenizer, text)


def _plain_ids(tokenizer: Any, text: str) -> list[int]:
    ids: list[int] = tokenizer(text, add_special_tokens=False, verbose=False).input_ids
    return ids


def render_chat(tokenizer: Any, messages: Sequence[Message]) -> str:
    """A conversation as the model's chat template writes it, up to where the answer begins.

    Raises TemplateError where the template refuses it.
    """
    turns = [{"role": message.role, "content": message.content} for message in messages]
    try:
        text: str = tokenizer.apply_chat_template(turns, tokenize=False, add_generation_prompt=True)
    except _TEMPLATE_ERRORS as error:
        reason = str(error).strip() or type(error).__name__
        raise TemplateError(
            f"The model's chat template refuses this conversation ({reason}): change the system "
            "prompt or the turns, or use a raw prompt."
        ) from error
    return text


def token_text(tokenizer: Any | None, ids: Sequence[int]) -> str:
    """The text of `ids` without special tokens; numbers where there is no tokenizer."""
    if tokenizer is None:
        return "".join(f" {each}" for each in ids)
    text: str = tokenizer.decode(ids, skip_special_tokens=True, clean_up_tokenization_spaces=False)
    return text


def single_token_text(tokenizer: Any | None, token: int) -> str:
    """One token by itself, special tokens too: for showing it, not for joining with others."""
    if tokenizer is None:
        return f" {token}"
    text: str = tokenizer.decode([token], clean_up_tokenization_spaces=False)
    return text


class Detokenizer:
    """Turns a stream of token ids into text whose pieces add up to the text of all.

    A part of a character (byte tokens, split emoji) waits for the rest of it; broken bytes come
    out with the next readable character, or at the end. Each piece is
    the difference of two decodings of the last few tokens, because in many vocabularies a
    token's text depends on the one before it (a word's leading space).
    """

    def __init__(self, tokenizer: Any | None) -> None:
        self._tokenizer = tokenizer
        self._ids: list[int] = []
        self._emitted = 0
        self._emitted_text = ""

    def push(self, token: int) -> str:
        """The text that has become certain with this token."""
        self._ids.append(token)
        text = token_text(self._tokenizer, self._ids)
        return "" if text.endswith(_REPLACEMENT) else self._emit(text)

    def flush(self) -> str:
        """The text still waiting, when no more tokens will come."""
        return self._emit(token_text(self._tokenizer, self._ids))

    def _emit(self, text: str) -> str:
        piece = text[len(self._emitted_text) :]
        if piece:
            # The tokens just emitted are the context for the next; older ones are done with.
            self._ids = self._ids[self._emitted :]
            self._emitted = len(self._ids)
            self._emitted_text = token_text(self._tokenizer, self._ids)
        return piece

"""The state of one browser's chat, as values: prompts shared by all lanes, an answer a lane.

Every change is a function from an old value to a new one. Nothing here waits, streams or draws.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from slm_explorer.errors import InvalidRequest
from slm_explorer.tasks import TaskStats
from slm_explorer.types import (
    Delta,
    Done,
    Event,
    Failed,
    GenerationStats,
    Loading,
    Message,
    Progress,
    Queued,
)
from slm_explorer.ui.uses import Prompt, writer_of

SLOTS = 4
"""Lanes at most; a lane is its slot, 0 to 3, for as long as the page lives."""
LETTERS = "ABCD"

# The page resends and keeps whole chats, so both are bounded: far above what a small model
# can read back, far below what would slow the server down for others.
MAX_TURNS = 40
MAX_CHAT_CHARS = 200_000

Status = Literal["waiting", "queued", "loading", "reading", "writing", "done", "stopped", "failed"]
ENDED: tuple[Status, ...] = ("done", "stopped", "failed")


@dataclass(frozen=True)
class Answer:
    """One lane's answer to one prompt, from waiting for its turn to its figures.

    `chips` are the settings that the lane had otherwise than by default, in words. `together`
    says that other lanes were computing at the same time (race mode).
    """

    model: str
    chips: tuple[str, ...] = ()
    status: Status = "waiting"
    text: str = ""
    tokens: int = 0
    ahead: int = 0
    fraction: float = 0.0
    stats: GenerationStats | TaskStats | None = None
    error: str = ""
    trace: str = ""
    together: bool = False


@dataclass(frozen=True)
class Turn:
    """A prompt and what each slot answered; None where a lane took no part."""

    prompt: Prompt
    answers: tuple[Answer | None, ...] = (None,) * SLOTS


@dataclass(frozen=True)
class Conversation:
    """`todo` are prompts not yet sent. `key` names the chat to the workers, so that they may
    keep its KV cache; it must be unguessable. `retries` moves the seed on.
    """

    key: str = ""
    turns: tuple[Turn, ...] = ()
    todo: tuple[Prompt, ...] = ()
    retries: int = 0


def ask(chat: Conversation, prompts: Sequence[Prompt]) -> Conversation:
    """Put prompts in line, after checking that they may be sent; InvalidRequest says why not."""
    if not all(prompt.strip() for prompt in prompts if isinstance(prompt, str)):
        raise InvalidRequest("The prompt is empty: write something first.")
    if len(chat.turns) + len(prompts) > MAX_TURNS:
        raise InvalidRequest(
            f"This chat has {len(chat.turns)} turns, its limit: clear it to go on."
        )
    written = _characters(chat) + sum(map(_length, prompts))
    if written > MAX_CHAT_CHARS:
        raise InvalidRequest(
            f"With this prompt the chat has {written:,} characters; the limit is "
            f"{MAX_CHAT_CHARS:,}: shorten it, or clear the chat."
        )
    return replace(chat, todo=tuple(prompts), retries=0)


def _characters(chat: Conversation) -> int:
    return sum(
        _length(turn.prompt) + sum(len(answer.text) for answer in turn.answers if answer)
        for turn in chat.turns
    )


def _length(prompt: Prompt) -> int:
    return len(prompt) if isinstance(prompt, str) else sum(map(len, writer_of(prompt)))


def retry(chat: Conversation) -> Conversation:
    """Ask the last prompt again, in all lanes, with the next seed."""
    if not chat.turns:
        raise InvalidRequest("There is nothing to retry yet: send a prompt first.")
    return replace(
        chat, turns=chat.turns[:-1], todo=(chat.turns[-1].prompt,), retries=chat.retries + 1
    )


def undo(chat: Conversation) -> tuple[Conversation, Prompt]:
    """Take the last turn back; its prompt returns to the writer."""
    if not chat.turns:
        raise InvalidRequest("There is nothing to undo yet: send a prompt first.")
    return replace(chat, turns=chat.turns[:-1], todo=(), retries=0), chat.turns[-1].prompt


def edit(chat: Conversation, index: int, prompt: Prompt) -> Conversation:
    """Write turn `index` anew: it and what followed are dropped, and the new prompt is asked."""
    if not 0 <= index < len(chat.turns):
        raise InvalidRequest("That prompt is no longer in this chat: reload the page.")
    return ask(replace(chat, turns=chat.turns[:index]), [prompt])


def begin(chat: Conversation, answers: dict[int, Answer]) -> Conversation:
    """Move the next prompt from `todo` into a new turn, with an answer to come in each lane."""
    turn = Turn(chat.todo[0], tuple(answers.get(slot) for slot in range(SLOTS)))
    return replace(chat, turns=(*chat.turns, turn), todo=chat.todo[1:])


def advance(chat: Conversation, batch: Iterable[tuple[int, Event]]) -> Conversation:
    """Apply what the lanes have sent to the last turn."""
    turn = chat.turns[-1]
    answers = list(turn.answers)
    written: dict[int, list[str]] = {}
    for slot, event in batch:
        answer = answers[slot]
        if answer is None:
            continue
        if isinstance(event, Delta):
            written.setdefault(slot, []).append(event.text)
        answers[slot] = _heard(answer, event)
    for slot, texts in written.items():
        answer = answers[slot]
        if answer is not None:
            answers[slot] = replace(answer, text=answer.text + "".join(texts))
    return replace(chat, turns=(*chat.turns[:-1], replace(turn, answers=tuple(answers))))


def _heard(answer: Answer, event: Event) -> Answer:
    """The answer after one event, but for its text."""
    match event:
        case Queued():
            return replace(answer, status="queued", ahead=event.ahead)
        case Loading():
            return replace(answer, status="loading", fraction=event.fraction)
        case Progress():
            return replace(answer, status="reading", fraction=event.fraction)
        case Delta():
            return replace(answer, status="writing", tokens=answer.tokens + event.tokens)
        case Done():
            stats = event.stats if isinstance(event.stats, GenerationStats | TaskStats) else None
            tokens = answer.tokens
            if isinstance(stats, GenerationStats):
                tokens = stats.output_tokens
            return replace(answer, status="done", stats=stats, tokens=tokens)
        case Failed(kind="Cancelled"):
            return replace(answer, status="stopped")
        case Failed():
            return replace(answer, status="failed", error=event.error, trace=event.trace)


def history(chat: Conversation, slot: int, system: str) -> tuple[Message, ...]:
    """What the model in this slot reads before answering the last turn.

    Turns in which the lane took no part, failed, or said nothing are left out whole, so that
    roles keep alternating.
    """
    messages = [Message("system", system)] if system.strip() else []
    for turn in chat.turns[:-1]:
        answer = turn.answers[slot]
        if answer is not None and answer.status == "done" and answer.text:
            messages += [_said(turn.prompt), Message("assistant", answer.text)]
    return (*messages, *latest(chat))


def latest(chat: Conversation) -> tuple[Message, ...]:
    """The last prompt alone, for models that read nothing said before."""
    return (_said(chat.turns[-1].prompt),)


def _said(prompt: Prompt) -> Message:
    return Message("user", writer_of(prompt)[0])


def without_lane(chat: Conversation, slot: int) -> Conversation:
    """Forget a removed lane's answers, so that the slot starts afresh when it is added again."""
    return replace(
        chat,
        turns=tuple(
            replace(
                turn,
                answers=tuple(None if i == slot else a for i, a in enumerate(turn.answers)),
            )
            for turn in chat.turns
        ),
    )

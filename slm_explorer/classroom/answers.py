"""How events of a stream become an answer on a screen: a student's own, or one for all."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from dataclasses import replace
from itertools import chain

from slm_explorer.chat import Ask, ChatService
from slm_explorer.classroom.types import ModelAnswer, Push, Turn
from slm_explorer.types import (
    Delta,
    Done,
    Event,
    Failed,
    GenerationStats,
    Loading,
    Message,
    Queued,
    Sampling,
)

ANSWER_TOKENS = 256
# The models of a class are small, and so is what they can read.
TURNS_READ = 3
_ENDINGS = {
    "cancelled": "It was stopped.",
    "length": f"It ends here, after {ANSWER_TOKENS} tokens.",
    "context": "It ends here: the model can read no more.",
}


def conversation(turns: Sequence[Turn], question: str) -> tuple[Message, ...]:
    """What a model is given: the newest TURNS_READ turns that have an answer, and the question."""
    read = [turn for turn in turns if turn.text and not turn.failed][-TURNS_READ:]
    pairs = [(Message("user", turn.prompt), Message("assistant", turn.text)) for turn in read]
    return (*chain.from_iterable(pairs), Message("user", question))


def advance_turn(turn: Turn, event: Event) -> Turn:
    """A student's turn after one more event."""
    if isinstance(event, Queued):
        place = "next in line" if event.ahead <= 1 else f"{event.ahead} before you"
        return replace(turn, note=f"Waiting: {place}.")
    if isinstance(event, Loading):
        return replace(turn, note="The model is being loaded.")
    if isinstance(event, Delta):
        return replace(turn, text=turn.text + event.text, note="")
    if isinstance(event, Failed):
        return replace(turn, running=False, failed=True, note=event.error)
    if isinstance(event, Done) and isinstance(event.stats, GenerationStats):
        stats = event.stats
        return replace(
            turn,
            running=False,
            note=_ENDINGS.get(stats.finish_reason, ""),
            output_tokens=stats.output_tokens,
            ttft_s=stats.ttft_s,
            decode_tps=stats.decode_tps,
            queue_s=stats.queue_s,
        )
    return turn


def ended_turn(turn: Turn, note: str) -> Turn:
    """A turn whose stream ended without a last word: its page was closed."""
    return replace(turn, running=False, note=note)


def watch(
    chat: ChatService, push: Push, cancel: threading.Event, show: Callable[[ModelAnswer], None]
) -> None:
    """Let the models answer a pushed prompt, one after the other; `show` is called with each
    answer as it grows.
    """
    for answer in push.answers:
        ask = Ask(
            model=answer.model,
            messages=(Message("user", push.text),),
            sampling=Sampling(max_tokens=ANSWER_TOKENS),
            visitor="class",
        )
        for event in chat.stream(ask, cancel):
            answer = _advance_answer(answer, event)
            show(answer)


def _advance_answer(answer: ModelAnswer, event: Event) -> ModelAnswer:
    if isinstance(event, Delta):
        return replace(answer, text=answer.text + event.text, status="writing")
    if isinstance(event, Failed):
        return replace(answer, status="failed", error=event.error)
    if isinstance(event, Done) and isinstance(event.stats, GenerationStats):
        tokens, speed = event.stats.output_tokens, event.stats.decode_tps
        return replace(answer, status="done", output_tokens=tokens, decode_tps=speed)
    return answer


def as_students_see(push: Push) -> Push:
    """Without what a secret vote must not give away: names, and speeds that tell sizes."""
    if push.revealed:
        return push
    hidden = tuple(
        replace(answer, model="", name="", output_tokens=None, decode_tps=None)
        for answer in push.answers
    )
    return replace(push, answers=hidden)

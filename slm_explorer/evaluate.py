"""Measure quality: skills whose answers are known, and how well a text is predicted.

Accuracy comes with a Wilson 95 % interval; bits per byte with a bootstrap 95 % interval over
the windows of the text (1,000 resamples, fixed seed). Decoding is greedy.
"""

from __future__ import annotations

import math
import random
import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import cast

from slm_explorer.chat import Ask, ChatService, TaskAsk
from slm_explorer.errors import Cancelled, InvalidRequest, error_of_kind
from slm_explorer.skills import SkillItem, matches, wilson_interval
from slm_explorer.task_suites import TaskItem, says
from slm_explorer.tasks import TaskStats
from slm_explorer.types import (
    Delta,
    Done,
    Failed,
    Message,
    Role,
    Sampling,
    ScoreStats,
    ScoreWindow,
)

# Longer than any true answer of the shipped suites, a story included.
ANSWER_TOKENS = 192
Report = Callable[[str], None]


def evaluate_suite(
    chat: ChatService,
    model: str,
    recipe: str,
    suite: str,
    items: Sequence[SkillItem | TaskItem],
    report: Report,
    cancel: threading.Event,
) -> dict[str, object]:
    """One row: the share of `items` answered correctly, greedy, each a fresh conversation.

    `tokens` were written, or by a model that writes none: read.
    """
    right = tokens = 0
    for number, item in enumerate(items):
        if number % 20 == 0:
            report(f"{model}: {suite} {number}/{len(items)}")
        if isinstance(item, TaskItem):
            stats = _perform(chat, model, recipe, item, cancel)
            right += says(item, stats.result) == item.answer
            tokens += stats.tokens
        else:
            answer, produced = _answer(chat, model, recipe, item, cancel)
            right += matches(item, answer)
            tokens += produced
    low, high = wilson_interval(right, len(items))
    return _row(
        model,
        recipe,
        suite=suite,
        tokens=tokens,
        accuracy=right / len(items),
        n=len(items),
        interval=[low, high],
    )


def _answer(
    chat: ChatService, model: str, recipe: str, item: SkillItem, cancel: threading.Event
) -> tuple[str, int]:
    ask = Ask(
        model=model,
        recipe=recipe,
        messages=tuple(Message(cast(Role, role), text) for role, text in item.messages),
        sampling=Sampling(max_tokens=ANSWER_TOKENS),
    )
    text, tokens = "", 0
    for event in chat.stream(ask, cancel):
        match event:
            case Delta(piece, count):
                text, tokens = text + piece, tokens + count
            case Failed(error, kind):
                raise error_of_kind(kind, error)
    if cancel.is_set():
        raise Cancelled("The evaluation was stopped.")
    return text, tokens


def _perform(
    chat: ChatService, model: str, recipe: str, item: TaskItem, cancel: threading.Event
) -> TaskStats:
    for event in chat.perform(TaskAsk(model, item.input, recipe), cancel):
        match event:
            case Done(TaskStats() as stats):
                return stats
            case Failed(error, kind):
                raise error_of_kind(kind, error)
    raise Cancelled("The evaluation was stopped.")


def evaluate_text(
    chat: ChatService,
    model: str,
    recipe: str,
    path: Path,
    report: Report,
    cancel: threading.Event,
) -> dict[str, object]:
    """One row: bits per byte and perplexity of a UTF-8 text file under the model."""
    windows = _score(chat, model, recipe, read_text(path), report, cancel)
    tokens = sum(w.tokens for w in windows)
    nats = sum(w.nll for w in windows)
    return _row(
        model,
        recipe,
        text=path.name,
        tokens=tokens,
        bits_per_byte=bits_per_byte(windows),
        perplexity=math.exp(nats / tokens),
        n=len(windows),
        interval=list(bootstrap_interval(windows)),
    )


def read_text(path: Path) -> str:
    """The file's text; InvalidRequest where it cannot be read as UTF-8."""
    try:
        return path.read_text(encoding="utf-8")
    except OSError as error:
        raise InvalidRequest(f"{path} cannot be read: {error.strerror}.") from error
    except UnicodeDecodeError as error:
        raise InvalidRequest(f"{path} is not UTF-8 text: convert it first.") from error


def _score(
    chat: ChatService,
    model: str,
    recipe: str,
    text: str,
    report: Report,
    cancel: threading.Event,
) -> tuple[ScoreWindow, ...]:
    for event in chat.score(model, recipe, text, cancel):
        match event:
            case Done(ScoreStats(windows)) if windows:
                return windows
            case Failed(error, kind):
                raise error_of_kind(kind, error)
            case _:
                report(f"{model}: reading the text")
    raise InvalidRequest("The text is too short to measure: one token has nothing before it.")


def bits_per_byte(windows: Sequence[ScoreWindow]) -> float:
    """Total surprise in bits over total UTF-8 bytes: comparable across tokenizers."""
    return sum(w.nll for w in windows) / math.log(2) / sum(w.bytes for w in windows)


def bootstrap_interval(
    windows: Sequence[ScoreWindow], resamples: int = 1000
) -> tuple[float, float] | tuple[None, None]:
    """Percentile 95 % interval of bits per byte over windows; None for a single window.

    Source of the method: Efron and Tibshirani, An Introduction to the Bootstrap (1993), 13.
    """
    if len(windows) < 2:
        return None, None
    draw = random.Random(0)
    values = sorted(bits_per_byte(draw.choices(windows, k=len(windows))) for _ in range(resamples))
    return values[int(0.025 * resamples)], values[int(0.975 * resamples) - 1]


def _row(model: str, recipe: str, **found: object) -> dict[str, object]:
    row: dict[str, object] = {"model": model, "recipe": recipe, "suite": None, "text": None}
    row |= dict.fromkeys(("tokens", "bits_per_byte", "perplexity", "accuracy", "n", "interval"))
    return row | found

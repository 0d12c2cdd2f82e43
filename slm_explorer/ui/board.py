"""What the chat shows, as plain values for assets/page/board.js."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from slm_explorer.tasks import AskContext, Task, TaskStats
from slm_explorer.types import GenerationStats
from slm_explorer.ui.conversation import ENDED, LETTERS, Answer, Conversation, Turn
from slm_explorer.ui.examples import example_groups
from slm_explorer.ui.live import Live
from slm_explorer.ui.meters_rows import energy_title, joules
from slm_explorer.ui.models import Choice
from slm_explorer.ui.results import result_view
from slm_explorer.ui.uses import writer_of
from slm_explorer.units import format_bytes

_FINISHED = {
    "length": "cut: reached max tokens",
    "context": "cut: the context is full",
    "cancelled": "stopped",
}


@dataclass(frozen=True)
class Lane:
    """One lane in view. `chips` are its settings where they differ from the defaults."""

    slot: int
    choice: Choice | None
    chips: tuple[str, ...] = ()


def board_view(
    chat: Conversation,
    lanes: Sequence[Lane],
    names: dict[str, Choice],
    *,
    use: Task = "chat",
    live: Live | None = None,
    notice: str = "",
    missing: str = "",
) -> dict[str, object]:
    """The whole chat. `live` is the run that the lanes are at, `notice` a sentence about what was
    just asked and refused, `missing` says what to do where no lane can answer.
    """
    return {
        "use": use,
        "running": live is not None,
        "live": {"ticket": live.ticket, "flush": live.flush} if live else None,
        "notice": notice,
        "missing": missing,
        "lanes": [_lane(lane) for lane in lanes],
        "turns": [
            {
                "prompt": writer_of(turn.prompt)[0],
                "context": turn.prompt.context if isinstance(turn.prompt, AskContext) else "",
                "answers": _answers(turn, names),
            }
            for turn in chat.turns
        ],
        # Shown before the first prompt only; a stream need not carry them.
        "examples": [] if chat.turns else example_groups(use),
    }


def newest_answers(chat: Conversation, names: dict[str, Choice]) -> dict[str, object]:
    """The answers to the newest prompt, and which it is."""
    return {"turn": len(chat.turns) - 1, "answers": _answers(chat.turns[-1], names)}


def _answers(turn: Turn, names: dict[str, Choice]) -> list[dict[str, object] | None]:
    return [_answer(turn, slot, names) for slot in range(len(turn.answers))]


def _lane(lane: Lane) -> dict[str, object]:
    return {
        "slot": lane.slot,
        "letter": LETTERS[lane.slot],
        "name": lane.choice.name if lane.choice else "no model",
        "about": lane.choice.about if lane.choice else "Choose a model for this lane.",
        "chips": list(lane.chips),
    }


def _answer(turn: Turn, slot: int, names: dict[str, Choice]) -> dict[str, object] | None:
    answer = turn.answers[slot]
    if answer is None:
        return None
    busy = answer.status in ("loading", "reading") and answer.fraction > 0
    view: dict[str, object] = {
        "name": names[answer.model].name if answer.model in names else answer.model,
        "chips": list(answer.chips),
        "status": answer.status,
        "running": answer.status not in ENDED,
        "text": answer.text,
        "note": _note(answer, turn, slot),
        "fraction": answer.fraction if busy else None,
        "result": None,
        "warning": "",
        "figures": [],
        "error": answer.error,
        "trace": answer.trace,
    }
    match answer.stats:
        case GenerationStats() as stats:
            view["figures"] = _figures(answer, stats)
        case TaskStats() as stats:
            view["result"] = result_view(turn.prompt, stats.result)
            view["warning"] = stats.warning or ""
            view["figures"] = _task_figures(answer, stats)
    return view


def _note(answer: Answer, turn: Turn, slot: int) -> str:
    """What the lane is doing, or how its answer ended where that was no ordinary end."""
    match answer.status:
        case "waiting":
            before = [
                LETTERS[i]
                for i, other in enumerate(turn.answers[:slot])
                if other is not None and other.status not in ENDED
            ]
            if before and not answer.together:
                return f"waits for lane {before[-1]}"
            return "starting"
        case "queued":
            return f"queued: {answer.ahead} ahead" if answer.ahead else "queued: next"
        case "loading":
            return f"loading the model, {answer.fraction:.0%}"
        case "reading":
            return f"reading the prompt, {answer.fraction:.0%}"
        case "writing":
            return f"{answer.tokens:,} tokens"
        case "stopped":
            writes = isinstance(turn.prompt, str)
            return f"stopped before the {'first token' if writes else 'result'}"
        case "done":
            if isinstance(answer.stats, GenerationStats):
                return _FINISHED.get(answer.stats.finish_reason, "")
            return ""
        case "failed":
            return ""


def _figures(answer: Answer, stats: GenerationStats) -> list[dict[str, str]]:
    """Text and, for hovering, the method. All of it measured in the worker's process."""
    shared = " Other lanes were computing at the same time." if answer.together else ""
    prefill = f" at {stats.prefill_tps:,.0f} tok/s" if stats.prefill_tps is not None else ""
    read = stats.prompt_tokens - stats.cached_tokens
    kept = f", {stats.cached_tokens:,} more were kept from before" if stats.cached_tokens else ""
    rate = "n/a tok/s" if stats.decode_tps is None else f"{_rate(stats.decode_tps)} tok/s"
    why = " n/a: there is no token after the first." if stats.decode_tps is None else ""
    figures = [
        (
            "TTFT n/a" if stats.ttft_s is None else f"TTFT {_duration(stats.ttft_s)}",
            "Time to first token, from the start of work on this prompt; queue and load are "
            f"not in it. Prefill read {read:,} tokens{prefill}{kept}.{shared}",
        ),
        (rate, f"Decode speed: tokens after the first, over their time.{why}{shared}"),
        (
            f"{stats.output_tokens:,} tokens",
            f"Tokens written; the prompt has {stats.prompt_tokens:,}. Seed {stats.seed}.",
        ),
    ]
    if stats.batch > 1:
        title = (
            "The most answers that shared its steps, itself included: each is slower than alone."
        )
        figures.append((f"{stats.batch} at once", title))
    figures += _process_figures(stats)
    return [{"text": text, "title": title} for text, title in figures]


def _task_figures(answer: Answer, stats: TaskStats) -> list[dict[str, str]]:
    shared = " Other lanes were computing at the same time." if answer.together else ""
    figures = [
        (
            _duration(stats.seconds),
            "Reading the input and computing the result; queue and load are not in it." + shared,
        ),
        (f"{stats.tokens:,} tokens", "Tokens read, the model's own special tokens among them."),
        *_process_figures(stats),
    ]
    return [{"text": text, "title": title} for text, title in figures]


def _process_figures(stats: GenerationStats | TaskStats) -> list[tuple[str, str]]:
    memory = "n/a" if stats.memory_bytes is None else format_bytes(stats.memory_bytes)
    peak = "n/a" if stats.peak_memory_bytes is None else format_bytes(stats.peak_memory_bytes)
    figures = [(memory, f"Private memory (USS) of this model's process; its peak was {peak}.")]
    if stats.load_s is not None and stats.load_s >= 0.05:
        figures.append(
            (f"load {_duration(stats.load_s)}", "Starting this model's process and reading it.")
        )
    if stats.queue_s is not None and stats.queue_s >= 0.05:
        figures.append((f"queue {_duration(stats.queue_s)}", "Waiting for other visitors."))
    if stats.energy is not None:
        tokens = stats.output_tokens if isinstance(stats, GenerationStats) else 0
        text = joules(stats.energy) if stats.energy.known else "energy n/a"
        figures.append((text, energy_title(stats.energy, tokens)))
    return figures


def _duration(seconds: float) -> str:
    return f"{seconds * 1000:.0f} ms" if seconds < 1 else f"{seconds:.2f} s"


def _rate(per_second: float) -> str:
    return f"{per_second:,.0f}" if per_second >= 100 else f"{per_second:.1f}"

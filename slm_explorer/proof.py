"""The proof of a compression: parent and child measured on this machine, the child as it was
written to disk.
"""

from __future__ import annotations

import math
import random
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Protocol, TypeVar

from slm_explorer.bench import BenchPlan, run_bench
from slm_explorer.catalog.checkpoint import inspect_checkpoint
from slm_explorer.chat import ChatService
from slm_explorer.compress import CompressionProgress, compare
from slm_explorer.compression.recipes import CompressionResult, Divergence
from slm_explorer.errors import Cancelled, Evicted, SlmError
from slm_explorer.evaluate import (
    bits_per_byte,
    bootstrap_interval,
    evaluate_suite,
    read_text,
)
from slm_explorer.lab.room import comparing_bytes, room_for
from slm_explorer.lab.verdicts import verdicts
from slm_explorer.runtime.manager import ModelManager
from slm_explorer.skills import list_suites, load_suite, wilson_interval
from slm_explorer.types import ScoreWindow

# The text that both models read: a minute's work for a model of 100 million parameters.
TEXT = Path("evaluation") / "sprout-text.txt"
_CHARACTERS = 80_000
_LARGE_CHARACTERS = 8_000
_LARGE_BYTES = 500_000_000
_RESAMPLES = 1000

NO_ENERGY = "No speed was measured, so no energy was either."

Report = Callable[[str], None]
T = TypeVar("T")


class Measuring(Protocol):
    """What a proof works with; services.Services is one."""

    @property
    def chat(self) -> ChatService: ...
    @property
    def manager(self) -> ModelManager: ...
    @property
    def assets(self) -> Path: ...
    @property
    def threads(self) -> int: ...


def compression_row(model: str, out: Path, result: CompressionResult) -> dict[str, object]:
    """A finished compression under the command line's JSON keys."""
    return {
        "model": model,
        "out": str(out),
        "recipe": result.recipe,
        "seconds": result.seconds,
        "peak_memory_bytes": result.peak_memory_bytes,
        "bytes_before": result.bytes_before,
        "bytes_after": result.bytes_after,
        "layers": [layer.row() for layer in result.layers],
        "steps": [step.row() for step in result.steps],
    }


def prove(
    tools: Measuring,
    parent: Path,
    child: Path,
    report: Report,
    cancel: threading.Event,
    *,
    advance: Callable[[float], None] = lambda _fraction: None,
    started: Callable[[int], None] | None = None,
    skill_items: int = 0,
) -> dict[str, object]:
    """What the child gained and lost: `before`, `after`, `kl`, `top1_agreement`, `verdicts`, the
    text, and `skills` where `skill_items` (of each shipped suite) are asked for.

    A figure that this model cannot give is None, and `not_measured` says why. `advance` is told
    how far it is (0 to 1), `started` the process that reads the text. Raises Cancelled.
    """
    reasons: list[str] = []
    before: dict[str, object] = {"bytes_on_disk": _bytes_on_disk(parent)}
    after: dict[str, object] = {"bytes_on_disk": _bytes_on_disk(child)}
    row: dict[str, object] = {"before": before, "after": after, "not_measured": reasons}
    tried = _Tries(reasons, cancel)
    found = tried(
        "Quality",
        lambda: _divergence(
            tools, parent, child, report, lambda part: advance(0.4 * part), cancel, started
        ),
    )
    for side, windows in (
        (before, None if found is None else found.before),
        (after, None if found is None else found.after),
    ):
        side |= _quality(windows)
    row |= _difference(found)
    folders = (parent, child)
    speeds = tried(
        "Speed and memory",
        lambda: _speeds(tools, folders, report, lambda part: advance(0.4 + 0.4 * part), cancel),
    )
    for side, speed in zip((before, after), speeds or ({}, {}), strict=True):
        side |= {name: speed.get(name) for name in _SPEED_KEYS} | _joules(speed)
        row["energy_reason"] = speed.get("energy_method", NO_ENERGY)
    row["skills"] = tried(
        "Skills",
        lambda: _skills(
            tools, folders, skill_items, report, lambda part: advance(0.8 + 0.2 * part), cancel
        ),
    )
    row["verdicts"] = [asdict(each) for each in verdicts(before, after, row)]
    return row


class _Tries:
    """Parts of a proof that may fail each for itself: the others are measured all the same."""

    def __init__(self, reasons: list[str], cancel: threading.Event) -> None:
        self._reasons = reasons
        self._cancel = cancel

    def __call__(self, name: str, measure: Callable[[], T]) -> T | None:
        try:
            return measure()
        except SlmError as error:
            if isinstance(error, Evicted) and self._cancel.is_set():
                raise  # the watchdog has stopped it, and says why
            if isinstance(error, Cancelled) or self._cancel.is_set():
                raise Cancelled("The proof was stopped.") from None
            self._reasons.append(f"{name}: {error}")
            return None


_SPEED_KEYS = (
    "load_s",
    "ttft_s",
    "ttft_s_min",
    "ttft_s_max",
    "prefill_tps",
    "prefill_tps_min",
    "prefill_tps_max",
    "decode_tps",
    "decode_tps_min",
    "decode_tps_max",
    "weights_bytes",
    "memory_bytes",
    "peak_memory_bytes",
)


def _joules(speed: Mapping[str, object]) -> dict[str, object]:
    """Of one answer of the benchmark: between the least and the most of the repeats. An estimate
    is a range without a middle, so that nobody takes it for a measurement.
    """
    low, high = speed.get("joules_low"), speed.get("joules_high")
    measured = str(speed.get("energy_method", "")).startswith("measured")
    middle = None
    if measured and isinstance(low, float) and isinstance(high, float):
        middle = (low + high) / 2
    return {"energy_j": middle, "energy_j_min": low, "energy_j_max": high}


def _bytes_on_disk(folder: Path) -> int:
    """Of the weights: tokenizers and cards are the same on both sides."""
    return sum(file.stat().st_size for file in folder.glob("*.safetensors"))


def _divergence(
    tools: Measuring,
    parent: Path,
    child: Path,
    report: Report,
    advance: Callable[[float], None],
    cancel: threading.Event,
    started: Callable[[int], None] | None,
) -> Divergence:
    text = read_text(tools.assets / TEXT)
    size = _bytes_on_disk(parent)
    text = text[: _LARGE_CHARACTERS if size > _LARGE_BYTES else _CHARACTERS]
    needed = comparing_bytes(inspect_checkpoint(parent), inspect_checkpoint(child))
    said = -1
    found: Divergence | None = None
    with room_for(tools.manager, "Comparing parent and child", needed, cancel) as room:

        def begun(pid: int) -> None:
            room.pid = pid
            if started is not None:
                started(pid)

        for event in compare(
            parent, child, text, threads=tools.threads, cancel=cancel, started=begun
        ):
            if not isinstance(event, CompressionProgress):
                found = event
                continue
            advance(event.fraction)
            if int(event.fraction * 4) > said:
                said = int(event.fraction * 4)
                report(f"both models read {TEXT.name}: {event.fraction:.0%}")
    assert found is not None
    return found


def _quality(windows: Sequence[ScoreWindow] | None) -> dict[str, object]:
    if not windows:
        return dict.fromkeys(("bits_per_byte", "interval", "perplexity"))
    tokens = sum(window.tokens for window in windows)
    return {
        "bits_per_byte": bits_per_byte(windows),
        "interval": list(bootstrap_interval(windows)),
        "perplexity": math.exp(sum(window.nll for window in windows) / tokens),
    }


def _difference(found: Divergence | None) -> dict[str, object]:
    names = ("measure", "kl", "kl_interval", "top1_agreement", "top1_interval")
    if found is None:
        return {"text": TEXT.name, "tokens": None, **dict.fromkeys(names), "change_interval": None}
    return {
        "text": TEXT.name,
        "tokens": sum(window.tokens for window in found.before) or None,
        **{name: getattr(found, name) for name in names},
        "change_interval": _change_interval(found),
    }


def _change_interval(found: Divergence) -> tuple[float, float] | None:
    """95 % bootstrap of the relative change in bits per byte. Both sides of a drawn window stay
    together, so that what the text itself varies cancels out.
    """
    pairs = list(zip(found.before, found.after, strict=True))
    if len(pairs) < 2:
        return None
    draw = random.Random(0)
    changes = []
    for _ in range(_RESAMPLES):
        drawn = draw.choices(pairs, k=len(pairs))
        first, second = (sum(pair[side].nll for pair in drawn) for side in (0, 1))
        changes.append(second / first - 1)
    changes.sort()
    return changes[int(0.025 * _RESAMPLES)], changes[int(0.975 * _RESAMPLES) - 1]


def _speeds(
    tools: Measuring,
    folders: Sequence[Path],
    report: Report,
    advance: Callable[[float], None],
    cancel: threading.Event,
) -> tuple[Mapping[str, object], ...]:
    """Rows of a benchmark in which both take turns, so that their ratio is fair."""
    specs = [tools.chat.spec(str(folder)) for folder in folders]
    for state in tools.manager.states():
        # What a worker has answered before would count in its memory.
        if state.spec in specs and state.phase == "idle":
            tools.manager.unload(state.key)
    plan = BenchPlan()
    said = iter(range(len(specs) * (plan.repeats + 1)))

    def tell(text: str) -> None:
        advance(next(said, 0) / (len(specs) * (plan.repeats + 1)))
        report(text)

    return tuple(run_bench(tools.manager, specs, plan, tell, cancel))


def _skills(
    tools: Measuring,
    folders: tuple[Path, Path],
    items: int,
    report: Report,
    advance: Callable[[float], None],
    cancel: threading.Event,
) -> list[dict[str, object]]:
    """Both models' accuracy on the first `items` of each suite, and on all of them together."""
    suites = list_suites(tools.assets) if items else {}
    rows: list[dict[str, object]] = []
    totals = {"before": [0, 0], "after": [0, 0]}
    for number, (name, path) in enumerate(suites.items()):
        chosen = load_suite(path)[:items]
        row: dict[str, object] = {"suite": name, "n": len(chosen)}
        for side, folder in zip(totals, folders, strict=True):
            found = evaluate_suite(
                tools.chat, str(folder), "native", name, chosen, lambda _text: None, cancel
            )
            accuracy = found["accuracy"]
            assert isinstance(accuracy, float)
            totals[side][0] += round(accuracy * len(chosen))
            totals[side][1] += len(chosen)
            row[side] = {"accuracy": accuracy, "interval": found["interval"]}
        rows.append(row)
        report(f"both models answer: {name}")
        advance((number + 1) / len(suites))
    if rows:
        rows.append({"suite": "all", "n": totals["before"][1]} | dict(_pooled(totals)))
    return rows


def _pooled(totals: Mapping[str, Sequence[int]]) -> Iterator[tuple[str, object]]:
    for side, (right, n) in totals.items():
        yield side, {"accuracy": right / n, "interval": list(wilson_interval(right, n))}

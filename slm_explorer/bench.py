"""Measure a worker's speed: the same path that chat takes, with a fixed length and no EOS.

Several engines or recipes measured in one call take turns, repeat by repeat, so that a machine that
slows down slows all of them and their ratio stays honest.
"""

from __future__ import annotations

import random
import threading
import uuid
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from statistics import median

from slm_explorer.energy import Energy, energy_row, no_energy
from slm_explorer.errors import Cancelled, InvalidRequest, error_of_kind
from slm_explorer.runtime.manager import ModelManager
from slm_explorer.types import (
    Done,
    Failed,
    GenerateRequest,
    GenerationStats,
    ModelInfo,
    ModelSpec,
    Sampling,
)

Report = Callable[[str], None]


@dataclass(frozen=True)
class BenchPlan:
    """How much to measure. `repeats` timed rounds follow one untimed warm-up."""

    prompt_tokens: int = 64
    max_tokens: int = 64
    repeats: int = 3

    def __post_init__(self) -> None:
        if self.prompt_tokens < 1 or self.max_tokens < 2 or self.repeats < 1:
            raise InvalidRequest(
                "A benchmark needs at least 1 prompt token, 2 new tokens and 1 repeat."
            )


@dataclass
class _Side:
    """One worker under measurement and what it has shown so far."""

    spec: ModelSpec
    info: ModelInfo | None = None
    rounds: list[GenerationStats] = field(default_factory=list)


def run_bench(
    manager: ModelManager,
    specs: Sequence[ModelSpec],
    plan: BenchPlan,
    report: Report,
    cancel: threading.Event,
) -> list[dict[str, object]]:
    """Rows under the command line's JSON keys, in the order of `specs`.

    Times are medians over the repeats; names that end in _min and _max give the spread.
    Raises the worker's error where one fails, and Cancelled once `cancel` is set.
    """
    sides = [_Side(spec) for spec in specs]
    for side in sides:
        report(f"{_name(side.spec)}: load and warm up")
        # The first answer loads the model and says how large its vocabulary is; only then can
        # the measured prompt be drawn from all of it.
        _answer(manager, side.spec, [0], plan, cancel)
        side.info = _info(manager, side.spec)
        _answer(manager, side.spec, _prompt(plan, side.info), plan, cancel)
    for turn in range(plan.repeats):
        for side in sides:
            report(f"{_name(side.spec)}: repeat {turn + 1}/{plan.repeats}")
            assert side.info is not None
            stats = _answer(manager, side.spec, _prompt(plan, side.info), plan, cancel)
            side.rounds.append(stats)
    return [_row(side, plan) for side in sides]


def _name(spec: ModelSpec) -> str:
    return f"{spec.model} as {spec.recipe} on {spec.engine}"


def _prompt(plan: BenchPlan, info: ModelInfo) -> list[int]:
    draw = random.Random(0)
    return [draw.randrange(info.vocab_size) for _ in range(plan.prompt_tokens)]


def _info(manager: ModelManager, spec: ModelSpec) -> ModelInfo:
    for state in manager.states():
        if state.spec == spec and state.info is not None:
            return state.info
    raise InvalidRequest(f"{spec.model} was unloaded while it was being measured: run it again.")


def _answer(
    manager: ModelManager,
    spec: ModelSpec,
    prompt: list[int],
    plan: BenchPlan,
    cancel: threading.Event,
) -> GenerationStats:
    request = GenerateRequest(
        id=uuid.uuid4().hex,
        visitor="bench",
        sampling=Sampling(max_tokens=plan.max_tokens, ignore_eos=True),
        prompt_ids=tuple(prompt),
        exclusive=True,
    )
    for event in manager.stream(spec, request, cancel):
        match event:
            case Failed(error, kind):
                raise error_of_kind(kind, error)
            case Done(GenerationStats() as stats):
                if stats.finish_reason == "cancelled":
                    break
                return stats
    raise Cancelled("The measurement was stopped.")


def _row(side: _Side, plan: BenchPlan) -> dict[str, object]:
    info = side.info
    assert info is not None
    decode = [s.decode_tps for s in side.rounds if s.decode_tps is not None]
    prefill = [s.prefill_tps for s in side.rounds if s.prefill_tps is not None]
    first = [s.ttft_s for s in side.rounds if s.ttft_s is not None]
    last = side.rounds[-1]
    return {
        "model": side.spec.model,
        "recipe": side.spec.recipe,
        "engine": side.spec.engine,
        "dtype": info.dtype,
        "parameters": info.parameters,
        "threads": side.spec.threads,
        "prompt_tokens": plan.prompt_tokens,
        "max_tokens": plan.max_tokens,
        "repeats": plan.repeats,
        "load_s": info.load_s,
        "ttft_s": median(first) if first else None,
        "ttft_s_min": min(first, default=None),
        "ttft_s_max": max(first, default=None),
        "prefill_tps": median(prefill) if prefill else None,
        "prefill_tps_min": min(prefill, default=None),
        "prefill_tps_max": max(prefill, default=None),
        "decode_tps": median(decode) if decode else None,
        "decode_tps_min": min(decode, default=None),
        "decode_tps_max": max(decode, default=None),
        "weights_bytes": info.weights_bytes,
        "memory_bytes": last.memory_bytes,
        "peak_memory_bytes": last.peak_memory_bytes,
        **energy_row(_energy(side.rounds)),
    }


def _energy(rounds: Sequence[GenerationStats]) -> Energy:
    """Of one answer: the least and the most of the repeats; unknown where one of them is."""
    spent = [stats.energy or no_energy("n/a: nothing measured it") for stats in rounds]
    lows = [each.joules_low for each in spent if each.joules_low is not None]
    highs = [each.joules_high for each in spent if each.joules_high is not None]
    if len(lows) < len(spent) or len(highs) < len(spent):
        return next(each for each in spent if not each.known)
    return Energy(min(lows), max(highs), spent[-1].method)

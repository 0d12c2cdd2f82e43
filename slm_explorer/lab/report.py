"""The report of a run: one JSON object with everything that was measured, and on what.

Keys: `run` (its id), `created_at` (seconds since 1970), `date`; `model`, `name`, `recipe`;
`command` repeats it; `machine` (system, processor, cores, memory_bytes and where that limit was
read, threads), `versions`; `seconds` of the compression, `total_seconds` with the proof,
`peak_memory_bytes` of the compressing process (None: the system does not tell), `bytes_before`
and `bytes_after` of the weights, `layers` and `steps` as compression.recipes has them,
`training` (points in order), `training_text`; and the proof's: `before` and `after` (bytes_on_disk,
bits_per_byte with its interval, perplexity, ttft_s, prefill_tps and decode_tps each with _min and
_max, memory_bytes, peak_memory_bytes, and energy_j of an answer with _min and _max, itself None
where it is only estimated), `energy_reason` (its method, or why there is none), `measure` (what
both had to predict), `text`, `tokens`, `kl`, `kl_interval`, `top1_agreement`, `top1_interval`,
`change_interval` (relative change in bits per byte), `skills`, `verdicts`, `not_measured`
(sentences). Intervals are 95 %.
"""

from __future__ import annotations

import platform
import shlex
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from slm_explorer import __version__
from slm_explorer.catalog.resolve import ResolvedModel
from slm_explorer.compression.recipes import CompressionResult
from slm_explorer.compression.training_plan import TrainingPoint
from slm_explorer.lab.types import Order
from slm_explorer.meters.limits import cpu_limit, read_memory

_PACKAGES = ("torch", "transformers", "safetensors", "tokenizers", "optimum-quanto")


@dataclass(frozen=True)
class Made:
    """A run whose model is written: what was asked, of whom, and what came of it."""

    run: str
    created_at: float
    order: Order
    parent: ResolvedModel
    result: CompressionResult
    training: tuple[TrainingPoint, ...]
    total_seconds: float


def make_report(made: Made, proof: Mapping[str, object], threads: int) -> dict[str, object]:
    """The report as plain values."""
    result, order = made.result, made.order
    return {
        "run": made.run,
        "created_at": made.created_at,
        "date": datetime.fromtimestamp(made.created_at, UTC).isoformat(timespec="seconds"),
        "model": made.parent.id,
        "name": made.parent.name,
        "recipe": order.recipe,
        "command": command(made.parent.id, order.recipe),
        "machine": machine(threads),
        "versions": versions(),
        "seconds": result.seconds,
        "total_seconds": made.total_seconds,
        "peak_memory_bytes": result.peak_memory_bytes,
        "bytes_before": result.bytes_before,
        "bytes_after": result.bytes_after,
        "layers": [layer.row() for layer in result.layers],
        "steps": [step.row() for step in result.steps],
        "training": [asdict(point) for point in made.training],
        "training_text": None if order.text is None else f"{len(order.text):,} characters given",
        **proof,
    }


def command(model: str, recipe: str) -> str:
    """What to type to do it again."""
    words = ["slm-explorer", "compress", model, "--recipe", recipe, "--out", "FOLDER"]
    return shlex.join(words)


def machine(threads: int) -> dict[str, object]:
    """Where it was measured."""
    memory, cpu = read_memory(), cpu_limit()
    return {
        "system": platform.platform(),
        "processor": _processor(),
        "cores": cpu.cores,
        "memory_bytes": memory.limit,
        "memory_source": memory.source,
        "threads": threads,
    }


def versions() -> dict[str, str | None]:
    """The app's and its libraries'; None for what is not installed."""
    found: dict[str, str | None] = {
        "slm-explorer": __version__,
        "python": platform.python_version(),
    }
    for name in _PACKAGES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            found[name] = None
    return found


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    names = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(names, platform.machine())

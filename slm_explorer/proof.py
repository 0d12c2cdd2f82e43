"""The proof of a compression: parent and child measured on this machine, the child as it was
written to disk.
"""

from __future__ import annotations

import math
import threading
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from slm_explorer.bench import BenchPlan, run_bench
from slm_explorer.compress import CompressionProgress, compare
from slm_explorer.compression.recipes import CompressionResult, Divergence
from slm_explorer.errors import BadCheckpoint, InvalidRequest, UnsupportedModel
from slm_explorer.evaluate import bits_per_byte, bootstrap_interval, read_text
from slm_explorer.types import ScoreWindow

if TYPE_CHECKING:
    from slm_explorer.services import Services

# The text that both models read: a minute's work for a model of 100 million parameters.
TEXT = Path("evaluation") / "sprout-text.txt"
_CHARACTERS = 80_000
_LARGE_CHARACTERS = 8_000
_LARGE_BYTES = 500_000_000

Report = Callable[[str], None]


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
    }


def prove(
    services: Services, parent: Path, child: Path, report: Report, cancel: threading.Event
) -> dict[str, object]:
    """What the child gained and lost: `before`, `after`, `kl`, `top1_agreement` and the text.

    A figure that this model cannot give is None, and `not_measured` says why.
    """
    reasons: list[str] = []
    before: dict[str, object] = {}
    after: dict[str, object] = {}
    row: dict[str, object] = {"before": before, "after": after, "not_measured": reasons}
    try:
        found = _divergence(services, parent, child, report, cancel)
    except (UnsupportedModel, InvalidRequest, BadCheckpoint) as error:
        reasons.append(str(error))
        found = None
    for side, windows in (
        (before, None if found is None else found.before),
        (after, None if found is None else found.after),
    ):
        side |= _quality(windows)
    row |= {
        "text": TEXT.name,
        "tokens": None if found is None else sum(w.tokens for w in found.before),
        "kl": None if found is None else found.kl,
        "kl_interval": None if found is None else found.kl_interval,
        "top1_agreement": None if found is None else found.top1_agreement,
        "top1_interval": None if found is None else found.top1_interval,
    }
    try:
        speeds = _speeds(services, (parent, child), report, cancel)
    except (UnsupportedModel, InvalidRequest) as error:
        reasons.append(str(error))
        speeds = ({}, {})
    for side, speed in zip((before, after), speeds, strict=True):
        side |= {name: speed.get(name) for name in _SPEED_KEYS}
    return row


_SPEED_KEYS = (
    "load_s",
    "ttft_s",
    "prefill_tps",
    "decode_tps",
    "decode_tps_min",
    "decode_tps_max",
    "weights_bytes",
    "memory_bytes",
    "peak_memory_bytes",
)


def _divergence(
    services: Services, parent: Path, child: Path, report: Report, cancel: threading.Event
) -> Divergence:
    text = read_text(services.assets / TEXT)
    size = sum(file.stat().st_size for file in parent.glob("*.safetensors"))
    text = text[: _LARGE_CHARACTERS if size > _LARGE_BYTES else _CHARACTERS]
    said = -1
    found: Divergence | None = None
    for event in compare(parent, child, text, threads=services.threads, cancel=cancel):
        if not isinstance(event, CompressionProgress):
            found = event
        elif int(event.fraction * 4) > said:
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


def _speeds(
    services: Services, folders: Sequence[Path], report: Report, cancel: threading.Event
) -> tuple[Mapping[str, object], ...]:
    """Rows of a benchmark in which both take turns, so that their ratio is fair."""
    specs = [services.chat.spec(str(folder)) for folder in folders]
    return tuple(run_bench(services.manager, specs, BenchPlan(), report, cancel))

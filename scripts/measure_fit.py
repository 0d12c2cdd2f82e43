"""Set the estimated memory of models beside the measured peak of a real worker, as a table.

`python scripts/measure_fit.py [SHAPE[:CONTEXT...] ...] [--recipe bf16] [--out FILE]`: each shape is
a card's real one with random weights, loaded by the app's own worker, which then reads a prompt
as long as the context, less two tokens that it writes. One model is in memory at a time.
"""

from __future__ import annotations

import argparse
import datetime
import os
import platform
import random
import sys
import tempfile
import threading
import uuid
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import median

from slm_explorer.catalog.fit import Footprint, estimate_footprint
from slm_explorer.errors import InvalidRequest, SlmError, error_of_kind
from slm_explorer.loads import engine_version
from slm_explorer.services import Services, build_services
from slm_explorer.settings import Settings
from slm_explorer.types import Done, Failed, GenerateRequest, GenerationStats, ModelSpec, Sampling
from slm_explorer.units import format_bytes

SHAPES = (
    "sprout-1m:512",
    "sprout-5m:512",
    "gpt-neo-125m:512:2048",
    "opt-125m:512:2048",
    "smollm2-135m-instruct:512:2048",
    "gemma-3-270m-it:512:2048",
    "lfm2-350m:512:2048",
    "granite-4-0-350m:512:2048",
    "smollm2-360m-instruct:2048",
    "qwen2-5-0-5b-instruct:512:2048",
    "qwen3-0-6b:512:2048",
    "tinyllama-1-1b-chat-v1-0:512",
    "llama-3-2-1b-instruct:512",
    "falcon-rw-1b:512",
    "phi-1-5:512",
    "olmo-2-0425-1b-instruct:512",
    "stablelm-3b-4e1t:512",
    "smollm3-3b:512",
)
_WRITTEN = 2


@dataclass(frozen=True)
class Row:
    """One estimate beside one measurement. Bytes and tokens."""

    model: str
    parameters: int
    context: int
    estimate: Footprint
    measured: int

    @property
    def error(self) -> float:
        """Of the estimate, in % of the measurement; negative is below the truth."""
        return 100 * (self.estimate.total / self.measured - 1)

    def line(self) -> str:
        found = self.estimate
        return (
            f"| {self.model} | {self.parameters / 1e6:,.0f} M | {self.context:,} | "
            f"{format_bytes(found.total)} ({format_bytes(found.low)} to "
            f"{format_bytes(found.high)}) | {format_bytes(self.measured)} | {self.error:+.1f} % |"
        )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("shapes", nargs="*", default=list(SHAPES))
    parser.add_argument("--recipe", default="bf16")
    parser.add_argument("--out", type=Path)
    words = parser.parse_args()
    rows: list[Row] = []
    with tempfile.TemporaryDirectory() as home:
        services = build_services(replace(Settings.from_env(), home=Path(home)))
        try:
            for shape in words.shapes:
                try:
                    for row in measure(services, shape, words.recipe):
                        print(row.line(), file=sys.stderr, flush=True)
                        rows.append(row)
                except SlmError as error:
                    print(f"{shape}: {error}", file=sys.stderr, flush=True)
        finally:
            services.close()
    text = table(rows, words.recipe)
    if words.out is None:
        print(text)
    else:
        words.out.write_text(text + "\n", encoding="utf-8")


def measure(services: Services, shape: str, recipe: str) -> Iterator[Row]:
    """A row for each context of `shape` (id:context:context), in one worker, shortest first."""
    name, *contexts = shape.split(":")
    card = services.catalog.get(name)
    assert card.architecture is not None
    spec = services.shape_spec(card, recipe, "torch")
    with services.manager.lease(spec, visitor="measure", cancel=threading.Event()) as lease:
        for tokens in sorted(int(each) for each in contexts or ["2048"]):
            estimate = estimate_footprint(card, recipe=recipe, context_tokens=tokens)
            measured = _peak(services, spec, tokens, card.architecture.vocab_size)
            yield Row(name, lease.info.parameters, tokens, estimate, measured)
    for worker in services.manager.states():
        services.manager.unload(worker.key)


def _peak(services: Services, spec: ModelSpec, tokens: int, vocabulary: int) -> int:
    draw = random.Random(0)
    request = GenerateRequest(
        id=uuid.uuid4().hex,
        visitor="measure",
        sampling=Sampling(max_tokens=_WRITTEN, ignore_eos=True),
        prompt_ids=tuple(draw.randrange(vocabulary) for _ in range(tokens - _WRITTEN)),
    )
    for event in services.manager.stream(spec, request, threading.Event()):
        match event:
            case Failed(error, kind):
                raise error_of_kind(kind, error)
            case Done(GenerationStats(peak_memory_bytes=int(peak))):
                return peak
    raise InvalidRequest("This system does not tell the private memory of a process: use Linux.")


def table(rows: Sequence[Row], recipe: str) -> str:
    """Markdown: a line for each row, and the errors in a sentence."""
    lines = [
        f"{platform.machine()}, {os.cpu_count()} cores, {engine_version()}, {recipe}, "
        f"{datetime.datetime.now(datetime.UTC).date()}.",
        "",
        "| shape | parameters | context | estimate (low to high) | measured peak | error |",
        "| --- | --- | --- | --- | --- | --- |",
        *(row.line() for row in rows),
    ]
    if rows:
        errors = [row.error for row in rows]
        lines += [
            "",
            f"{len({row.model for row in rows})} shapes, {len(rows)} measurements: median error "
            f"{median(map(abs, errors)):.1f} %, largest {max(map(abs, errors)):.1f} %, furthest "
            f"below the truth {min(0.0, *errors):.1f} %.",
        ]
    return "\n".join(lines)


if __name__ == "__main__":
    main()

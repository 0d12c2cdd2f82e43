"""How fast one worker answers many at once: total tokens a second by the number of sequences, the
same load one at a time, time to first token, and the fairness between visitors.

`python scripts/measure_batch.py [MODEL] [--shape CARD] [--recipe int4] [--sequences 1,2,4,8,16,32]
[--plain]`
prints JSON lines. Each visitor asks for the same number of tokens after a prompt of its own; the
two ways take turns, repeat by repeat, so that a machine that slows down slows both.
"""

from __future__ import annotations

import argparse
import json
import math
import random
import sys
import tempfile
import threading
import uuid
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import median
from time import perf_counter

from slm_explorer.errors import SlmError, error_of_kind
from slm_explorer.runtime.manager import ModelManager
from slm_explorer.services import build_services
from slm_explorer.settings import Settings
from slm_explorer.types import Done, Failed, GenerateRequest, GenerationStats, ModelSpec, Sampling


@dataclass(frozen=True)
class Load:
    """What every visitor asks for, in tokens."""

    prompt_tokens: int
    max_tokens: int


@dataclass(frozen=True)
class Seen:
    """One answer as its visitor saw it: seconds from asking to the first token and to the end."""

    stats: GenerationStats
    first_s: float
    total_s: float


@dataclass(frozen=True)
class Round:
    """All visitors at once, one time."""

    seconds: float
    seen: list[Seen]

    @property
    def rate(self) -> float:
        """Tokens a second of all visitors together, the time to read their prompts included."""
        return sum(each.stats.output_tokens for each in self.seen) / self.seconds


def main() -> int:
    arguments = _arguments()
    threads = arguments.threads
    with tempfile.TemporaryDirectory() as home:
        settings = Settings(home=Path(home), threads=threads)
        services = build_services(settings)
        try:
            if arguments.shape is not None:
                card = services.catalog.get(arguments.shape)
                spec = services.shape_spec(card, arguments.recipe, "torch")
            else:
                spec = services.chat.spec(arguments.model, arguments.recipe)
            load = Load(arguments.prompt_tokens, arguments.max_tokens)
            for sequences in arguments.sequences:
                for row in measure(services.manager, spec, load, sequences, arguments.repeats):
                    print(json.dumps(row), flush=True)
            services.manager.close()
            if arguments.plain:
                for row in plain(spec, load, arguments.sequences, arguments.repeats):
                    print(json.dumps(row), flush=True)
        except SlmError as error:
            print(f"error: {error}", file=sys.stderr)
            return 1
        finally:
            services.close()
    return 0


def measure(
    manager: ModelManager, spec: ModelSpec, load: Load, sequences: int, repeats: int
) -> list[dict[str, object]]:
    """Rows of the two ways: "together" shares steps, "one at a time" does not."""
    vocabulary = _load(manager, spec)
    rounds: dict[str, list[Round]] = {"together": [], "one at a time": []}
    for way in rounds:
        _round(manager, spec, load, sequences, vocabulary, way)
    for _ in range(repeats):
        for way, kept in rounds.items():
            kept.append(_round(manager, spec, load, sequences, vocabulary, way))
    return [_row(spec, load, sequences, way, kept) for way, kept in rounds.items()]


def plain(
    spec: ModelSpec, load: Load, counts: Sequence[int], repeats: int
) -> Iterator[dict[str, object]]:
    """transformers' own `generate` on the uncompressed model: one batch of prompts of one length,
    which begin and end together.
    """
    import torch

    from slm_explorer.engines.checkpoint import load_model

    torch.set_num_threads(spec.threads)
    loaded = load_model(replace(spec, recipe="native"), lambda *_: None)
    for count in counts:
        prompts = torch.randint(loaded.info.vocab_size, (count, load.prompt_tokens))
        rates = []
        for number in range(repeats + 1):
            started = perf_counter()
            with torch.inference_mode():
                loaded.model.generate(
                    prompts, attention_mask=torch.ones_like(prompts), do_sample=False,
                    min_new_tokens=load.max_tokens, max_new_tokens=load.max_tokens, pad_token_id=0,
                )  # fmt: skip
            if number:
                rates.append(count * load.max_tokens / (perf_counter() - started))
        yield {
            "model": spec.model, "recipe": "native", "way": "transformers", "sequences": count,
            "threads": spec.threads, "repeats": repeats, "total_tps": median(rates),
            "total_tps_min": min(rates), "total_tps_max": max(rates),
        }  # fmt: skip


def _load(manager: ModelManager, spec: ModelSpec) -> int:
    with manager.lease(spec, visitor="measure", cancel=threading.Event()) as lease:
        for _ in lease.loading():
            pass
        return lease.info.vocab_size


def _round(
    manager: ModelManager, spec: ModelSpec, load: Load, sequences: int, vocabulary: int, way: str
) -> Round:
    ready = threading.Barrier(sequences + 1)

    def visit(number: int) -> Seen:
        draw = random.Random(number)
        request = GenerateRequest(
            id=uuid.uuid4().hex,
            visitor=f"visitor {number}",
            sampling=Sampling(max_tokens=load.max_tokens, ignore_eos=True),
            prompt_ids=tuple(draw.randrange(vocabulary) for _ in range(load.prompt_tokens)),
            exclusive=way == "one at a time",
        )
        ready.wait()
        started = perf_counter()
        for event in manager.stream(spec, request, threading.Event()):
            if isinstance(event, Failed):
                raise error_of_kind(event.kind, event.error)
            if isinstance(event, Done):
                assert isinstance(event.stats, GenerationStats)
                assert event.stats.ttft_s is not None
                waited = (event.stats.queue_s or 0.0) + event.stats.ttft_s
                return Seen(event.stats, waited, perf_counter() - started)
        raise AssertionError("a stream ends with Done or Failed")

    with ThreadPoolExecutor(sequences) as pool:
        visits = [pool.submit(visit, number) for number in range(sequences)]
        ready.wait()
        started = perf_counter()
        seen = [each.result() for each in visits]
        return Round(perf_counter() - started, seen)


def _row(
    spec: ModelSpec, load: Load, sequences: int, way: str, rounds: Sequence[Round]
) -> dict[str, object]:
    rates = [each.rate for each in rounds]
    first = sorted(seen.first_s for each in rounds for seen in each.seen)
    decode = [
        seen.stats.decode_tps
        for each in rounds
        for seen in each.seen
        if seen.stats.decode_tps is not None
    ]
    peaks = [seen.stats.peak_memory_bytes or 0 for each in rounds for seen in each.seen]
    return {
        "model": spec.model,
        "recipe": spec.recipe,
        "shape": spec.path is None,
        "threads": spec.threads,
        "way": way,
        "sequences": sequences,
        "prompt_tokens": load.prompt_tokens,
        "max_tokens": load.max_tokens,
        "repeats": len(rounds),
        "total_tps": median(rates),
        "total_tps_min": min(rates),
        "total_tps_max": max(rates),
        "batch_most": max(seen.stats.batch for each in rounds for seen in each.seen),
        "ttft_s_median": median(first),
        "ttft_s_p95": first[math.ceil(0.95 * len(first)) - 1],
        "decode_tps_median": median(decode),
        "decode_tps_slowest": min(decode),
        "decode_tps_fastest": max(decode),
        "slowest_to_fastest_visitor": median(
            max(seen.total_s for seen in each.seen) / min(seen.total_s for seen in each.seen)
            for each in rounds
        ),
        "peak_memory_bytes": max(peaks) or None,
    }


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n\n")[0])
    parser.add_argument("model", nargs="?", default="sprout-5m")
    parser.add_argument("--shape", help="random weights in this card's real shape, instead")
    parser.add_argument("--recipe", default="native")
    parser.add_argument("--plain", action="store_true", help="transformers' own batch as well")
    parser.add_argument("--threads", type=int, default=None)
    parser.add_argument("--prompt-tokens", type=int, default=64)
    parser.add_argument("--max-tokens", type=int, default=64)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument(
        "--sequences",
        type=lambda text: [int(part) for part in text.split(",")],
        default=[1, 2, 4, 8, 16, 32],
    )
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())

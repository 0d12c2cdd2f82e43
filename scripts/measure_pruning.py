"""What taking parts out of a model gives in bytes, memory and speed, all variants in turns.

    python scripts/measure_pruning.py smollm2-135m-instruct --repeats 3

writes the card's shape with random weights, compresses it by each recipe and measures parent and
children by turns; a JSON line each, with ratios to the parent. Random weights say nothing of
quality: `measure_training.py` does, on the Sprouts.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from measure.checkpoint import write_checkpoint

from slm_explorer.assets import asset_folder
from slm_explorer.bench import BenchPlan, run_bench
from slm_explorer.catalog.catalog import Catalog
from slm_explorer.catalog.hfconfig import shape_config
from slm_explorer.compress import compress
from slm_explorer.services import build_services
from slm_explorer.settings import Settings
from slm_explorer.types import ModelSpec

RECIPES = (
    "drop-layers:3", "drop-layers:8", "drop-layers:15", "prune-mlp:25", "prune-mlp:50",
    "prune-mlp:75", "prune-heads:33", "drop-layers:8+prune-mlp:50+int4",
)  # fmt: skip
FIGURES = ("parameters", "decode_tps", "decode_tps_min", "decode_tps_max", "prefill_tps")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("card")
    parser.add_argument("--recipes", nargs="*", default=list(RECIPES))
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--threads", type=int, default=2)
    words = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="slm-pruning-") as folder:
        for row in measure(words.card, words.recipes, words.repeats, words.threads, Path(folder)):
            print(json.dumps(row), flush=True)


def measure(
    card: str, recipes: list[str], repeats: int, threads: int, work: Path
) -> Iterator[dict[str, object]]:
    """A row for the parent, and one for each recipe."""
    config = shape_config(Catalog.load(asset_folder()).get(card))
    folders = {"native": work / "parent"}
    write_checkpoint(folders["native"], {**config, "eos_token_id": None})
    for number, recipe in enumerate(recipes):
        folders[recipe] = work / f"child-{number}"
        made = compress(
            folders["native"], folders[recipe], recipe, threads=threads, cancel=threading.Event()
        )
        for _ in made:
            pass
    specs = [
        ModelSpec(f"{card} {recipe}", str(folder), threads=threads)
        for recipe, folder in folders.items()
    ]
    services = build_services(replace(Settings.from_env({}), home=work / "home"))
    try:
        plan = BenchPlan(prompt_tokens=64, max_tokens=64, repeats=repeats)
        rows = run_bench(
            services.manager, specs, plan, lambda line: print(line, file=sys.stderr),
            threading.Event(),
        )  # fmt: skip
    finally:
        services.close()
    sizes = [sum(each.stat().st_size for each in f.glob("*.safetensors")) for f in folders.values()]
    first = rows[0]
    for recipe, row, size in zip(folders, rows, sizes, strict=True):
        yield {
            "recipe": recipe,
            "bytes": size,
            "memory_bytes": row["memory_bytes"],
            **{name: row[name] for name in FIGURES},
            "bytes_ratio": size / sizes[0],
            "memory_ratio": float(str(row["memory_bytes"])) / float(str(first["memory_bytes"])),
            "decode_ratio": float(str(row["decode_tps"])) / float(str(first["decode_tps"])),
        }


if __name__ == "__main__":
    main()

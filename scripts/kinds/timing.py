"""Time of the student and of its teacher, in turns, on the same inputs."""

from __future__ import annotations

import statistics
from collections.abc import Mapping
from pathlib import Path
from time import perf_counter

import torch

from slm_explorer.skills import list_suites
from slm_explorer.task_suites import load_task_suite
from slm_explorer.tasks import Classify

from .evaluate import Judge


@torch.inference_mode()
def times(
    folders: Mapping[str, Path], assets: Path, batch: int, rounds: int
) -> dict[str, dict[str, float]]:
    """Milliseconds of a forward pass over `batch` sentences: median, and the quartiles.

    The models take turns within a round, each on the same sentences, so that what else the machine
    does falls on all of them. A tenth of the rounds is a warm-up that is not counted.
    """
    path = list_suites(assets, "text-classification")["sentiment"]
    items = load_task_suite(path, "text-classification")
    texts = [item.input.text for item in items if isinstance(item.input, Classify)]
    judges = {name: Judge(folder, "text-classification") for name, folder in folders.items()}
    taken: dict[str, list[float]] = {name: [] for name in judges}
    warm_up = rounds // 10
    for number in range(warm_up + rounds):
        at = number * batch % (len(texts) - batch)
        for name, judge in judges.items():
            inputs = judge.read(texts[at : at + batch])
            begun = perf_counter()
            judge.model(**inputs)
            if number >= warm_up:
                taken[name].append((perf_counter() - begun) * 1000)
    rows = {}
    for name, values in taken.items():
        low, median, high = statistics.quantiles(values, n=4)
        rows[name] = {"median_ms": median, "low_ms": low, "high_ms": high}
    return rows

"""What can be done to a model, and what would come of it: estimates that say what they rest on."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from statistics import median
from typing import Any

from slm_explorer.catalog.checkpoint import CheckpointFacts
from slm_explorer.catalog.footprint import weights_bytes
from slm_explorer.catalog.numbers import numbers_of
from slm_explorer.compression.recipes import RECIPES, Recipe, Step, parse_recipe, why_not
from slm_explorer.lab.types import Choice, Run

_HEALS = "It follows other steps, so what comes of it depends on them."
_UNKNOWN_SIZE = "Its size depends on what is taken out: it is known once it is done."


def choices_of(facts: CheckpointFacts, runs: Iterable[Run]) -> tuple[Choice, ...]:
    """Every step of the table with its default value, for the model of `facts`."""
    done = [run for run in runs if run.report is not None]
    return tuple(_choice(recipe, recipe.name, facts, done) for recipe in RECIPES.values())


def estimate(recipe: str, facts: CheckpointFacts, runs: Iterable[Run]) -> Choice:
    """The same for a whole recipe; its words are those of its last step. InvalidRequest for one
    that is none.
    """
    steps = parse_recipe(recipe)
    return _choice(steps[-1].recipe, recipe, facts, [run for run in runs if run.report])


def _choice(recipe: Recipe, text: str, facts: CheckpointFacts, done: list[Run]) -> Choice:
    heal = text == "heal"
    size = None if heal else _bytes_after(text, facts)
    seconds, rests = (None, _HEALS) if heal else _seconds(text, facts, done)
    if size is None and not heal:
        rests = f"{_UNKNOWN_SIZE} {rests}"
    return Choice(
        name=text,
        kind=recipe.kind,
        summary=recipe.summary,
        effect=recipe.effect,
        paper=recipe.paper,
        # Alone it is no recipe; on whatever comes before it, it can be used where training can.
        reason_not=why_not("distil" if heal else text, facts.config),
        bytes_estimate=size,
        seconds_estimate=seconds,
        estimate_reason=rests,
    )


def _bytes_after(text: str, facts: CheckpointFacts) -> int | None:
    """Of the weights, for recipes whose steps take a known share of them; None else."""
    steps = parse_recipe(text)
    numbers = numbers_of(facts)
    storage = steps[-1].recipe.storage
    if numbers is None or storage in ("quanto", "low-rank"):
        return None
    stored = steps[-1].recipe
    size = weights_bytes(numbers, stored.name if storage else "native", stored.group)
    share = 1.0
    for step in steps[: len(steps) - (storage is not None)]:
        left = _left_by(step, facts)
        if left is None:
            return None
        share *= left
    # The share is of the weights in layers; the tables of tokens stay as they are.
    tables = min(1.0, numbers.tables / numbers.parameters) if numbers.parameters else 0.0
    return round(size * (tables + (1 - tables) * share))


def _left_by(step: Step, facts: CheckpointFacts) -> float | None:
    if step.name in ("heal", "prune-magnitude"):
        return 1.0
    if step.name == "drop-layers" and facts.num_layers and step.value is not None:
        return max(0.0, 1 - step.value / facts.num_layers)
    return None


def _seconds(text: str, facts: CheckpointFacts, done: list[Run]) -> tuple[float | None, str]:
    """From earlier runs of the same recipe: their median time a byte, times this model's."""
    rates = []
    for run in done:
        report: Mapping[str, Any] = run.report or {}
        before, total = report.get("bytes_before"), report.get("total_seconds")
        if run.order.recipe == text and before and total:
            rates.append(total / before)
    if not rates:
        return None, "No run of this recipe has been timed here yet."
    runs = f"{len(rates)} earlier run{'s' * (len(rates) > 1)}"
    return median(rates) * facts.weights_bytes, f"Time: {runs} of this recipe here, by size."

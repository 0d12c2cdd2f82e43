"""The recipe builder's values, for assets/page/lab_build.js."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from slm_explorer.compression.recipes import RECIPES, Recipe, Span, parse_recipe, why_not
from slm_explorer.errors import InvalidRequest
from slm_explorer.lab.types import MAX_RECIPE, Choice, Sensitivity
from slm_explorer.ui.models import Choice as Model
from slm_explorer.units import format_bytes, format_duration

FIRST_RECIPE = "int4"
# A slider to the end of these spans could not be set to a sensible number.
_LONGEST_MINUTES = 60
# The order of the page: what changes the shape, what trains, and last how weights are stored.
_KINDS = ("structure", "study", "training", "storage")


@dataclass(frozen=True)
class Building:
    """What one browser is putting together. `curve` belongs to `model`; `answer` counts what the
    server has answered, so that the page knows when its question is.
    """

    model: str = ""
    recipe: str = FIRST_RECIPE
    curve: Sensitivity | None = None
    curve_error: str = ""
    failed: str = ""
    answer: int = 0


@dataclass(frozen=True)
class Parent:
    """What is known of a parent from its headers. `unusable` says why it cannot be one."""

    config: Mapping[str, object] = field(default_factory=dict)
    layers: int | None = None
    weights_bytes: int | None = None
    unusable: str = ""


def build_view(
    building: Building,
    models: Mapping[str, Model],
    parent: Parent,
    choices: Sequence[Choice],
    estimate: Choice | None,
    *,
    refused: str,
) -> dict[str, object]:
    """`refused` says why nothing may be started here."""
    chosen = models.get(building.model)
    steps = sorted(choices, key=lambda choice: _KINDS.index(_kind(choice)))
    error = recipe_error(building.recipe, parent)
    return {
        "refused": refused,
        "models": [{"id": model.id, "name": model.name} for model in models.values()],
        "model": building.model,
        "about": _about(chosen, parent),
        "unusable": parent.unusable,
        "steps": [_step(choice, parent) for choice in steps],
        "recipe": building.recipe,
        "error": error,
        "expect": [] if error or estimate is None else expectations(parent, estimate),
        "trains": not error and "training" in _kinds(building.recipe),
        "curve": None if building.curve is None else curve_view(building.curve),
        "curve_error": building.curve_error,
        "failed": building.failed,
        "answer": building.answer,
    }


def curve_view(curve: Sensitivity) -> dict[str, object]:
    """Each layer's influence, and in words what is known of leaving it out."""
    without = curve.losses_without or ()
    whole = "" if curve.loss is None else f", {curve.loss:.3f} nats with all layers"
    return {
        "influence": list(curve.influence),
        "said": [
            f"layer {place}: influence {influence:.3g}"
            + (f"; loss {without[place]:.3f} nats without it{whole}" if without else "")
            for place, influence in enumerate(curve.influence)
        ],
        "text": f"{curve.tokens:,} tokens of {curve.text}",
    }


def recipe_error(recipe: str, parent: Parent) -> str:
    """Why this recipe cannot be started, in a sentence; empty where it can."""
    if len(recipe) > MAX_RECIPE:
        return f"A recipe has at most {MAX_RECIPE} characters."
    try:
        reason = why_not(recipe, parent.config)
    except InvalidRequest as error:
        return str(error)
    return reason or ""


def expectations(parent: Parent, estimate: Choice) -> list[str]:
    """What may be said before the run, as the estimate that it is."""
    before = "n/a" if parent.weights_bytes is None else format_bytes(parent.weights_bytes)
    size, time = estimate.bytes_estimate, estimate.seconds_estimate
    after = "size afterwards n/a" if size is None else f"about {format_bytes(size)} afterwards"
    took = "time n/a" if time is None else f"about {format_duration(time)} with the measurements"
    return [f"{before} of weights now, {after}; {took} (estimated).", estimate.estimate_reason]


def _kinds(recipe: str) -> set[str]:
    try:
        return {step.recipe.kind for step in parse_recipe(recipe)}
    except InvalidRequest:
        return set()


def _kind(choice: Choice) -> str:
    """Where the page shows it: whatever stores the weights, studies too, comes last."""
    recipe = RECIPES[choice.name]
    return "storage" if recipe.storage is not None else recipe.kind


def _about(chosen: Model | None, parent: Parent) -> str:
    parts = [
        chosen.about if chosen else "",
        f"{parent.layers} layers" if parent.layers else "",
        f"{format_bytes(parent.weights_bytes)} of weights" if parent.weights_bytes else "",
    ]
    return " · ".join(part for part in parts if part)


def _step(choice: Choice, parent: Parent) -> dict[str, object]:
    recipe = RECIPES[choice.name]
    size = choice.bytes_estimate
    return {
        "name": choice.name,
        "stores": recipe.storage is not None,
        "study": recipe.kind == "study",
        "summary": choice.summary,
        "effect": choice.effect,
        "paper": choice.paper or "",
        "reason": choice.reason_not or "",
        "size": "" if size is None else f"≈ {format_bytes(size)}",
        "rests": choice.estimate_reason,
        "default": _default(recipe, parent),
        "knobs": _knobs(recipe, parent),
    }


def _default(recipe: Recipe, parent: Parent) -> str | None:
    """What follows the colon at first; None where nothing does."""
    if recipe.value is None:
        return None
    return f"{min(recipe.value.default, _largest(recipe, parent)):g}"


def _largest(recipe: Recipe, parent: Parent) -> float:
    assert recipe.value is not None
    if recipe.value.unit == "minutes":
        return _LONGEST_MINUTES
    if recipe.value.unit == "layers" and parent.layers:
        return max(1, parent.layers - 1)
    return recipe.value.largest


def _knobs(recipe: Recipe, parent: Parent) -> list[dict[str, object]]:
    knobs: list[dict[str, object]] = []
    if recipe.value is not None:
        label = "layers left" if recipe.name == "distil" else ""
        knobs.append(_slider("", recipe.value, _largest(recipe, parent), label))
    for option in recipe.options:
        if option.span is None:
            knobs.append({"name": option.name, "kind": "word", "label": _WORDS[option.name]})
        elif option.name == "minutes":
            knobs.append(_slider("minutes", option.span, _LONGEST_MINUTES, "training"))
        elif option.span.allowed:
            knobs.append(
                {
                    "name": option.name,
                    "kind": "select",
                    "label": _WORDS[option.name],
                    "choices": [
                        {"value": "" if each == option.span.default else str(each), "text": each}
                        for each in option.span.allowed
                    ],
                }
            )
        elif option.name == "width":
            knobs.append(
                {
                    "name": "width",
                    "kind": "number",
                    "label": "width",
                    "low": option.span.smallest,
                    "high": option.span.largest,
                    "unit": "numbers a token",
                    "empty": "as the parent",
                }
            )
    return knobs


_WORDS = {
    "fresh": "from fresh weights, not from the parent's layers",
    "group": "weights a scale",
}


def _slider(name: str, span: Span, largest: float, label: str) -> dict[str, object]:
    smallest = max(1.0, span.smallest)
    return {
        "name": name,
        "kind": "slider",
        "label": label or _LABELS.get(span.unit, span.unit),
        "low": smallest,
        "high": max(smallest, largest),
        "step": 1,
        "unit": _UNITS.get(span.unit, span.unit),
        "default": f"{min(span.default, largest):g}",
    }


_UNITS = {"per cent": "%", "minutes": "min"}
_LABELS = {"per cent": "share", "layers": "how many", "minutes": "training"}

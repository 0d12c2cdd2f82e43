"""Three models for a wish, with the facts that speak for them and what was ruled out, and why.

The order is a sum of criteria weighted by rules in data (assets/advisor.json), not a measured
quality: nobody has measured all these models in one way. Every reason names its kind of fact.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from slm_explorer.catalog.advice_rules import Deployment, FactKind, Rules, Weights
from slm_explorer.catalog.cards import Card
from slm_explorer.catalog.devices import Device
from slm_explorer.catalog.fit import FIT_CONTEXT_TOKENS, Fit, fit
from slm_explorer.catalog.footprint import NO_CORRECTION, Correction
from slm_explorer.catalog.licences import licence_terms
from slm_explorer.compression.recipes import why_not
from slm_explorer.units import format_bytes

CHOICES = 3
_PACKED = ("int8", "int4")
_COUNTED_LANGUAGES = re.compile(r"(\d+)\+? languages")
# A maker who names only a number of languages: English is among them, another one may be only
# among so many.
_MANY_LANGUAGES = 20


@dataclass(frozen=True)
class Wish:
    """What somebody needs. `language` is a code like "de". `context_tokens` None is 2,048, or the
    model's own context where that is shorter. `commercial`: the licence must permit it.
    """

    task: str = "chat"
    language: str = "en"
    commercial: bool = False
    deployment: str = "private"
    priority: str = "quality"
    context_tokens: int | None = None


@dataclass(frozen=True)
class Reason:
    """A sentence and what kind of fact it rests on."""

    text: str
    kind: FactKind


@dataclass(frozen=True)
class Choice:
    """A model and a recipe. `score` only orders the choices; `fit` is for the device."""

    card: Card
    recipe: str
    score: float
    fit: Fit
    reasons: tuple[Reason, ...]


@dataclass(frozen=True)
class RuledOut:
    """Cards that a rule excludes, and the rule in a sentence."""

    rule: str
    reason: str
    cards: tuple[str, ...]


@dataclass(frozen=True)
class Advice:
    """At most CHOICES choices, best first; `notes` say what the order rests on and what is not
    known. Every card is a choice, runner-up (`others`, how many) or ruled out.
    """

    choices: tuple[Choice, ...]
    ruled_out: tuple[RuledOut, ...]
    others: int
    notes: tuple[str, ...]


def advise(
    cards: Sequence[Card],
    wish: Wish,
    device: Device,
    rules: Rules,
    *,
    correction: Correction = NO_CORRECTION,
    measured: Mapping[tuple[str, str], float] | None = None,
) -> Advice:
    """The best choices for `wish` on `device`. `measured` is decode tokens/s measured on this
    machine by (card id, recipe); it is shown, and only where `device` is this machine.

    Raises InvalidRequest for a task, deployment or priority that the rules do not know.
    """
    here = device.kind == "here"
    known = measured or {}
    deployment = rules.deployment(wish.deployment)
    weights = rules.priority(wish.priority).weights
    out: dict[str, tuple[str, list[str]]] = {}
    found: list[Choice] = []
    for card in cards:
        refusal = _refusal(card, wish, rules, deployment)
        options: list[Choice] = []
        if refusal is None:
            options = _options(
                card, wish, device, rules, deployment, weights, correction if here else None, known
            )
            if not options:
                refusal = _no_room(card, wish, device, deployment)
        if refusal is not None:
            out.setdefault(refusal[0], (refusal[1], []))[1].append(card.id)
            continue
        found.append(max(options, key=lambda choice: choice.score))
    found.sort(key=lambda choice: (-choice.score, choice.card.id))
    return Advice(
        choices=tuple(found[:CHOICES]),
        ruled_out=tuple(RuledOut(rule, why, tuple(ids)) for rule, (why, ids) in out.items()),
        others=max(0, len(found) - CHOICES),
        notes=_notes(wish, device, rules, deployment),
    )


def _refusal(
    card: Card, wish: Wish, rules: Rules, deployment: Deployment
) -> tuple[str, str] | None:
    """The first rule that excludes the card whatever its size: its name, and a sentence."""
    task = rules.task(wish.task)
    if card.model_type is None and not card.shipped:
        return "method", "These are published methods: there are no weights."
    if not set(task.card_tasks) & set(card.tasks):
        return "task", f"Their cards do not name the task “{task.name}”."
    if task.instruct and not card.instruction_tuned and card.architecture_kind == "decoder":
        return "instruct", "They were not trained to follow instructions."
    if not card.shipped and not card.supported_by_transformers:
        return "engine", "transformers cannot build them without running the maker's code."
    if not card.shipped and "safetensors" not in card.weights_format:
        return "format", (
            "No safetensors file of them is known; this app opens no pickled weights, for those "
            "can run code."
        )
    use = licence_terms(card).commercial_use
    if wish.commercial and use == "no":
        return "licence", "Their licence does not permit commercial use."
    if wish.commercial and use == "unknown":
        return "licence unknown", "Whether their licence permits commercial use is not known."
    if card.gated != "no" and not deployment.gated:
        return "gated", f"The Hub asks for an account before their download. {deployment.sentence}"
    if _language(card, wish.language) is None:
        return "language", f"Their cards do not name the language {wish.language!r}."
    context = card.context_length
    if wish.context_tokens is not None and context is not None and wish.context_tokens > context:
        return "context", f"Their context is shorter than {wish.context_tokens:,} tokens."
    return None


def _language(card: Card, wanted: str) -> str | None:
    """How the card's languages cover the wanted one: "named", or the phrase that may cover it;
    None where they do not.
    """
    code = wanted.casefold()
    for language in card.languages:
        if code in re.findall(r"[a-z]+", language.casefold()):
            return "named"
    for language in card.languages:
        counted = _COUNTED_LANGUAGES.match(language)
        if counted and (code == "en" or int(counted[1]) >= _MANY_LANGUAGES):
            return language
    return None


def _recipes(card: Card, device: Device, rules: Rules, deployment: Deployment) -> tuple[str, ...]:
    offered = rules.gpu_recipes if device.processor == "gpu" else deployment.recipes
    config: dict[str, object] = {"model_type": card.model_type}
    return tuple(
        recipe
        for recipe in offered
        if why_not(recipe, config) is None
        and (recipe not in _PACKED or card.architecture_kind in rules.packed_kinds)
    ) or ("bf16",)


def _options(
    card: Card,
    wish: Wish,
    device: Device,
    rules: Rules,
    deployment: Deployment,
    weights: Weights,
    correction: Correction | None,
    measured: Mapping[tuple[str, str], float],
) -> list[Choice]:
    """The card under every recipe that fits."""
    options = []
    tokens = wish.context_tokens or min(FIT_CONTEXT_TOKENS, card.context_length or 10**9)
    for recipe in _recipes(card, device, rules, deployment):
        found = fit(
            card,
            device.usable_bytes,
            recipe=recipe,
            context_tokens=tokens,
            correction=correction or NO_CORRECTION,
        )
        if found.verdict not in ("fits", "tight") or found.footprint is None:
            continue
        most = deployment.max_weights_bytes
        if most is not None and found.footprint.weights > most:
            continue
        score = _score(card, recipe, found, rules, weights)
        speed = measured.get((card.id, recipe)) if correction is not None else None
        reasons = _reasons(card, recipe, found, wish, device, tokens, speed)
        options.append(Choice(card, recipe, score, found, reasons))
    return options


def _no_room(card: Card, wish: Wish, device: Device, deployment: Deployment) -> tuple[str, str]:
    found = fit(card, device.usable_bytes)
    if found.needed is None:
        return "unknown size", "Their size is not known, so whether they fit is not either."
    limit = format_bytes(device.usable_bytes)
    if deployment.max_weights_bytes is not None:
        most = format_bytes(deployment.max_weights_bytes)
        return "too big", (
            f"Under no recipe offered here do they fit {device.in_words} ({limit} usable) with at "
            f"most {most} of weights to download."
        )
    context = "" if wish.context_tokens is None else f" with {wish.context_tokens:,} tokens"
    return "too big", (
        f"Under no recipe offered here do they fit {device.in_words} ({limit} usable){context}."
    )


def _score(card: Card, recipe: str, found: Fit, rules: Rules, weights: Weights) -> float:
    assert found.footprint is not None
    assert found.needed is not None
    parameters = card.parameters_text or card.parameters or 1
    precision = {each.recipe: each.score for each in rules.precision}
    year = int(card.release[:4]) if card.release and card.release[:4].isdigit() else 2019
    total = (
        weights.size * _steps(parameters, 1e6, 1.6e10)
        + weights.precision * precision[recipe]
        + weights.recent * min(1.0, max(0.0, (year - 2019) / 7))
        + weights.memory * (1 - _steps(found.needed, 3.2e7, 3.2e10))
        + weights.speed * (1 - _steps(found.footprint.weights, 2e6, 3.2e10))
    )
    # One that may just not fit is never better than one that surely does by a hair.
    return total - (0.05 if found.verdict == "tight" else 0.0)


def _steps(value: float, low: float, high: float) -> float:
    """0 at `low`, 1 at `high`, the same step for every doubling."""
    return min(1.0, max(0.0, math.log(max(value, low) / low) / math.log(high / low)))


def _reasons(
    card: Card,
    recipe: str,
    found: Fit,
    wish: Wish,
    device: Device,
    tokens: int,
    speed: float | None,
) -> tuple[Reason, ...]:
    assert found.footprint is not None
    assert found.needed is not None
    share = found.needed / device.usable_bytes
    sure = "fits" if found.verdict == "fits" else "is tight"
    reasons = [
        Reason(
            f"It {sure}: about {format_bytes(found.needed)} as {recipe} with {tokens:,} tokens, "
            f"{share:.0%} of what {device.in_words} can give.",
            "computed",
        ),
        Reason(f"It has {(card.parameters or 0) / 1e6:,.0f} million parameters.", "card"),
    ]
    if card.release:
        reasons.append(Reason(f"It was released in {card.release}.", "card"))
    terms = licence_terms(card)
    reasons.append(
        Reason(f"Its licence is {card.license or 'not stated'}: {terms.conditions}", "card")
    )
    if terms.access:
        reasons.append(Reason(terms.access, "card"))
    covered = _language(card, wish.language)
    if covered != "named":
        reasons.append(
            Reason(
                f"Its makers state “{covered}”; that {wish.language!r} is among them is not "
                "checked.",
                "card",
            )
        )
    if recipe in _PACKED:
        reasons.append(
            Reason(
                f"What {recipe} costs in quality is not measured for it here: the Lab does that.",
                "assumption",
            )
        )
    if speed is not None:
        reasons.append(Reason(f"It wrote {speed:.1f} tokens/s on this machine.", "measured here"))
    reasons.extend(
        Reason(f"Published by its makers or a paper: {each.name} {each.value}.", "published")
        for each in card.benchmarks[:1]
    )
    return tuple(reasons)


def _notes(wish: Wish, device: Device, rules: Rules, deployment: Deployment) -> tuple[str, ...]:
    return (
        rules.priority(wish.priority).sentence,
        f"{deployment.sentence} ({deployment.source})",
        f"{device.name}: {format_bytes(device.usable_bytes)} of "
        f"{format_bytes(device.total_bytes)} usable. {device.reason} ({device.source})",
    )

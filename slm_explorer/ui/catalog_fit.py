"""The lights of the catalog: which models fit a chosen device, precision and context."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

from slm_explorer.catalog.cards import Card
from slm_explorer.catalog.fit import estimate_footprint
from slm_explorer.errors import InvalidRequest
from slm_explorer.services import Services
from slm_explorer.units import format_bytes

THIS_MACHINE = "here"
RECIPES = {"native": "as stored", "f32": "f32", "bf16": "bf16", "f16": "f16"}
CONTEXTS = (512, 2048, 8192, 32768, 131072)
FITS, TIGHT, TOO_BIG, UNKNOWN = range(4)


@dataclass(frozen=True)
class FitChoice:
    """What the lights are for: a device's id, a recipe, and a context in tokens."""

    device: str = THIS_MACHINE
    recipe: str = "native"
    context: int = 2048

    @classmethod
    def of(cls, device: object, recipe: object, context: object) -> FitChoice:
        """From what a browser sent; anything that is not offered becomes the default."""
        plain = cls()
        return cls(
            device=device if isinstance(device, str) else plain.device,
            recipe=recipe if isinstance(recipe, str) and recipe in RECIPES else plain.recipe,
            context=context if isinstance(context, int) and context in CONTEXTS else plain.context,
        )


def fit_view(services: Services, choice: FitChoice, here: Collection[str]) -> dict[str, object]:
    """The value of the `fit` view: the controls, the limit, and a compact row for every card:
    [verdict, low, expected, high, weights, KV cache, activations, base] in bytes, or
    [UNKNOWN, reason]. `here` is the ids of the models whose weights are on this machine.
    """
    limit = services.memory_limit
    return {
        "devices": [[THIS_MACHINE, "This machine"]],
        "recipes": list(RECIPES.items()),
        "contexts": list(CONTEXTS),
        "device": THIS_MACHINE,
        "recipe": choice.recipe,
        "context": choice.context,
        "limit": limit,
        "limit_text": format_bytes(limit),
        "fits": {card.id: _row(card, choice, limit) for card in services.catalog.cards},
        "here": sorted(here),
    }


def _row(card: Card, choice: FitChoice, limit: int) -> list[object]:
    try:
        found = estimate_footprint(card, recipe=choice.recipe, context_tokens=choice.context)
    except InvalidRequest:
        return [UNKNOWN, _reason(card)]
    verdict = FITS if found.high <= limit else TIGHT if found.total <= limit else TOO_BIG
    return [
        verdict, found.low, found.total, found.high,
        found.weights, found.kv_cache, found.activations, found.base,
    ]  # fmt: skip


def _reason(card: Card) -> str:
    if card.model_type is None and not card.shipped:
        return "a method, not a model: there are no weights"
    return "its parameter count is not known" if card.architecture else "its files are not here"


def device_limit(services: Services, device: str) -> tuple[int, str]:
    """The memory of a device in bytes, and its name in a sentence."""
    del device
    return services.memory_limit, "this machine"

"""The lights of the catalog: which models fit a chosen device, precision and context."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

from slm_explorer.catalog.devices import THIS_MACHINE, Device
from slm_explorer.catalog.fit import Fit
from slm_explorer.services import Services
from slm_explorer.units import format_bytes

RECIPES = {
    "native": "as stored", "f32": "f32", "bf16": "bf16", "f16": "f16", "int8": "int8",
    "int4": "int4",
}  # fmt: skip
CONTEXTS = (512, 2048, 8192, 32768, 131072)
# In the order of the page's VERDICTS.
_CODES = {"fits": 0, "tight": 1, "too big": 2, "n/a": 3}


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


def device_of(services: Services, choice: FitChoice) -> Device:
    """The chosen device; this machine where there is none of that id."""
    devices = services.devices
    return next((each for each in devices if each.id == choice.device), devices[0])


def fit_view(services: Services, choice: FitChoice, here: Collection[str]) -> dict[str, object]:
    """The value of the `fit` view: the controls, the limit, and a compact row for every card, see
    `_row`. `here` is the ids of the models whose weights are on this machine.
    """
    device = device_of(services, choice)
    found = services.fits(device.id, choice.recipe, choice.context)
    return {
        "devices": [[each.id, each.name] for each in services.devices],
        "recipes": list(RECIPES.items()),
        "contexts": list(CONTEXTS),
        "device": device.id,
        "recipe": choice.recipe,
        "context": choice.context,
        "limit": device.usable_bytes,
        "limit_text": format_bytes(device.usable_bytes),
        "limit_title": f"{device.reason} ({device.source})",
        "fits": {card_id: _row(fit) for card_id, fit in found.items()},
        "here": sorted(here),
    }


def _row(fit: Fit) -> list[object]:
    """[verdict, low, expected, high, weights, KV cache, activations, base] in bytes; or
    [verdict, reason] where nothing is known.
    """
    code, found = _CODES[fit.verdict], fit.footprint
    if found is None:
        return [code, fit.reason.removeprefix("n/a: ")]
    return [
        code, found.low, found.total, found.high,
        found.weights, found.kv_cache, found.activations, found.base,
    ]  # fmt: skip

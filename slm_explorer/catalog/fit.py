"""Does a model fit a device? A verdict for each card, device, precision and context."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

from slm_explorer.catalog.cards import Card
from slm_explorer.catalog.devices import Device
from slm_explorer.catalog.footprint import (
    BASE_BYTES,
    NO_CORRECTION,
    RECIPES,
    Correction,
    Footprint,
    estimate_footprint,
)
from slm_explorer.catalog.numbers import numbers_of

__all__ = [
    "BASE_BYTES",
    "FIT_CONTEXT_TOKENS",
    "RECIPES",
    "Correction",
    "Fit",
    "Footprint",
    "Verdict",
    "card_row",
    "estimate_footprint",
    "fit",
    "fit_all",
]

Verdict = Literal["fits", "tight", "too big", "n/a"]
FIT_CONTEXT_TOKENS = 2048


@dataclass(frozen=True)
class Fit:
    """Whether a model fits `limit` bytes. `needed` and `footprint` are None where the memory
    cannot be estimated; `reason` then says why.
    """

    verdict: Verdict
    needed: int | None
    limit: int
    reason: str
    footprint: Footprint | None = None


def fit(
    card: Card,
    limit_bytes: int,
    *,
    recipe: str = "native",
    context_tokens: int = FIT_CONTEXT_TOKENS,
    correction: Correction = NO_CORRECTION,
) -> Fit:
    """Does the card's model fit `limit_bytes` with a conversation of `context_tokens`?

    "tight" means that the estimate fits and its upper end does not. Raises InvalidRequest as
    estimate_footprint does, but not for a card whose size is unknown: that is "n/a".
    """
    if numbers_of(card) is None:
        return Fit("n/a", None, limit_bytes, _unknown(card))
    footprint = estimate_footprint(
        card, recipe=recipe, context_tokens=context_tokens, correction=correction
    )
    verdict: Verdict = (
        "fits"
        if footprint.high <= limit_bytes
        else "tight"
        if footprint.total <= limit_bytes
        else "too big"
    )
    reason = (
        f"estimated {_size(footprint.total)} (weights {_size(footprint.weights)}, KV cache "
        f"{_size(footprint.kv_cache)}, activations {_size(footprint.activations)}, process "
        f"{_size(footprint.base)}) of a limit of {_size(limit_bytes)}"
    )
    return Fit(verdict, footprint.total, limit_bytes, reason, footprint)


def fit_all(
    cards: Iterable[Card],
    device: Device,
    recipe: str = "native",
    context_tokens: int = FIT_CONTEXT_TOKENS,
    correction: Correction = NO_CORRECTION,
) -> dict[str, Fit]:
    """The verdict of every card on `device`, by id. `correction` is this machine's own, and is
    applied to no other device.
    """
    here = correction if device.kind == "here" else NO_CORRECTION
    return {
        card.id: fit(
            card,
            device.usable_bytes,
            recipe=recipe,
            context_tokens=context_tokens,
            correction=here,
        )
        for card in cards
    }


def _unknown(card: Card) -> str:
    if card.architecture is not None:
        return "n/a: its parameter count is not known"
    if card.model_type is None:
        return "n/a: there is no checkpoint, only a method"
    return "n/a: its weights are not on this machine"


def card_row(
    card: Card, limit_bytes: int, correction: Correction = NO_CORRECTION
) -> dict[str, object]:
    """The row of `models --json`: plain values, None for unknown. Bytes and tokens."""
    found = fit(card, limit_bytes, correction=correction)
    return {
        "id": card.id,
        "name": card.name,
        "hub_id": card.hub_id,
        "architecture_kind": card.architecture_kind,
        "model_type": card.model_type,
        "parameters": card.parameters,
        "license": card.license,
        "context_length": card.context_length,
        "attention": card.attention,
        "shipped": card.shipped,
        "fit": found.verdict,
        "needed_bytes": found.needed,
        "fit_reason": found.reason,
        "family": card.family,
        "organisation": card.organisation,
        "release": card.release,
        "commercial_use": card.commercial_use,
        "gated": card.gated,
    }


def _size(count: int | None) -> str:
    if count is None:
        return "n/a"
    return f"{count / 1e9:.2f} GB" if count >= 10**9 else f"{count / 1e6:.1f} MB"

"""The value of the Advisor's view: what may be wished for, and the advice with its reasons."""

from __future__ import annotations

from slm_explorer.catalog.advice_rules import Rules
from slm_explorer.catalog.advisor import Advice, Wish
from slm_explorer.catalog.catalog import Catalog
from slm_explorer.catalog.devices import Device
from slm_explorer.units import format_bytes

# A language's code and its name; the advisor takes any code that cards may name.
LANGUAGES = {
    "en": "English", "zh": "Chinese", "fr": "French", "de": "German", "es": "Spanish",
    "it": "Italian", "pt": "Portuguese", "ja": "Japanese", "ko": "Korean", "ru": "Russian",
    "ar": "Arabic", "hi": "Hindi", "nl": "Dutch", "pl": "Polish", "tr": "Turkish",
    "vi": "Vietnamese",
}  # fmt: skip
# The order in which the page asks, and what it asks.
_QUESTIONS = {
    "device": "It runs on",
    "task": "for",
    "language": "in",
    "commercial": "used",
    "deployment": "deployed",
    "priority": "What counts most",
}


def wish_fields(
    devices: tuple[Device, ...], rules: Rules, wish: Wish, device: str
) -> list[dict[str, object]]:
    """One select a question: its name, label, options as [value, text], and the chosen value."""
    options: dict[str, list[list[str]]] = {
        "device": [[each.id, each.name] for each in devices],
        "task": [[each.id, each.name] for each in rules.tasks],
        "language": [[code, name] for code, name in LANGUAGES.items()],
        "commercial": [["no", "under any licence"], ["yes", "commercially"]],
        "deployment": [[each.id, each.name] for each in rules.deployments],
        "priority": [[each.id, each.name] for each in rules.priorities],
    }
    chosen = {
        "device": device,
        "task": wish.task,
        "language": wish.language,
        "commercial": "yes" if wish.commercial else "no",
        "deployment": wish.deployment,
        "priority": wish.priority,
    }
    return [
        {"name": name, "label": label, "options": options[name], "value": chosen[name]}
        for name, label in _QUESTIONS.items()
    ]


def advice_view(
    fields: list[dict[str, object]], catalog: Catalog, advice: Advice | None, error: str = ""
) -> dict[str, object]:
    """`error` says in one sentence why there is no advice."""
    found = advice or Advice((), (), 0, ())
    return {
        "fields": fields,
        "error": error,
        "choices": [
            {
                "id": each.card.id,
                "name": each.card.name,
                "recipe": each.recipe,
                "verdict": each.fit.verdict,
                "figures": [
                    f"{each.card.parameters:,} parameters"
                    if each.card.parameters
                    else "parameters n/a",
                    f"{format_bytes(each.fit.needed)} of memory estimated"
                    if each.fit.needed is not None
                    else "memory n/a",
                    f"{format_bytes(each.fit.footprint.weights)} of weights"
                    if each.fit.footprint is not None
                    else "weights n/a",
                ],
                "reasons": [[reason.text, reason.kind] for reason in each.reasons],
            }
            for each in found.choices
        ],
        "ruled_out": [
            {
                "rule": each.rule,
                "reason": each.reason,
                "models": [catalog.get(card_id).name for card_id in each.cards],
            }
            for each in found.ruled_out
        ],
        "others": found.others,
        "notes": list(found.notes),
    }

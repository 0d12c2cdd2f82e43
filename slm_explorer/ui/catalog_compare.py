"""Compare: up to six models in one table, what differs marked."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import gradio as gr

from slm_explorer.catalog.cards import Architecture, Card
from slm_explorer.catalog.kv import kv_cache
from slm_explorer.catalog.licences import licence_terms
from slm_explorer.errors import UnknownModel
from slm_explorer.services import Services
from slm_explorer.ui.catalog_rows import COMMERCIAL_USE, count_text
from slm_explorer.ui.components import LATEST, sent, view
from slm_explorer.units import format_bytes

MOST = 6
_KV_TOKENS = 2048

# (label, the card's field that the source is recorded under, the value in words).
_Row = tuple[str, str | None, Callable[[Card], str | None]]


def _number(of: Callable[[Architecture], int | None]) -> Callable[[Card], str | None]:
    def words(card: Card) -> str | None:
        value = of(card.architecture) if card.architecture else None
        return None if value is None else f"{value:,}"

    return words


def _text(of: Callable[[Architecture], str]) -> Callable[[Card], str | None]:
    return lambda card: of(card.architecture) if card.architecture else None


def _kv_words(card: Card) -> str | None:
    found = kv_cache(card, _KV_TOKENS)
    if found is None:
        return None
    return ("" if found.exact else "at most ") + format_bytes(found.size)


def _heads(a: Architecture) -> str:
    return f"{a.num_attention_heads} / {a.num_key_value_heads} × {a.head_dim}"


def _mlp(a: Architecture) -> str:
    return f"{a.intermediate_size:,}{', gated' if a.gated_mlp else ''}"


_GROUPS: tuple[tuple[str, tuple[_Row, ...]], ...] = (
    (
        "What it is",
        (
            ("Kind", "architecture_kind", lambda c: c.architecture_kind),
            ("Family", "family", lambda c: c.family),
            ("Maker", "organisation", lambda c: c.organisation),
            ("Released", "release", lambda c: c.release),
            ("Licence", "license", lambda c: c.license),
            ("Commercial use", "license", lambda c: _use(c)),
            ("Tasks", "tasks", lambda c: ", ".join(c.tasks) or None),
            ("Languages", "languages", lambda c: ", ".join(c.languages) or None),
            ("Instruction-tuned", "instruction_tuned", lambda c: _yes(c.instruction_tuned)),
        ),
    ),
    (
        "How large",
        (
            ("Parameters", "parameters", lambda c: f"{c.parameters:,}" if c.parameters else None),
            ("In embeddings", "parameters_embedding", lambda c: _share(c)),
            ("Stored as", "native_dtype", lambda c: c.native_dtype),
            (f"KV cache at {_KV_TOKENS:,} tokens, f16", "architecture", _kv_words),
            ("Context, tokens", "architecture", _number(lambda a: a.context_length)),
            ("Vocabulary", "architecture", _number(lambda a: a.vocab_size)),
        ),
    ),
    (
        "How built",
        (
            ("Layers", "architecture", _number(lambda a: a.num_layers)),
            ("Decoder layers", "architecture", _number(lambda a: a.num_decoder_layers)),
            ("Width", "architecture", _number(lambda a: a.hidden_size)),
            ("Heads / KV heads × size", "architecture", _text(_heads)),
            ("Attention", "attention", lambda c: c.attention),
            ("MLP width", "architecture", _text(_mlp)),
            ("Activation", "architecture", _text(lambda a: a.activation)),
            ("Norm", "architecture", _text(lambda a: f"{a.norm}, {a.norm_placement}")),
            ("Positions", "architecture", _text(lambda a: a.positional)),
            ("Tied embedding", "architecture", _text(lambda a: _yes(a.tied_embeddings))),
        ),
    ),
    (
        "How made",
        (
            ("Training tokens", "training_tokens", lambda c: c.training_tokens),
            ("Training data", "training_data", lambda c: c.training_data),
            ("Derived from", "derivation", lambda c: c.derivation),
            ("Made small by", "compression_technique", lambda c: c.compression_technique),
            ("transformers class", "transformers_class", lambda c: c.transformers_class),
        ),
    ),
)


def _yes(value: bool) -> str:
    return "yes" if value else "no"


def _use(card: Card) -> str:
    return COMMERCIAL_USE[licence_terms(card).commercial_use]


def _share(card: Card) -> str | None:
    if not card.parameters or card.parameters_embedding is None:
        return None
    share = card.parameters_embedding / card.parameters
    return f"{count_text(card.parameters_embedding)}, {share:.0%}"


def compare_view(cards: Sequence[Card]) -> dict[str, object]:
    """A row a property that any of the models has; `differs` where their values are not one."""
    groups = []
    for title, properties in _GROUPS:
        rows = []
        for label, field, words in properties:
            texts = [words(card) for card in cards]
            if any(text is not None for text in texts):
                rows.append(
                    {
                        "label": label,
                        "differs": len(set(texts)) > 1,
                        "cells": [
                            _cell(card, field, text)
                            for card, text in zip(cards, texts, strict=True)
                        ],
                    }
                )
        groups.append({"title": title, "rows": rows})
    return {
        "models": [{"id": card.id, "name": card.name} for card in cards],
        "groups": groups if cards else [],
    }


def _cell(card: Card, field: str | None, text: str | None) -> dict[str, object]:
    source = card.source(field) if field and text is not None else None
    return {
        "text": "n/a" if text is None else text,
        "source": source.text if source else "",
        "verified": source.verified if source else True,
    }


class Compare:
    """The table of the chosen models. `picks` is a state with their ids, in order of choosing."""

    def __init__(self, services: Services) -> None:
        self._services = services
        self.picks = gr.State(())
        self.table = view(
            "compare", compare_view(()), latest=("pick", "choose"), elem_id="slm-compare"
        )
        self.picked_by(self.table.pick)

    def picked_by(self, event: Any) -> None:
        """Compare the models whose ids are sent with the event."""
        event(self._pick, None, [self.table, self.picks], **LATEST)

    def _pick(self, event: gr.EventData) -> tuple[dict[str, object], tuple[str, ...]]:
        ids = sent(event, "ids")
        cards = chosen_cards(self._services, ids if isinstance(ids, list) else ())
        return compare_view(cards), tuple(card.id for card in cards)


def chosen_cards(services: Services, ids: Sequence[object]) -> list[Card]:
    """The cards of the first MOST known ids, each once."""
    found: dict[str, Card] = {}
    for each in ids[: 2 * MOST]:
        try:
            card = services.catalog.get(str(each))
        except UnknownModel:
            continue
        found[card.id] = card
    return list(found.values())[:MOST]

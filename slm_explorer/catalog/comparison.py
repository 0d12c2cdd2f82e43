"""Small language models beside large ones: sizes computed here, published scores kept apart."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from slm_explorer.catalog.attention import attention_traits
from slm_explorer.catalog.cards import Card, is_verified
from slm_explorer.catalog.catalog import Catalog
from slm_explorer.catalog.kv import kv_cache
from slm_explorer.catalog.reading import read_object
from slm_explorer.catalog.schema import build

# Bits of a weight; the scales that quantized groups add are not counted.
PRECISION_BITS = {"float32": 32, "bfloat16": 16, "int8": 8, "int4": 4}
CONTEXT_TOKENS = 2048
_KV_BYTES = 2


@dataclass(frozen=True)
class LargeModel:
    """A model too large for this catalog. `nominal`: the size is the one in its name."""

    id: str
    name: str
    parameters: int
    nominal: bool
    num_layers: int
    num_attention_heads: int
    num_key_value_heads: int
    head_dim: int
    source: str


@dataclass(frozen=True)
class Value:
    name: str
    value: float


@dataclass(frozen=True)
class Score:
    """Published figures of one model; `card` is its id where the catalog has it."""

    model: str
    values: tuple[Value, ...]
    card: str | None = None


@dataclass(frozen=True)
class Harness:
    """Scores that were measured in one way and compare. Those of two harnesses never do."""

    id: str
    name: str
    source: str
    unit: str
    scores: tuple[Score, ...]


@dataclass(frozen=True)
class Quality:
    """What numbers do not say, in a sentence for either side."""

    aspect: str
    small: str
    large: str
    source: str


@dataclass(frozen=True)
class Comparison:
    """`small` are ids of cards, in order of size."""

    small: tuple[str, ...]
    large: tuple[LargeModel, ...]
    harnesses: tuple[Harness, ...]
    qualities: tuple[Quality, ...]


@dataclass(frozen=True)
class ComparisonRow:
    """One model's sizes in bytes. `weights` by precision; `kv_cache` of CONTEXT_TOKENS tokens in
    16 bits, None for encoders. `nominal` sizes are from a name, not from a count."""

    id: str
    name: str
    large: bool
    parameters: int
    nominal: bool
    weights: dict[str, int]
    kv_cache: int | None
    kv_exact: bool
    attention: str
    source: str

    @property
    def verified(self) -> bool:
        return is_verified(self.source)


def load_comparison(assets: Path) -> Comparison:
    """`assets`/comparison.json. Raises BadCatalog, naming the place."""
    path = assets / "comparison.json"
    values = read_object(path)
    return build(
        Comparison, {key: each for key, each in values.items() if key != "schema"}, str(path)
    )


def comparison_rows(comparison: Comparison, catalog: Catalog) -> tuple[ComparisonRow, ...]:
    """Small and large models by number of parameters, computed from their numbers."""
    rows = [_small(catalog.get(card_id)) for card_id in comparison.small]
    rows += [_large(model) for model in comparison.large]
    return tuple(sorted(rows, key=lambda row: row.parameters))


def weights_by_precision(parameters: int) -> dict[str, int]:
    """Bytes of that many weights in each precision of PRECISION_BITS."""
    return {name: parameters * bits // 8 for name, bits in PRECISION_BITS.items()}


def _small(card: Card) -> ComparisonRow:
    cache = kv_cache(card, CONTEXT_TOKENS)
    source = card.source("parameters")
    # Of a model that also sees, the decoder alone is compared.
    parameters = card.parameters_text or card.parameters or 0
    return ComparisonRow(
        id=card.id,
        name=card.name,
        large=False,
        parameters=parameters,
        nominal=False,
        weights=weights_by_precision(parameters),
        kv_cache=None if cache is None else cache.size,
        kv_exact=cache is not None and cache.exact,
        attention=_joined(attention_traits(card.architecture)),
        source=source.text if source else "",
    )


def _large(model: LargeModel) -> ComparisonRow:
    heads, groups = model.num_attention_heads, model.num_key_value_heads
    kind = "MHA" if heads == groups else "MQA" if groups == 1 else "GQA"
    cached = 2 * model.num_layers * groups * model.head_dim * _KV_BYTES * CONTEXT_TOKENS
    return ComparisonRow(
        id=model.id,
        name=model.name,
        large=True,
        parameters=model.parameters,
        nominal=model.nominal,
        weights=weights_by_precision(model.parameters),
        kv_cache=cached,
        kv_exact=True,
        attention=kind,
        source=model.source,
    )


def _joined(traits: Iterable[str]) -> str:
    return ", ".join(traits)

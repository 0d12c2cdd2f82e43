"""Parameters by component, compared with the modules of the models that transformers builds."""

from __future__ import annotations

import re
from collections import Counter

import pytest

from slm_explorer.catalog.catalog import Catalog
from slm_explorer.catalog.components import components
from tests.catalog.shapes import COUNTED, built

# The first pattern that a parameter's name contains says what it is.
CLASSES = (
    ("vision", r"visual"),
    ("other", r"pooler|bottleneck\.(input|attention)\.dense|output\.bottleneck\.dense|\.conv\."),
    (
        "norm",
        r"layernorm|layer_norm|LayerNorm|_norm\.|\.norm\.|^norm\.|ln_|norm_[12f]|embedding_norm",
    ),
    ("head", r"^lm_head|^cls\."),
    ("attention", r"attn|[Aa]ttention\.|\.attention|EncDecAttention"),
    (
        "embedding",
        r"embed|wte|wpe|^shared|tok_embeddings|embedding_hidden_mapping_in",
    ),
    ("mlp", r"mlp|ffn|fc[12]\.|feed_forward|DenseReluDense|intermediate|output\.dense"),
)


def part_of(name: str) -> str:
    return next(part for part, pattern in CLASSES if re.search(pattern, name))


@pytest.mark.parametrize("card_id", COUNTED)
def test_the_parts_are_those_of_the_built_modules(catalog: Catalog, card_id: str) -> None:
    card = catalog.get(card_id)
    found = components(card)
    assert found is not None
    assert found.total == card.parameters
    counted: Counter[str] = Counter()
    model = built(card_id, body=card.architecture_kind == "encoder")
    for name, parameter in model.named_parameters():
        counted[part_of(name)] += parameter.numel()
    expected = dict(found.parts)
    if card.parameters_text is not None:
        expected["other"] -= (card.parameters or 0) - card.parameters_text
    assert {part: count for part, count in expected.items() if count} == dict(counted)
    assert (found.other_note is None) == (found.other == 0)


def test_the_embedding_table_is_what_the_card_says(catalog: Catalog) -> None:
    """The cards' own figure counts the token table alone."""
    for card in catalog.cards:
        found = components(card)
        if found is not None and card.parameters_embedding is not None:
            assert found.embedding >= card.parameters_embedding, card.id


def test_what_is_not_known_has_no_parts(catalog: Catalog) -> None:
    for card_id in ("linformer", "performer", "gemma-4-e2b-it"):
        assert components(catalog.get(card_id)) is None

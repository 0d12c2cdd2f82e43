"""Every decoder of the catalog, built in its real shape on torch's meta device."""

from __future__ import annotations

import json

import pytest
import torch
from transformers import AutoConfig, AutoModelForCausalLM

from slm_explorer.assets import asset_folder
from slm_explorer.catalog.catalog import Catalog
from slm_explorer.catalog.hfconfig import shape_config
from slm_explorer.errors import InvalidRequest

CATALOG = Catalog.load(asset_folder())
# Its config's sharing of KV heads and its MLP widths are not among the known facts.
UNKNOWN_SHAPES = {"gemma-4-e2b-it"}
DECODERS = [
    card.id
    for card in CATALOG.cards
    if card.architecture_kind == "decoder"
    and card.id not in UNKNOWN_SHAPES
    and not (card.shipped and card.architecture is None)
]


@pytest.mark.parametrize("card_id", DECODERS)
def test_the_shape_has_exactly_the_cards_parameters(card_id: str) -> None:
    card = CATALOG.get(card_id)
    config = json.loads(json.dumps(shape_config(card)))
    built = AutoConfig.for_model(config.pop("model_type"), **config)
    with torch.device("meta"):
        model = AutoModelForCausalLM.from_config(built)
    parameters = list(model.parameters())
    # Of a model that also sees, the causal language model is the decoder alone.
    assert sum(p.numel() for p in parameters) == (card.parameters_text or card.parameters)
    assert str(parameters[0].dtype) == f"torch.{card.native_dtype}"
    assert type(model).__name__ in built.architectures


@pytest.mark.parametrize("card_id", ["distilbert-base-uncased", "t5-small", "linformer"])
def test_what_is_no_decoder_has_no_shape(card_id: str) -> None:
    with pytest.raises(InvalidRequest, match="is no decoder"):
        shape_config(CATALOG.get(card_id))


@pytest.mark.parametrize("card_id", sorted(UNKNOWN_SHAPES))
def test_unknown_numbers_are_not_made_up(card_id: str) -> None:
    with pytest.raises(InvalidRequest, match="do not determine its shape"):
        shape_config(CATALOG.get(card_id))

"""Every model of the catalog, built in its real shape on torch's meta device from its card."""

from __future__ import annotations

import json

import pytest
import torch
import transformers
from transformers import AutoConfig

from slm_explorer.catalog.hfconfig import model_config, shape_config
from slm_explorer.errors import InvalidRequest
from tests.catalog.shapes import CATALOG, COUNTED, NOT_COUNTED, built

DECODERS = [card_id for card_id in COUNTED if CATALOG.get(card_id).architecture_kind == "decoder"]
# Models without a head apart: the card counts no more than the body.
HEADED = [card_id for card_id in COUNTED if CATALOG.get(card_id).parameters_with_head is not None]


def count(model: torch.nn.Module) -> int:
    return sum(parameter.numel() for parameter in model.parameters())


def test_all_but_three_of_the_catalog_are_counted() -> None:
    models = [card.id for card in CATALOG.cards if not card.shipped]
    assert len(models) == 62
    assert set(models) - set(COUNTED) == set(NOT_COUNTED)
    for card_id in NOT_COUNTED:
        card = CATALOG.get(card_id)
        assert card.parameters is None
        assert card.notes


@pytest.mark.parametrize("card_id", COUNTED)
def test_the_shape_has_exactly_the_cards_parameters(card_id: str) -> None:
    card = CATALOG.get(card_id)
    model = built(card_id, body=card.architecture_kind == "encoder")
    # Of a model that also sees, the causal language model is the decoder alone.
    assert count(model) == (card.parameters_text or card.parameters)


@pytest.mark.parametrize("card_id", HEADED)
def test_the_named_class_has_the_parameters_with_head(card_id: str) -> None:
    card = CATALOG.get(card_id)
    if card.transformers_class == "BertModel":
        config = json.loads(json.dumps(model_config(card)))
        values = AutoConfig.for_model(config.pop("model_type"), **config)
        with torch.device("meta"):
            # TinyBERT's checkpoint keeps both heads of BERT's pre-training.
            model: torch.nn.Module = transformers.BertForPreTraining(values)
    else:
        model = built(card_id, body=False)
    assert count(model) == card.parameters_with_head


@pytest.mark.parametrize("card_id", DECODERS)
def test_a_shape_to_measure_names_its_class_and_dtype(card_id: str) -> None:
    card = CATALOG.get(card_id)
    config = shape_config(card)
    assert config["dtype"] == card.native_dtype
    assert config["architectures"] == [
        "Qwen3_5ForCausalLM" if card_id == "qwen3-5-0-8b" else card.transformers_class
    ]


@pytest.mark.parametrize("card_id", ["distilbert-base-uncased", "t5-small", "linformer"])
def test_what_is_no_decoder_has_no_shape_to_measure(card_id: str) -> None:
    with pytest.raises(InvalidRequest, match="is no decoder"):
        shape_config(CATALOG.get(card_id))


@pytest.mark.parametrize("card_id", sorted(NOT_COUNTED))
def test_unknown_numbers_are_not_made_up(card_id: str) -> None:
    with pytest.raises(InvalidRequest, match="do not determine its shape"):
        model_config(CATALOG.get(card_id))

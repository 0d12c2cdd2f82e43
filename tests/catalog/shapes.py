"""The catalog's models built in their real shapes on torch's meta device, without memory."""

from __future__ import annotations

import json

import torch
import transformers
from transformers import AutoConfig, AutoModel

from slm_explorer.assets import asset_folder
from slm_explorer.catalog.catalog import Catalog
from slm_explorer.catalog.hfconfig import model_config

CATALOG = Catalog.load(asset_folder())
# The three cards whose parameters cannot be counted, and why.
NOT_COUNTED = {
    "gemma-4-e2b-it": "its sharing of KV heads and its MLP widths are not among the known facts",
    "linformer": "a published method, not a model",
    "performer": "a published method, not a model",
}
COUNTED = [
    card.id
    for card in CATALOG.cards
    if card.id not in NOT_COUNTED and not (card.shipped and card.architecture is None)
]


def built(card_id: str, *, body: bool) -> torch.nn.Module:
    """The card's class, or its body without a task head, without memory for its weights."""
    card = CATALOG.get(card_id)
    config = json.loads(json.dumps(model_config(card)))
    values = AutoConfig.for_model(config.pop("model_type"), **config)
    name = config["architectures"][0]
    if card_id == "qwen3-5-0-8b":
        name = "Qwen3_5ForCausalLM"  # the decoder alone of a model that also sees
    with torch.device("meta"):
        model = AutoModel.from_config(values) if body else getattr(transformers, name)(values)
    if card_id == "flan-t5-small":
        # transformers 5 ties T5's head to its embeddings; this checkpoint stores it apart.
        model.lm_head.weight = torch.nn.Parameter(model.lm_head.weight.detach().clone())
    assert isinstance(model, torch.nn.Module)
    return model

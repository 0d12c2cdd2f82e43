from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from transformers import AutoConfig, AutoModelForCausalLM

from slm_explorer.catalog.catalog import Catalog
from slm_explorer.catalog.checkpoint import inspect_checkpoint
from slm_explorer.catalog.fit import BASE_BYTES, card_row, estimate_footprint, fit
from slm_explorer.catalog.footprint import (
    TRACE_BYTES,
    TRACE_LAYER_BYTES,
    TRACE_OWN_LAYER_BYTES,
    WIDE_BASE_BYTES,
)
from slm_explorer.errors import InvalidRequest
from tests.catalog.folders import LLAMA, TENSORS, write_checkpoint


def test_weights_follow_the_recipe(catalog: Catalog) -> None:
    card = catalog.get("smollm2-135m-instruct")
    sizes = {
        recipe: estimate_footprint(card, recipe=recipe, context_tokens=100).weights
        for recipe in ("native", "bf16", "f16", "f32")
    }
    assert sizes == {
        "native": 269_030_016,
        "bf16": 269_030_016,
        "f16": 269_030_016,
        "f32": 538_060_032,
    }


def test_the_kv_cache_is_what_transformers_really_keeps(tmp_path: Path) -> None:
    values = dict(LLAMA)
    config = AutoConfig.for_model(values.pop("model_type"), **values)
    model = AutoModelForCausalLM.from_config(config, dtype=torch.bfloat16)
    model.save_pretrained(tmp_path)
    cache = model(torch.ones(1, 100, dtype=torch.long)).past_key_values
    kept = sum(layer.keys.nbytes + layer.values.nbytes for layer in cache.layers)
    found = estimate_footprint(inspect_checkpoint(tmp_path), recipe="native", context_tokens=100)
    assert found.kv_cache == kept
    assert found.weights == sum(p.nbytes for p in model.parameters())


def test_parts_add_up_and_no_context_is_longer_than_the_models(tmp_path: Path) -> None:
    facts = inspect_checkpoint(write_checkpoint(tmp_path))
    found = estimate_footprint(facts, recipe="f32", context_tokens=512)
    assert found.kv_cache is not None
    assert found.activations is not None
    assert facts.num_layers is not None
    base = BASE_BYTES + TRACE_BYTES + facts.num_layers * TRACE_LAYER_BYTES
    assert found.base == base
    assert found.total == found.weights + found.kv_cache + found.activations + base
    assert found.low < found.total < found.high
    assert estimate_footprint(facts, recipe="f32", context_tokens=10**9) == found


@pytest.mark.parametrize(
    ("card", "layers", "layer_bytes"),
    [
        ("opt-125m", 12, TRACE_OWN_LAYER_BYTES),
        ("smollm2-135m-instruct", 30, TRACE_LAYER_BYTES),
    ],
)
def test_the_program_of_a_step_is_larger_through_transformers_own_pass(
    catalog: Catalog, card: str, layers: int, layer_bytes: int
) -> None:
    found = estimate_footprint(catalog.get(card))
    assert found.base == BASE_BYTES + WIDE_BASE_BYTES + TRACE_BYTES + layers * layer_bytes


def test_what_a_config_does_not_tell_is_unknown_not_zero(tmp_path: Path) -> None:
    folder = write_checkpoint(tmp_path, {"model_type": "brand_new"})
    found = estimate_footprint(inspect_checkpoint(folder), recipe="native", context_tokens=100)
    assert (found.kv_cache, found.activations) == (None, None)
    assert found.total == found.weights + found.base


def test_a_card_without_a_size_has_no_estimate(catalog: Catalog) -> None:
    card = catalog.get("gemma-4-e2b-it")
    with pytest.raises(InvalidRequest, match="not known"):
        estimate_footprint(card, recipe="native", context_tokens=100)
    found = fit(card, 10**12)
    assert (found.verdict, found.needed) == ("n/a", None)
    assert "parameter count is not known" in found.reason
    assert "only a method" in fit(catalog.get("linformer"), 10**12).reason


def test_an_unknown_recipe(catalog: Catalog) -> None:
    with pytest.raises(InvalidRequest, match="'int3'"):
        estimate_footprint(catalog.get("phi-2"), recipe="int3", context_tokens=100)


def test_verdicts_change_at_the_estimate(catalog: Catalog) -> None:
    card = catalog.get("qwen3-0-6b")
    found = estimate_footprint(card, recipe="native", context_tokens=2048)
    assert fit(card, found.high).verdict == "fits"
    assert fit(card, found.high - 1).verdict == "tight"
    assert fit(card, found.total).verdict == "tight"
    assert fit(card, found.total - 1).verdict == "too big"
    assert "of a limit of" in fit(card, found.total).reason


def test_a_shipped_models_fit_is_known_from_its_files(tmp_path: Path) -> None:
    write_checkpoint(tmp_path / "sprouts" / "a", LLAMA, TENSORS)
    card = {
        "id": "a",
        "name": "A",
        "family": "F",
        "organisation": "O",
        "architecture_kind": "decoder",
        "model_type": "llama",
        "shipped": True,
    }
    (tmp_path / "catalog.json").write_text(
        json.dumps({"schema": 1, "sources": [], "cards": [card]})
    )
    found = fit(Catalog.load(tmp_path).get("a"), 10**9)
    assert found.verdict == "fits"
    assert found.needed is not None
    assert found.needed > BASE_BYTES


def test_the_row_of_every_card_is_plain_json(catalog: Catalog) -> None:
    keys = "id name hub_id architecture_kind model_type parameters license context_length attention"
    for card in catalog.cards:
        row = card_row(card, 2 * 10**9)
        assert [*row][:11] == [*keys.split(), "shipped", "fit"]
        assert json.loads(json.dumps(row)) == row
        assert row["fit"] in ("fits", "tight", "too big", "n/a")

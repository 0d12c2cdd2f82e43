from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from slm_explorer.assets import asset_folder
from slm_explorer.catalog.catalog import Catalog
from slm_explorer.catalog.checkpoint import inspect_checkpoint
from slm_explorer.errors import BadCatalog, UnknownModel
from tests.catalog.folders import LLAMA, TENSORS, write_checkpoint

SPROUTS = ["sprout-5m", "sprout-1m", "sprout-300k", "sprout-300k-distilled"]
ENCODERS = [
    "sprout-encoder",
    "sprout-encoder-sentiment",
    "sprout-encoder-similarity",
    "sprout-encoder-distilled",
    "sprout-encoder-distilled-sentiment",
]
SHIPPED = [*SPROUTS, *ENCODERS, "sprout-t5"]


def minimal_card(**more: object) -> dict[str, object]:
    return {
        "id": "a",
        "name": "A",
        "family": "F",
        "organisation": "O",
        "architecture_kind": "decoder",
        **more,
    }


def load(folder: Path, *cards: dict[str, object], sources: tuple[str, ...] = ()) -> Catalog:
    catalog = {"schema": 1, "sources": list(sources), "cards": list(cards)}
    (folder / "catalog.json").write_text(json.dumps(catalog))
    return Catalog.load(folder)


def test_the_shipped_catalog_loads_with_the_shipped_models_first(catalog: Catalog) -> None:
    assert [card.id for card in catalog.cards[:10]] == SHIPPED
    assert len(catalog.cards) == 10 + 62
    assert all(card.shipped == (card.id in SHIPPED) for card in catalog.cards)
    kinds = [card.architecture_kind for card in catalog.cards if not card.shipped]
    assert (kinds.count("decoder"), kinds.count("encoder-decoder")) == (47, 2)


def test_every_card_says_what_it_is_licensed_as_and_where_that_is_from(catalog: Catalog) -> None:
    for card in catalog.cards:
        assert card.license, card.id
        if card.model_type is not None:
            assert card.source("license") is not None, card.id
        for source in card.sources:
            assert source.text.strip(), (card.id, source.field)


def test_facts_from_memory_are_marked(catalog: Catalog) -> None:
    card = catalog.get("distilbert-base-uncased")
    assert {"release", "chat_template", "tasks"} <= set(card.unverified)
    assert not {"license", "architecture", "parameters"} & set(card.unverified)


def test_the_catalog_stays_small_and_speaks_only_of_models() -> None:
    path = asset_folder() / "catalog.json"
    assert path.stat().st_size < 500_000
    assert "brief" not in path.read_text(encoding="utf-8").casefold().replace("briefly", "")


def test_known_facts_survived(catalog: Catalog) -> None:
    phi = catalog.get("phi-2")
    assert phi.attention is not None
    assert "NOT grouped-query" in phi.attention
    assert phi.architecture is not None
    assert phi.architecture.num_key_value_heads == phi.architecture.num_attention_heads == 32
    lfm = catalog.get("lfm2-350m").architecture
    assert lfm is not None
    assert {layer.kind: layer.layers for layer in lfm.layers} == {"conv": 10, "full_attention": 6}
    assert lfm.kv_values_per_token == 2 * 6 * 8 * 64
    assert catalog.get("opt-125m").commercial_use == "no"
    assert catalog.get("gemma-2b").gated == "manual"
    assert catalog.get("mistral-7b-v0-1").gated == "auto"
    assert catalog.get("gemma-4-e2b-it").parameters is None


def test_layer_counts_add_up(catalog: Catalog) -> None:
    for card in catalog.cards:
        if card.architecture is not None and card.architecture.layers:
            total = sum(layer.layers for layer in card.architecture.layers)
            assert total == card.architecture.num_layers, card.id


@pytest.mark.parametrize(
    ("typed", "meant"),
    [
        ("sprout5m", "sprout-5m"),
        ("qwen3-06b", "qwen3-0-6b"),
        ("smollm2", "smollm2-135m-instruct"),
        ("microsoft/phi2", "microsoft/phi-2"),
    ],
)
def test_an_unknown_id_suggests_what_was_meant(catalog: Catalog, typed: str, meant: str) -> None:
    with pytest.raises(UnknownModel, match="Did you mean") as caught:
        catalog.get(typed)
    assert meant in str(caught.value)


def test_an_id_like_nothing_suggests_nothing(catalog: Catalog) -> None:
    with pytest.raises(UnknownModel) as caught:
        catalog.get("zzzzzzzz")
    assert "Did you mean" not in str(caught.value)


def test_a_shipped_models_numbers_come_from_its_own_files(tmp_path: Path) -> None:
    write_checkpoint(tmp_path / "sprouts" / "a")
    card = load(tmp_path, minimal_card(shipped=True)).get("a")
    assert card.architecture is not None
    assert card.architecture.num_layers == 4
    assert card.architecture.head_dim == 16
    assert card.architecture.rope_theta == 10000.0
    assert card.architecture.tied_embeddings
    assert card.context_length == 512
    assert card.attention == "GQA (4/2)"
    assert card.parameters == 2048 * 64 + 64
    assert card.native_dtype == "bfloat16"
    assert card.chat_template is False
    deeper = dict(LLAMA, num_hidden_layers=7, num_key_value_heads=4)
    write_checkpoint(tmp_path / "sprouts" / "a", deeper, TENSORS)
    card = load(tmp_path, minimal_card(shipped=True)).get("a")
    assert card.architecture is not None
    assert (card.architecture.num_layers, card.attention) == (7, "MHA (4/4)")


def test_a_shipped_model_without_files_keeps_its_card_without_numbers(tmp_path: Path) -> None:
    card = load(tmp_path, minimal_card(shipped=True, license="Apache-2.0")).get("a")
    assert card.shipped
    assert (card.architecture, card.parameters, card.context_length) == (None, None, None)


BROKEN: list[tuple[str, Callable[[dict[str, Any]], object], str]] = [
    ("missing field", lambda c: c["cards"][0].pop("name"), "lacks 'name'"),
    ("unknown key", lambda c: c["cards"][0].update(licence="MIT"), "'licence'"),
    ("wrong type", lambda c: c["cards"][0].update(parameters="135M"), "'parameters'.*whole number"),
    ("bool as number", lambda c: c["cards"][0].update(parameters=True), "whole number.*true"),
    ("null text", lambda c: c["cards"][0].update(name=None), "'name'.*text, not null"),
    ("bad kind", lambda c: c["cards"][0].update(architecture_kind="mixer"), "'mixer'"),
    ("text for list", lambda c: c["cards"][0].update(tasks="chat"), "'tasks'.*a list, not text"),
    ("item", lambda c: c["cards"][0].update(tasks=["chat", 3]), r"'tasks'\[1\].*number 3"),
    ("nested", lambda c: c["cards"][0].update(paper={"url": "x"}), "'paper' lacks 'title'"),
    ("duplicate", lambda c: c["cards"].append(c["cards"][0]), "two cards called 'a'"),
    ("card no object", lambda c: c["cards"].append(7), "card 2 should be an object"),
    ("source index", lambda c: c["cards"][0].update(sources={"name": 9}), "source of 'name'"),
    ("source field", lambda c: c["cards"][0].update(sources={"nom": 0}), "'nom', which no card"),
    ("schema", lambda c: c.update(schema=2), "schema 1"),
    ("no cards", lambda c: c.pop("cards"), "list of cards"),
]


@pytest.mark.parametrize(("_name", "breaks", "says"), BROKEN, ids=[name for name, _, _ in BROKEN])
def test_a_broken_catalog_names_the_place(
    tmp_path: Path, _name: str, breaks: Callable[[dict[str, Any]], object], says: str
) -> None:
    values: dict[str, Any] = {"schema": 1, "sources": ["a page"], "cards": [minimal_card()]}
    breaks(values)
    (tmp_path / "catalog.json").write_text(json.dumps(values))
    with pytest.raises(BadCatalog, match=says):
        Catalog.load(tmp_path)


ARCHITECTURE: dict[str, object] = {
    "num_layers": 2, "hidden_size": 64, "embedding_size": 64, "num_attention_heads": 4,
    "num_key_value_heads": 2, "head_dim": 16, "intermediate_size": 128, "vocab_size": 1000,
    "max_position_embeddings": 512, "context_length": 512, "activation": "silu",
    "norm": "RMSNorm", "norm_placement": "pre", "positional": "RoPE", "gated_mlp": True,
    "tied_embeddings": True,
}  # fmt: skip
ABSURD: list[tuple[dict[str, object], str]] = [
    ({"num_attention_heads": -4}, "'num_attention_heads' is -4"),
    ({"num_layers": 10**12}, "'num_layers' is 1,000,000,000,000"),
    ({"num_key_value_heads": 3}, "3, which does not divide 4 heads"),
    ({"hidden_size": 0}, "'hidden_size' is 0"),
    ({"vocab_size": 10**30}, "'vocab_size'"),
    ({"rope_theta": -1.0}, "'rope_theta' is -1.0"),
    ({"kv_layers": 3}, "'kv_layers' is 3 of 2"),
    ({"layers": [{"kind": "conv", "layers": 5}]}, "'layers' do not add up to 2"),
    (
        {"layers": [{"kind": "conv", "layers": 2}], "layer_order": ["conv", "attention"]},
        "'layer_order' has other kinds",
    ),
    ({"axial_shape": [4]}, "differ in length"),
    ({"num_heads": 4}, "unknown key: 'num_heads'"),
    ({"head_dim": 16.5}, "'head_dim'.*whole number"),
]


@pytest.mark.parametrize(("numbers", "says"), ABSURD, ids=[says for _, says in ABSURD])
def test_absurd_numbers_are_refused_by_file_card_and_key(
    tmp_path: Path, numbers: dict[str, object], says: str
) -> None:
    load(tmp_path, minimal_card(architecture=ARCHITECTURE))
    with pytest.raises(BadCatalog, match=rf"catalog\.json, card 1 \(a\).*{says}"):
        load(tmp_path, minimal_card(architecture={**ARCHITECTURE, **numbers}))


@pytest.mark.parametrize(
    ("fields", "says"),
    [
        ({"release": "soon"}, "'release'"),
        ({"parameters": -1}, "'parameters' is -1"),
        ({"parameters": 10, "parameters_embedding": 11}, "'parameters_embedding' is more"),
    ],
)
def test_absurd_facts_are_refused(tmp_path: Path, fields: dict[str, object], says: str) -> None:
    with pytest.raises(BadCatalog, match=says):
        load(tmp_path, minimal_card(**fields))


def test_html_in_a_name_stays_text(tmp_path: Path) -> None:
    name = "<img src=x onerror=alert(1)>"
    card = load(tmp_path, minimal_card(name=name)).get("a")
    assert card.name == name


def test_every_field_has_a_source(catalog: Catalog) -> None:
    missing = [
        (card.id, field.name)
        for card in catalog.cards
        for field in dataclasses.fields(card)
        if field.name not in ("id", "sources", "notes", "benchmarks")
        and not card.shipped
        and getattr(card, field.name) not in (None, (), False, "no")
        and card.source(field.name) is None
    ]
    assert missing == []


def test_every_benchmark_has_a_source(catalog: Catalog) -> None:
    marks = [mark for card in catalog.cards for mark in card.benchmarks]
    assert len(marks) > 40
    assert all(mark.source.strip() for mark in marks)


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b"\xff\xfe", b"[" * 100_000])
def test_a_file_that_is_no_catalog(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "catalog.json").write_bytes(content)
    with pytest.raises(BadCatalog, match=r"catalog\.json is not"):
        Catalog.load(tmp_path)


def test_a_missing_catalog(tmp_path: Path) -> None:
    with pytest.raises(BadCatalog, match="cannot be read"):
        Catalog.load(tmp_path)


@pytest.mark.parametrize("card_id", SPROUTS)
def test_a_shipped_model_is_complete(catalog: Catalog, card_id: str) -> None:
    folder = asset_folder() / "sprouts" / card_id
    facts = inspect_checkpoint(folder)
    assert facts.has_tokenizer
    assert facts.has_chat_template
    card = catalog.get(card_id)
    assert (card.parameters, card.chat_template) == (facts.parameters, True)
    assert card.context_length == 512


@pytest.mark.parametrize("card_id", [*ENCODERS, "sprout-t5"])
def test_a_shipped_model_of_another_kind_is_complete(catalog: Catalog, card_id: str) -> None:
    facts = inspect_checkpoint(asset_folder() / "sprouts" / card_id)
    assert facts.has_tokenizer
    card = catalog.get(card_id)
    assert (card.parameters_with_head or card.parameters) == facts.parameters
    assert (card.architecture_kind, card.transformers_class) == (
        facts.architecture_kind,
        facts.class_name,
    )
    assert card.context_length == 128
    assert card.attention is not None
    assert card.attention.startswith("MHA")

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from slm_explorer.assets import asset_folder
from slm_explorer.catalog.catalog import Catalog
from slm_explorer.catalog.components import components
from slm_explorer.catalog.taxonomy import load_taxonomy, members, training_tokens
from slm_explorer.errors import BadCatalog

METHODS = {method.id: method for method in load_taxonomy(asset_folder())}
LAB_RECIPES = {"int8", "int4", "drop-layers", "prune", "distil", "low-rank"}


def ids(catalog: Catalog, method: str) -> set[str]:
    return {member.card_id for member in members(METHODS[method], catalog.cards)}


def test_every_method_is_complete(catalog: Catalog) -> None:
    for method in METHODS.values():
        assert method.text.endswith(".")
        assert method.papers
        for paper in method.papers:
            assert re.fullmatch(r"\d{4}\.\d{5}", paper.arxiv)
            assert paper.year in (2000 + int(paper.arxiv[:2]), 1999 + int(paper.arxiv[:2]))
        for card_id in method.cards:
            catalog.get(card_id)
        assert not (method.rule and method.cards), method.id
        assert (method.source is None) == (not method.cards), method.id
    assert {recipe for method in METHODS.values() for recipe in method.recipes} == LAB_RECIPES


def test_a_papers_number_is_the_cards(catalog: Catalog) -> None:
    of_cards = {
        card.paper.title: card.paper.url.rpartition("/")[2]
        for card in catalog.cards
        if card.paper and card.paper.url and "arxiv.org" in card.paper.url
    }
    shared = 0
    for method in METHODS.values():
        for paper in method.papers:
            if paper.title in of_cards:
                shared += 1
                assert of_cards[paper.title] == paper.arxiv
    assert shared >= 6


def test_distilled_are_those_whose_cards_say_so(catalog: Catalog) -> None:
    said = {
        card.id
        for card in catalog.cards
        if re.search("distil|knowledge transfer", card.compression_technique or "")
        and not (card.compression_technique or "").startswith("none")
    }
    assert ids(catalog, "distilled") == said


def test_pruned_are_those_whose_cards_say_so(catalog: Catalog) -> None:
    said = {card.id for card in catalog.cards if "pruning" in (card.compression_technique or "")}
    assert ids(catalog, "pruned") == said


def test_trained_small_are_those_without_a_larger_parent(catalog: Catalog) -> None:
    for card_id in ids(catalog, "trained-small"):
        derivation = (catalog.get(card_id).derivation or "").casefold()
        assert "from scratch" in derivation
        assert "distilled" not in derivation


def test_memberships_follow_from_the_numbers(catalog: Catalog) -> None:
    assert ids(catalog, "shared-layers") == {"albert-base-v2"}
    assert ids(catalog, "factorised-embedding") == {"albert-base-v2", "mobilebert-uncased"}
    assert ids(catalog, "bottleneck") == {"mobilebert-uncased"}
    assert ids(catalog, "hybrid") == {"qwen3-5-0-8b", "lfm2-350m", "lfm2-1-2b", "lfm3-1-7b"}
    assert ids(catalog, "quantized") == ids(catalog, "low-rank") == set()
    for card in catalog.cards:
        a = card.architecture
        if a is None:
            continue
        fewer = a.num_key_value_heads < a.num_attention_heads
        assert (
            card.id in ids(catalog, "grouped-queries") | ids(catalog, "single-kv-head")
        ) == fewer


def test_a_tied_model_has_no_head_of_its_own(catalog: Catalog) -> None:
    tied = ids(catalog, "tied-embedding")
    for card in catalog.cards:
        found = components(card)
        if found is not None and card.architecture_kind != "encoder":
            assert (found.head == 0) == (card.id in tied), card.id


def test_members_say_why_in_their_numbers(catalog: Catalog) -> None:
    why = {
        (method.id, member.card_id): member.why
        for method in METHODS.values()
        for member in members(method, catalog.cards)
    }
    assert all(why.values())
    assert why["grouped-queries", "tinyllama-1-1b-chat-v1-0"] == "32 query heads on 4 KV heads"
    assert why["single-kv-head", "gemma-2b"] == "8 query heads on 1 KV head"
    assert why["sliding-window", "gemma-3-270m-it"] == "512 tokens in 15 of 18 layers"
    assert why["sliding-window", "mistral-7b-v0-1"] == "4,096 tokens"
    assert why["shared-layers", "albert-base-v2"] == "12 layers, 1 set of weights"
    assert why["hybrid", "lfm2-350m"] == "10 conv, 6 full attention"
    assert why["trained-long", "smollm2-135m-instruct"] == "14,868 tokens a parameter"


@pytest.mark.parametrize(
    ("card_id", "tokens"),
    [
        ("llama-3-2-1b-instruct", 9 * 10**12),
        ("stablelm-3b-4e1t", 4 * 10**12),
        ("phi-1-5", 150 * 10**9),
        ("smollm3-3b", 11_200 * 10**9),
        ("codellama-7b-hf", None),
        ("distilbert-base-uncased", None),
    ],
)
def test_training_tokens(catalog: Catalog, card_id: str, tokens: int | None) -> None:
    assert training_tokens(catalog.get(card_id)) == tokens


def test_an_unknown_rule_is_refused_by_name(tmp_path: Path) -> None:
    method = {"id": "m", "name": "M", "group": "fewer weights", "text": "t.", "papers": []}
    content = {"schema": 1, "methods": [{**method, "rule": "magic"}]}
    (tmp_path / "taxonomy.json").write_text(json.dumps(content))
    with pytest.raises(BadCatalog, match=r"methods\[0\] \(m\), 'rule'.*'magic'"):
        load_taxonomy(tmp_path)

"""What the catalog's views are told: every card, its lights, its blocks and its sources."""

from __future__ import annotations

import json
from typing import Any

from slm_explorer.assets import asset_folder
from slm_explorer.catalog.catalog import Catalog
from slm_explorer.catalog.claims import claims_about, load_claims
from slm_explorer.catalog.search import facet_values
from slm_explorer.ui.catalog_rows import catalog_rows, context_band
from slm_explorer.ui.catalog_view import card_view, details_view

ASSETS = asset_folder()
CATALOG = Catalog.load(ASSETS)
CLAIMS = load_claims(ASSETS)


def details(card_id: str) -> dict[str, Any]:
    card = CATALOG.get(card_id)
    return details_view(card, claims_about(CLAIMS, card_id), ())


def test_every_card_can_be_shown_with_its_sources() -> None:
    doubtful = 0
    for card in CATALOG.cards:
        view = details(card.id)
        assert json.dumps([card_view(card, None), view])
        facts = [*view["facts"], *view["numbers"], *view["marks"]]
        assert all(fact["text"] for fact in facts), card.id
        doubtful += any(not fact["verified"] for fact in facts)
    assert doubtful


def test_every_value_of_a_row_is_offered_by_its_facet() -> None:
    value: dict[str, Any] = catalog_rows(CATALOG.cards)
    assert len(value["rows"]) == len(CATALOG.cards)
    for row in value["rows"]:
        for facet, order in value["orders"].items():
            values = row[facet] if isinstance(row[facet], list) else [row[facet]]
            assert {str(each) for each in values if each is not None} <= set(order), row["id"]


def test_the_facets_keep_the_order_of_the_catalog() -> None:
    orders: Any = catalog_rows(CATALOG.cards)["orders"]
    assert orders["size"] == [each.value for each in facet_values(CATALOG.cards)["sizes"]]
    assert orders["year"][0] > orders["year"][-1]
    assert orders["use"][0] == "permitted"


def test_a_context_falls_in_the_band_that_its_edge_begins() -> None:
    assert context_band(512) == "under 2 k"
    assert context_band(2048) == "2 k to 8 k"
    assert context_band(131_072) == "128 k and more"
    assert context_band(None) is None


def test_a_licence_is_shown_by_what_it_permits() -> None:
    phi = details("phi-2")["licence"]
    assert (phi["use"], phi["verified"]) == ("permitted", False)
    assert details("sprout-5m")["licence"]["verified"]
    assert details("opt-125m")["licence"]["use"] == "not permitted"
    gemma = details("gemma-2b")["licence"]
    assert (gemma["use"], gemma["verified"]) == ("with conditions", False)
    assert "Hub" in gemma["access"]


def test_a_card_says_what_its_model_is_for() -> None:
    assert card_view(CATALOG.get("t5-small"), None)["uses"] == ["Text to text"]
    assert card_view(CATALOG.get("linformer"), None)["uses"] == []


def test_components_are_shares_of_one_whole() -> None:
    shown = 0
    for card in CATALOG.cards:
        found = details(card.id)["components"]
        if found is None:
            continue
        shown += 1
        assert abs(sum(part["share"] for part in found["parts"]) - 1) < 1e-9
    assert shown >= 59


def test_a_correction_stands_on_the_cards_that_it_concerns() -> None:
    said = {claim["id"] for claim in details("phi-2")["claims"]}
    assert "phi-2-grouped-queries" in said
    assert "opt-mit" not in said

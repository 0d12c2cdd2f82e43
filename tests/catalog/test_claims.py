from __future__ import annotations

import json
from pathlib import Path

import pytest

from slm_explorer.assets import asset_folder
from slm_explorer.catalog.catalog import Catalog
from slm_explorer.catalog.claims import claims_about, load_claims
from slm_explorer.errors import BadCatalog

CLAIMS = load_claims(asset_folder())


def test_every_claim_is_complete_and_about_known_cards(catalog: Catalog) -> None:
    assert len(CLAIMS) == 38
    assert len({claim.id for claim in CLAIMS}) == len(CLAIMS)
    for claim in CLAIMS:
        assert claim.claim.endswith(".")
        assert claim.fact.endswith(".")
        assert claim.source
        for card_id in claim.cards:
            catalog.get(card_id)


def test_facts_in_claims_agree_with_the_cards(catalog: Catalog) -> None:
    facts = {claim.id: claim.fact for claim in CLAIMS}
    for claim, card_id in (
        ("gemma-2b-size", "gemma-2b"),
        ("orca-small", "orca-2-13b"),
        ("flan-t5-releases", "flan-t5-small"),
    ):
        assert f"{catalog.get(card_id).parameters:,}" in facts[claim]
    for card_id in ("bert-uncased-l-4-h-256-a-4", "bert-uncased-l-8-h-512-a-8"):
        assert f"{(catalog.get(card_id).parameters or 0) / 1e6:.1f}" in facts["bert-mini-size"]
    gemma = catalog.get("gemma-2b")
    share = (gemma.parameters_embedding or 0) / (gemma.parameters or 1)
    assert f"{share:.0%}".replace("%", " %") in facts["gemma-2b-size"]


def test_what_is_from_memory_says_so() -> None:
    marked = {claim.id for claim in CLAIMS if not claim.verified}
    assert {"opt-interpretability", "stablelm-two-releases", "interpretable"} <= marked
    assert "phi-2-grouped-queries" not in marked


def test_claims_about_a_card() -> None:
    found = {claim.id for claim in claims_about(CLAIMS, "phi-2")}
    assert found == {"phi-2-grouped-queries", "phi-2-latest", "phi-2-chat", "phi-always-mit"}
    assert claims_about(CLAIMS, "nothing") == ()


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"topic": "gossip"}, r"claims\[0\] \(a\).*'topic'.*'gossip'"),
        ({"fakt": "x"}, r"claims\[0\] \(a\).*'fakt'"),
        ({"cards": "phi-2"}, r"'cards'.*a list, not text"),
    ],
)
def test_a_broken_file_names_the_place(
    tmp_path: Path, change: dict[str, object], says: str
) -> None:
    claim = {"id": "a", "topic": "size", "claim": "c", "fact": "f", "source": "s", **change}
    (tmp_path / "claims.json").write_text(json.dumps({"schema": 1, "claims": [claim]}))
    with pytest.raises(BadCatalog, match=says):
        load_claims(tmp_path)

"""What is commonly written about small models and is wrong, with the right fact."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from slm_explorer.catalog.cards import is_verified
from slm_explorer.catalog.reading import read_entries

Topic = Literal["attention", "licence", "releases", "training", "size", "uses", "names", "code"]


@dataclass(frozen=True)
class Claim:
    """A statement met in articles and tutorials, the `fact`, where that was looked up, and the
    ids of the cards it concerns."""

    id: str
    topic: Topic
    claim: str
    fact: str
    source: str
    cards: tuple[str, ...] = ()

    @property
    def verified(self) -> bool:
        """False where the fact, or a part of it, was written down from memory."""
        return is_verified(self.source)


def load_claims(assets: Path) -> tuple[Claim, ...]:
    """`assets`/claims.json. Raises BadCatalog, naming the place."""
    return read_entries(assets / "claims.json", "claims", Claim)


def claims_about(claims: tuple[Claim, ...], card_id: str) -> tuple[Claim, ...]:
    """Those that concern the card of that id."""
    return tuple(claim for claim in claims if card_id in claim.cards)

"""What a licence permits, in plain words: for orientation, never legal advice.

The terms are looked up by the licence's id as the Hub writes it; a proprietary licence that the
Hub calls "other" carries its own name in brackets, like "other (qwen-research)".
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from slm_explorer.catalog.cards import Card, is_verified

CommercialUse = Literal["yes", "conditions", "no", "unknown"]
COMMERCIAL_USES: tuple[CommercialUse, ...] = ("yes", "conditions", "no", "unknown")
_ACCESS = {
    "no": None,
    "auto": "The Hub asks for a signed-in account and a click before the download.",
    "manual": "The Hub asks for a signed-in account that has accepted the maker's terms.",
}


@dataclass(frozen=True)
class LicenceTerms:
    """`commercial_use` at a glance; `conditions` in a sentence; `access` is what the Hub asks
    before a download (None: nothing). `source` is where the terms were read, and says so where
    they are from memory.
    """

    licence_id: str | None
    commercial_use: CommercialUse
    conditions: str
    gated: Literal["no", "auto", "manual"] = "no"
    access: str | None = None
    source: str = "from memory, unverified"

    @property
    def verified(self) -> bool:
        return is_verified(self.source)


_KEEP = "Keep the copyright notice and the licence text."
_LLAMA = (
    "Follow the acceptable use policy; more than 700 million monthly users need Meta's own licence"
)
_NC = "No commercial use"
_TABLE: dict[str, tuple[CommercialUse, str, str]] = {
    "apache-2.0": ("yes", _KEEP[:-1] + ", and say what was changed.", "apache.org/licenses"),
    "mit": ("yes", _KEEP, "opensource.org/license/mit"),
    "bsd-3-clause": ("yes", _KEEP, "opensource.org/license/bsd-3-clause"),
    "cc0-1.0": ("yes", "No conditions.", "creativecommons.org"),
    "cc-by-4.0": ("conditions", "Name the makers.", "creativecommons.org"),
    "cc-by-sa-4.0": (
        "conditions",
        "Name the makers, and share adapted versions under the same licence.",
        "creativecommons.org",
    ),
    "cc-by-nc-4.0": ("no", f"{_NC}; name the makers.", "creativecommons.org"),
    "cc-by-nc-sa-4.0": (
        "no",
        f"{_NC}; name the makers, share alike.",
        "creativecommons.org",
    ),
    "gemma": (
        "conditions",
        "Follow Google's prohibited use policy and pass the same terms on with every copy and "
        "derived model.",
        "from memory, unverified",
    ),
    "llama2": (
        "conditions",
        f"{_LLAMA}; outputs must not improve other language models.",
        "llama.com/faq for outputs; the rest from memory, unverified",
    ),
    "llama3.2": (
        "conditions",
        f"{_LLAMA}; show “Built with Llama”, and start the name of a derived model with “Llama”.",
        "llama.com/faq for attribution; the rest from memory, unverified",
    ),
    "other (lfm1.0)": (
        "conditions",
        "Free of charge below 10 million US dollars of yearly revenue; above it a paid licence "
        "is needed. Name the makers.",
        "docs.liquid.ai/lfm/getting-started/model-license, 2026-04",
    ),
    "other (opt-175b)": ("no", f"{_NC}: research only.", "hub tag and ai.facebook.com, 2022-05-03"),
    "other (microsoft-research-license)": (
        "no",
        f"{_NC}: research only. The Llama 2 licence holds too.",
        "hub microsoft/Orca-2-7b, LICENSE and Notice",
    ),
    "other (qwen-research)": (
        "no",
        f"{_NC}: research and evaluation only, unless Alibaba Cloud grants a licence.",
        "from memory, unverified",
    ),
}
_UNKNOWN = "No licence is stated where the weights are: ask the makers before any use."
_NO_MODEL = "A published method: there are no weights to license."
_UNLISTED = "This licence's terms are not in the table: read its text."


def licence_terms(card: Card) -> LicenceTerms:
    """The terms of `card`'s licence, with what the Hub asks before a download."""
    access = _ACCESS[card.gated]
    found = _TABLE.get(card.license_id or "")
    if found is None:
        named = card.license_id not in (None, "unknown")
        no_model = card.model_type is None and not card.shipped
        says = _UNLISTED if named else _NO_MODEL if no_model else _UNKNOWN
        return LicenceTerms(card.license_id, "unknown", says, card.gated, access, "the card")
    use, conditions, source = found
    return LicenceTerms(card.license_id, use, conditions, card.gated, access, source)

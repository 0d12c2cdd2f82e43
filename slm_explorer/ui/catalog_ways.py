"""How they become small: the ways, the models of the catalog that go them, and their papers."""

from __future__ import annotations

from collections.abc import Sequence

from slm_explorer.catalog.cards import Card
from slm_explorer.catalog.taxonomy import Method, members

GROUP_TITLES = {
    "fewer weights": "Fewer weights",
    "smaller numbers": "Smaller numbers",
    "cheaper attention": "Cheaper attention",
    "better training": "Better training of a small model",
}


def ways_view(methods: Sequence[Method], cards: Sequence[Card]) -> dict[str, object]:
    """The value of the `ways` view: groups in the order of the file, each way with its models."""
    groups: dict[str, list[dict[str, object]]] = {}
    for method in methods:
        groups.setdefault(method.group, []).append(_way(method, cards))
    return {
        "groups": [{"title": GROUP_TITLES[group], "ways": ways} for group, ways in groups.items()]
    }


def _way(method: Method, cards: Sequence[Card]) -> dict[str, object]:
    return {
        "id": method.id,
        "name": method.name,
        "text": method.text,
        "papers": [
            {"title": paper.title, "year": paper.year, "url": paper.url} for paper in method.papers
        ],
        "members": [{"id": member.card_id, "why": member.why} for member in members(method, cards)],
        "source": method.source or "",
    }

"""Models beside each other: what differs is marked, and only that."""

from __future__ import annotations

from typing import Any

from slm_explorer.assets import asset_folder
from slm_explorer.catalog.catalog import Catalog
from slm_explorer.ui.catalog_compare import compare_view

CATALOG = Catalog.load(asset_folder())


def rows(*ids: str) -> dict[str, dict[str, Any]]:
    view: dict[str, Any] = compare_view([CATALOG.get(card_id) for card_id in ids])
    return {row["label"]: row for group in view["groups"] for row in group["rows"]}


def texts(row: dict[str, Any]) -> list[str]:
    return [cell["text"] for cell in row["cells"]]


def test_what_differs_is_marked_and_what_is_alike_is_not() -> None:
    found = rows("sprout-1m", "sprout-5m")
    assert not found["Kind"]["differs"]
    assert not found["Context, tokens"]["differs"]
    assert found["Parameters"]["differs"]
    assert texts(found["Parameters"]) == ["1,246,592", "5,246,208"]


def test_one_model_differs_from_nothing() -> None:
    assert not any(row["differs"] for row in rows("phi-2").values())


def test_unknown_is_said_beside_what_is_known() -> None:
    found = rows("linformer", "phi-2")
    assert texts(found["Parameters"])[0] == "n/a"
    assert found["Parameters"]["differs"]


def test_a_row_that_no_model_has_is_left_out() -> None:
    assert "Decoder layers" not in rows("phi-2", "sprout-1m")
    assert texts(rows("phi-2", "t5-small")["Decoder layers"]) == ["n/a", "6"]


def test_what_was_written_from_memory_is_marked_in_its_cell() -> None:
    cells = rows("phi-2", "sprout-5m")["Licence"]["cells"]
    assert [cell["verified"] for cell in cells] == [False, True]

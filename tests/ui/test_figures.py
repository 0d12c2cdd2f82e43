"""Every figure is one that plotly knows, and shows the numbers that it was given."""

from __future__ import annotations

import json
from typing import Any

import plotly.graph_objects as go
from gradio.components.plot import PlotData

from slm_explorer.assets import asset_folder
from slm_explorer.catalog.catalog import Catalog
from slm_explorer.catalog.comparison import comparison_rows, load_comparison
from slm_explorer.catalog.components import components
from slm_explorer.ui import figures
from slm_explorer.ui.catalog_plots import EXAMPLES, component_bars, memory_curves, points
from slm_explorer.ui.catalog_shape import COMPONENT_NAMES

CATALOG = Catalog.load(asset_folder())
CARDS = [CATALOG.get(card_id) for card_id in EXAMPLES]


def checked(plot: PlotData) -> list[dict[str, Any]]:
    """The traces of a figure that plotly's own classes accept."""
    found = json.loads(plot.plot)
    assert go.Figure(found).data
    traces: list[dict[str, Any]] = found["data"]
    return traces


def test_every_model_with_a_release_is_a_point_in_time() -> None:
    traces = checked(figures.parameters_over_time(points(CATALOG.cards)))
    shown = sum(len(trace["x"]) for trace in traces)
    known = [card for card in CATALOG.cards if card.release and card.parameters]
    assert shown == len(known) >= 60
    assert {trace["name"] for trace in traces} == {card.architecture_kind for card in known}


def test_memory_is_weights_and_a_cache_that_grows_to_the_documented_context() -> None:
    card = CATALOG.get("tinyllama-1-1b-chat-v1-0")
    (curve,) = memory_curves(card, ["bfloat16"])
    assert (curve.tokens[0], curve.tokens[-1]) == (512, 2048)
    # 22 layers, 4 KV heads of 64, keys and values, 2 bytes.
    per_token = 2 * 22 * 4 * 64 * 2
    assert curve.sizes[-1] == 1_100_048_384 * 2 + 2048 * per_token
    traces = checked(figures.memory_by_context([curve], 8_000_000_000, "this machine"))
    assert traces[-1]["y"] == [8.0, 8.0]


def test_a_sliding_window_flattens_its_curve() -> None:
    (curve,) = memory_curves(CATALOG.get("mistral-7b-v0-1"), ["int4"])
    by_length = dict(zip(curve.tokens, curve.sizes, strict=True))
    assert by_length[4096] == by_length[8192] > by_length[2048]


def test_shares_of_parts_add_up_for_each_model() -> None:
    bars = component_bars(CARDS)
    assert [bar.name for bar in bars] == [card.name for card in CARDS if components(card)]
    traces = checked(figures.parameters_by_component(bars, COMPONENT_NAMES))
    for place in range(len(bars)):
        assert abs(sum(trace["x"][place] for trace in traces) - 1) < 1e-9


def test_large_models_stand_beside_small_ones() -> None:
    rows = comparison_rows(load_comparison(asset_folder()), CATALOG)
    sizes = [figures.Size(row.name, row.large, row.weights) for row in rows]
    small, large = checked(figures.sizes_beside(sizes))
    assert max(x for x in small["x"] if x) < max(x for x in large["x"] if x)
    assert len(small["x"]) + len(large["x"]) == 5 * len(rows)


def test_a_method_without_numbers_has_no_curve_and_no_bar() -> None:
    card = CATALOG.get("linformer")
    assert memory_curves(card, ["int4"]) == []
    assert component_bars([card]) == []

"""Values to plotly figures. The figures are written as plain JSON, which is all that the page
needs: plotly itself is not imported, so that the first plot costs no start-up. The tests read
every figure back into plotly's own classes, which refuse what plotly does not know.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from gradio.components.plot import PlotData

# Each reads on white and on near-black.
COLOURS = ("#0d9488", "#d97706", "#8b5cf6", "#db2777", "#3b82f6", "#65a30d")
PART_COLOURS = {
    "embedding": "#0d9488",
    "attention": "#3b82f6",
    "mlp": "#d97706",
    "norm": "#8a8a94",
    "head": "#a855f7",
    "other": "#db2777",
}
_DASHES = ("solid", "dash", "dot", "dashdot")
_QUIET = "#808089"
_GRID = "rgba(128,128,128,0.22)"


@dataclass(frozen=True)
class Point:
    """A model in time. `released` is "2024-09" or a year; `group` gives its colour."""

    name: str
    released: str
    parameters: int
    group: str


@dataclass(frozen=True)
class Curve:
    """Memory of one model in one precision: bytes at each number of tokens."""

    name: str
    precision: str
    tokens: tuple[int, ...]
    sizes: tuple[int, ...]


@dataclass(frozen=True)
class Bar:
    """A model's parameters by part."""

    name: str
    parts: dict[str, int]


@dataclass(frozen=True)
class Size:
    """A model's weights in bytes by precision."""

    name: str
    large: bool
    weights: dict[str, int]


def parameters_over_time(points: Sequence[Point]) -> PlotData:
    """Release against parameters, on a logarithmic scale; one colour a group."""
    groups = list(dict.fromkeys(point.group for point in points))
    traces = []
    for colour, group in zip(COLOURS, groups, strict=False):
        members = [point for point in points if point.group == group]
        traces.append(
            {
                "type": "scatter",
                "mode": "markers",
                "name": group,
                "x": [_day(point.released) for point in members],
                "y": [point.parameters for point in members],
                "text": [f"{point.name}, {point.released}" for point in members],
                "hovertemplate": "%{text}<br>%{y:,} parameters<extra></extra>",
                "marker": {"color": colour, "size": 9, "opacity": 0.8},
            }
        )
    return _figure(
        traces,
        xaxis={"title": {"text": "first release"}},
        yaxis={"title": {"text": "parameters"}, "type": "log", **_powers_of_ten(5, 11)},
    )


def memory_by_context(curves: Sequence[Curve], limit: int, limit_name: str) -> PlotData:
    """Tokens of context against weights and KV cache in GB, both logarithmic; the device's limit
    is a line. One colour a model, one dash a precision.
    """
    names = list(dict.fromkeys(curve.name for curve in curves))
    precisions = list(dict.fromkeys(curve.precision for curve in curves))
    traces: list[dict[str, Any]] = [
        {
            "type": "scatter",
            "mode": "lines",
            "name": curve.name,
            "legendgroup": curve.name,
            # One entry a model; the dashes are explained once, below.
            "showlegend": curve.precision == precisions[0],
            "x": list(curve.tokens),
            "y": [size / 1e9 for size in curve.sizes],
            "hovertemplate": "%{x:,} tokens: %{y:.3g} GB"
            f"<extra>%{{fullData.name}}, {curve.precision}</extra>",
            "line": {
                "color": COLOURS[names.index(curve.name) % len(COLOURS)],
                "dash": _DASHES[precisions.index(curve.precision) % len(_DASHES)],
                "width": 2,
            },
        }
        for curve in curves
    ]
    traces += [
        {
            "type": "scatter",
            "mode": "lines",
            "name": precision,
            "x": [None],
            "y": [None],
            "line": {"color": _QUIET, "dash": dash, "width": 2},
        }
        for precision, dash in zip(precisions, _DASHES, strict=False)
    ]
    ends = sorted({tokens for curve in curves for tokens in (curve.tokens[0], curve.tokens[-1])})
    traces.append(
        {
            "type": "scatter",
            "mode": "lines",
            "name": f"limit: {limit_name}",
            "x": [ends[0], ends[-1]] if ends else [512, 2048],
            "y": [limit / 1e9, limit / 1e9],
            "hovertemplate": "%{y:.3g} GB<extra>%{fullData.name}</extra>",
            "line": {"color": "#dc2626", "width": 2, "dash": "longdash"},
        }
    )
    ticks = [2**power for power in range(9, 20, 2)]
    return _figure(
        traces,
        xaxis={
            "title": {"text": "tokens of context"},
            "type": "log",
            "tickvals": ticks,
            "ticktext": [f"{tick // 1024} k" if tick >= 1024 else str(tick) for tick in ticks],
        },
        yaxis={"title": {"text": "weights + KV cache, GB"}, "type": "log", "dtick": 1},
    )


def parameters_by_component(bars: Sequence[Bar], names: dict[str, str]) -> PlotData:
    """Shares of each model's parameters; `names` are the parts' names in order."""
    traces = []
    for part, title in names.items():
        shares = [bar.parts.get(part, 0) / sum(bar.parts.values()) for bar in bars]
        if not any(shares):
            continue
        traces.append(
            {
                "type": "bar",
                "orientation": "h",
                "name": title,
                "y": [bar.name for bar in bars],
                "x": shares,
                "customdata": [bar.parts.get(part, 0) for bar in bars],
                "hovertemplate": "%{y}<br>%{fullData.name}: %{customdata:,}, %{x:.1%}"
                "<extra></extra>",
                "marker": {"color": PART_COLOURS[part]},
            }
        )
    return _figure(
        traces,
        height=130 + 38 * len(bars),
        barmode="stack",
        xaxis={"title": {"text": "share of all parameters"}, "tickformat": ".0%"},
        yaxis={"autorange": "reversed", "automargin": True},
    )


def sizes_beside(sizes: Sequence[Size]) -> PlotData:
    """Weights of small and large models in GB, logarithmic: a span from the least to the most
    precise, and a mark for each precision.
    """
    traces = []
    for colour, large in ((COLOURS[0], False), (COLOURS[1], True)):
        members = [size for size in sizes if size.large == large]
        spans: dict[str, list[Any]] = {"x": [], "y": [], "text": []}
        for size in members:
            for precision, count in size.weights.items():
                spans["x"].append(count / 1e9)
                spans["y"].append(size.name)
                spans["text"].append(precision)
            for values in spans.values():
                values.append(None)
        traces.append(
            {
                "type": "scatter",
                "mode": "lines+markers",
                "name": "large" if large else "small",
                **spans,
                "hovertemplate": "%{y}, %{text}: %{x:.3g} GB<extra></extra>",
                "line": {"color": colour, "width": 3},
                "marker": {"size": 8},
            }
        )
    return _figure(
        traces,
        height=150 + 24 * len(sizes),
        xaxis={"title": {"text": "weights in GB, from int4 to float32"}, "type": "log", "dtick": 1},
        yaxis={
            "automargin": True,
            "categoryorder": "array",
            "categoryarray": [size.name for size in reversed(sizes)],
        },
    )


def _day(released: str) -> str:
    """The middle of the month, or of the year where no more is known."""
    return f"{released}-15" if "-" in released else f"{released}-07-01"


def _powers_of_ten(low: int, high: int) -> dict[str, Any]:
    names = ("", " k", " M", " B", " T")
    powers = range(low, high + 1)
    return {
        "tickvals": [10**power for power in powers],
        "ticktext": [f"{10 ** (power % 3)}{names[power // 3]}" for power in powers],
    }


def _figure(
    traces: list[dict[str, Any]],
    *,
    xaxis: dict[str, Any],
    yaxis: dict[str, Any],
    height: int = 440,
    **layout: Any,
) -> PlotData:
    axis = {"gridcolor": _GRID, "zerolinecolor": _GRID, "linecolor": _QUIET, "automargin": True}
    figure = {
        "data": traces,
        "layout": {
            "height": height,
            "margin": {"l": 12, "r": 24, "t": 40, "b": 12},
            "paper_bgcolor": "rgba(0,0,0,0)",
            "plot_bgcolor": "rgba(0,0,0,0)",
            "font": {"color": _QUIET, "size": 12, "family": "system-ui, sans-serif"},
            "legend": {
                "orientation": "h",
                "font": {"size": 11},
                "x": 0,
                "y": 1.02,
                "yanchor": "bottom",
                "traceorder": "normal",
            },
            "hoverlabel": {"bgcolor": "#27272a", "font": {"color": "#fafafa"}},
            "xaxis": axis | xaxis,
            "yaxis": axis | yaxis,
            **layout,
        },
    }
    return PlotData(type="plotly", plot=json.dumps(figure))

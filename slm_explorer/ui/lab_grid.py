"""What each matrix of a run got, as a grid of layers by modules, for assets/page/lab_grid.js."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from math import sqrt

from slm_explorer.compression.recipes import LayerReport

# The relative error with the strongest colour. By the square root, so that 8-bit's half a per
# cent and 4-bit's nine can both be told from nothing.
STRONGEST = 0.25

_LAYER = re.compile(r"^(?:(.*?)\.)?(\d+)\.(.+)$")
_EXPERT = re.compile(r"(?<=\.)\d+(?=\.)")
# Short names where the field has one; any other module keeps its own.
_SHORT = {
    "q_proj": "q", "k_proj": "k", "v_proj": "v", "o_proj": "o", "out_proj": "o",
    "query": "q", "key": "k", "value": "v",
    "gate_proj": "gate", "up_proj": "up", "down_proj": "down",
}  # fmt: skip
_ORDER = ("q", "k", "v", "o", "gate", "up", "down")


@dataclass
class _Cell:
    layers: list[LayerReport] = field(default_factory=list)


def heat(error: float | None) -> float | None:
    """0 to 1 for a relative error; None where nothing was changed."""
    return None if error is None else min(1.0, sqrt(max(0.0, error) / STRONGEST))


def grid_view(layers: Sequence[LayerReport], expected: Iterable[str] = ()) -> dict[str, object]:
    """Rows are layers, columns the modules in them; tables and heads stand apart.

    `expected` are names of matrices still to come, whose cells are there but empty.
    """
    cells: dict[tuple[str, str], _Cell] = {}
    for name in (*expected, *(layer.name for layer in layers)):
        cells.setdefault(_place(name), _Cell())
    for layer in layers:
        cells[_place(layer.name)].layers.append(layer)
    rows = sorted({row for row, _ in cells if row}, key=_by_number)
    keys = list(dict.fromkeys(key for row, key in cells if row))
    labels = _labels(keys)
    keys.sort(key=lambda key: _rank(labels[key]))
    return {
        "columns": [{"label": labels[key], "title": key} for key in keys],
        "rows": [
            {
                "label": row.replace("oder", ""),
                "title": f"layer {row}",
                "cells": [
                    _cell_view(f"layer {row}, {labels[key]}", cells.get((row, key))) for key in keys
                ],
            }
            for row in rows
        ],
        "apart": [
            {"label": key, **(_cell_view(key, cell) or {})}
            for (row, key), cell in cells.items()
            if not row
        ],
        "done": len(layers),
    }


def _place(name: str) -> tuple[str, str]:
    """The row, such as "3" or "decoder 3", and the column; no row outside of the layers."""
    name = name.removesuffix(".weight")
    found = _LAYER.match(name)
    if found is None:
        return "", name.removeprefix("model.")
    stack, number, rest = found.group(1) or "", found.group(2), found.group(3)
    side = next((word for word in ("encoder", "decoder") if word in stack.split(".")), "")
    return f"{side} {number}".strip(), _EXPERT.sub("*", f".{rest}")[1:]


def _by_number(row: str) -> tuple[str, int]:
    side, _, number = row.rpartition(" ")
    return ("" if side == "encoder" else side), int(number)


def _labels(keys: Sequence[str]) -> dict[str, str]:
    """The last part of each key in short, with the part before it where that is not enough."""
    parts = {key: key.split(".") for key in keys}
    short = {key: _SHORT.get(each[-1], each[-1]) for key, each in parts.items()}
    labels = {}
    for key, each in parts.items():
        twice = sum(other == short[key] for other in short.values()) > 1
        known = len(each) > 1 and (twice or short[key] == "dense")
        labels[key] = f"{each[-2]}.{short[key]}" if known else short[key]
    return labels


def _rank(label: str) -> int:
    return _ORDER.index(label) if label in _ORDER else len(_ORDER)


def _cell_view(where: str, cell: _Cell | None) -> dict[str, object] | None:
    """None where this layer has no such module."""
    if cell is None:
        return None
    if not cell.layers:
        return {"state": "waiting", "text": "", "heat": 0, "said": f"{where}: still to come"}
    errors = [each.relative_error for each in cell.layers if each.relative_error is not None]
    worst = max(errors) if errors else None
    methods = list(dict.fromkeys(_method(each) for each in cell.layers))
    reasons = list(dict.fromkeys(each.reason for each in cell.layers if each.reason))
    count = len(cell.layers)
    of = f" (the worst of {count} matrices)" if count > 1 else ""
    error = "nothing changed" if worst is None else f"relative error {worst:.2%}{of}"
    said = "; ".join((f"{where}: {' and '.join(methods)}", error, *reasons))
    return {
        "state": "kept" if worst is None else "done",
        "text": "–" if worst is None else f"{worst:.1%}".removesuffix("%"),
        "heat": heat(worst) or 0,
        "said": said,
    }


def _method(layer: LayerReport) -> str:
    if layer.method == "kept":
        return f"kept in {layer.bits:g} bits"
    shared = "" if layer.group is None else f", a scale for every {layer.group} weights"
    return f"{layer.method}, {layer.bits:.3g} bits a weight{shared}"

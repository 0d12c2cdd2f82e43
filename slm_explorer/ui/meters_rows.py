"""The app's processes as rows of a table, and energy in words."""

from __future__ import annotations

from collections.abc import Mapping

from slm_explorer.energy import Energy
from slm_explorer.meters.readings import Snapshot
from slm_explorer.meters.shares import grouped
from slm_explorer.types import WorkerState
from slm_explorer.units import format_bytes

NOTHING = "–"
"""In a cell of which this process has no figure."""


def process_rows(
    snapshot: Snapshot, colours: Mapping[str, str], *, may_unload: bool
) -> list[dict[str, object]]:
    """The app, its helpers and its workers, under the columns of meters_view."""
    app = [
        "this web app", "serves", size(snapshot.app_pss_bytes), size(snapshot.app_uss_bytes),
        NOTHING, NOTHING, _percent(snapshot.app_cpu_percent),
    ]  # fmt: skip
    rows = [_row("app", app, colours)]
    for helper in grouped(snapshot.helpers):
        cells = [
            helper.part, "runs", size(helper.pss_bytes), size(helper.uss_bytes), NOTHING,
            NOTHING, _percent(helper.cpu_percent),
        ]  # fmt: skip
        rows.append(_row(f"helper {helper.part}", cells, colours))
    for worker in snapshot.workers:
        if worker.phase != "dead":
            row = _row(worker.key, _worker(worker), colours)
            row["may_unload"] = may_unload and worker.phase in ("idle", "busy", "loading")
            row["energy_title"] = energy_title(worker.energy) if worker.energy else ""
            rows.append(row)
    return rows


def _row(key: str, cells: list[str], colours: Mapping[str, str]) -> dict[str, object]:
    padded = cells + [NOTHING] * (11 - len(cells))
    return {
        "key": key,
        "colour": colours.get(key, "none"),
        "cells": padded,
        "may_unload": False,
        "energy_title": "",
    }


def _worker(worker: WorkerState) -> list[str]:
    state: str = worker.phase
    if worker.phase == "loading":
        state = f"loading, {worker.loading_fraction:.0%}"
    elif worker.phase == "idle":
        state = f"idle for {worker.idle_s:.0f} s"
    elif worker.waiting:
        state = f"{worker.phase}, {worker.waiting} waiting"
    recipe = "" if worker.spec.recipe == "native" else f" · {worker.spec.recipe}"
    return [
        f"{worker.spec.model}{recipe}",
        state,
        size(worker.pss_bytes),
        size(worker.uss_bytes),
        size(worker.peak_memory_bytes),
        size(worker.predicted_bytes or None),
        _percent(worker.cpu_percent),
        "n/a" if worker.cpu_seconds is None else f"{worker.cpu_seconds:,.1f} s",
        NOTHING if worker.spec.device == "cpu" else size(worker.gpu_bytes),
        f"{worker.tokens:,}",
        NOTHING if worker.energy is None else joules(worker.energy),
    ]


def size(count: int | None) -> str:
    return "n/a" if count is None else format_bytes(count)


def _percent(value: float | None) -> str:
    return "n/a" if value is None else f"{value:.0f} %"


def joules(energy: Energy) -> str:
    """12.3 J, a range such as 10 to 25 J, or n/a."""
    if energy.joules_low is None or energy.joules_high is None:
        return "n/a"
    low, high = _figure(energy.joules_low), _figure(energy.joules_high)
    return f"{low} J" if low == high else f"{low} to {high} J"


def energy_title(energy: Energy, tokens: int = 0) -> str:
    """The method behind the joules, and the joules per token where tokens were written."""
    if energy.joules_low is None or energy.joules_high is None:
        return f"Energy is not known: {(energy.reason or 'n/a').removeprefix('n/a: ')}."
    each = ""
    if tokens:
        low, high = (
            _figure(1000 * value / tokens) for value in (energy.joules_low, energy.joules_high)
        )
        each = f"{low if low == high else f'{low} to {high}'} mJ per token. "
    return f"{each}{energy.method[:1].upper()}{energy.method[1:]}."


def _figure(value: float) -> str:
    """Three significant digits, without an exponent."""
    return f"{value:,.0f}" if value >= 1000 else f"{value:.3g}"

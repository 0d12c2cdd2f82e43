"""Runs as they are kept: a row of the store each, and the report in the folder of a whole one."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from slm_explorer.catalog.resolve import is_lab_run
from slm_explorer.compression.recipes import LayerReport
from slm_explorer.compression.training_plan import TrainingPoint
from slm_explorer.lab.types import Order, Run

REPORT = "report.json"
PAGE = "report.html"
MODEL = "model"

INTERRUPTED = (
    "The app ended before this run did, and nothing of it was kept: start it again from its recipe."
)


def run_row(run: Run) -> dict[str, object]:
    """What the store keeps: no text of the user's, and layers and training in the report only."""
    row = {name: getattr(run, name) for name in _KEPT}
    order = asdict(run.order) | {"text": None}
    return row | {"order": order, "report": None if run.report is None else dict(run.report)}


def run_of_row(row: Mapping[str, Any], kept: bool) -> Run:
    """The run of `run_row`; `kept` says whether its folder is there."""
    report = row["report"]
    values = {name: row[name] for name in _KEPT}
    return Run(order=Order(**row["order"]), kept=kept, report=report, **values, **_lists(report))


def run_of_report(report: Mapping[str, Any]) -> Run:
    """The run whose folder holds this report, where the store does not know it as done."""
    return Run(
        id=report["run"],
        order=Order(report["model"], report["recipe"]),
        state="done",
        created_at=report["created_at"],
        name=report["name"],
        stage="done",
        fraction=1.0,
        seconds=report["total_seconds"],
        peak_memory_bytes=report["peak_memory_bytes"],
        kept=True,
        report=report,
        **_lists(report),
    )


def reports_in(folder: Path) -> Iterator[dict[str, Any]]:
    """The reports of the whole runs in `folder`."""
    try:
        entries = sorted(entry for entry in folder.iterdir() if is_lab_run(entry.name))
    except OSError:
        return
    for entry in entries:
        try:
            report = json.loads((entry / REPORT).read_bytes())
        except (OSError, ValueError):
            continue
        if isinstance(report, dict) and report.get("run") == entry.name:
            yield report


_KEPT = (
    "id",
    "state",
    "created_at",
    "name",
    "stage",
    "fraction",
    "seconds",
    "memory_limit_bytes",
    "peak_memory_bytes",
    "error",
)


def _lists(report: Mapping[str, Any] | None) -> dict[str, Any]:
    found = report or {}
    return {
        "layers": tuple(LayerReport(**layer) for layer in found.get("layers", ())),
        "training": tuple(TrainingPoint(**point) for point in found.get("training", ())),
    }

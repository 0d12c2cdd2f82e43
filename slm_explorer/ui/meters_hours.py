"""The hours behind the ten minutes as two charts, and history as CSV files."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime

from slm_explorer.units import format_bytes

HOURS_SPAN_S = 86400.0
_POINTS = 288

Kept = Sequence[Mapping[str, object]]
"""Rows of meters.history.Minutes, oldest first."""


def hours_view(rows: Kept, now: float) -> dict[str, object]:
    """Memory's highest of each minute against the limit, and CPU, over a day."""
    shown = [row for row in rows if 0 <= now - _at(row) <= HOURS_SPAN_S]
    if not shown:
        return {"note": "Nothing has been kept yet: a row is written every minute.", "charts": []}
    limits = [limit for row in shown if (limit := _number(row, "memory_limit_bytes"))]
    limit = max(limits, default=None)
    memory = [
        (row, None if limit is None or used is None else used / limit)
        for row in shown
        for used in [_number(row, "memory_used_max_bytes")]
    ]
    cpu = [(row, _number(row, "cpu")) for row in shown]
    of = "limit n/a" if limit is None else f"height is the limit, {format_bytes(limit)}"
    return {
        "note": f"Kept of the last 24 hours: {len(shown)} min.",
        "span_s": HOURS_SPAN_S,
        "charts": [
            {"title": "Memory, the highest of each minute", "points": _points(memory, now),
             "text": of},
            {"title": "CPU, the mean of each minute", "points": _points(cpu, now),
             "text": "height is all cores"},
        ],
    }  # fmt: skip


def csv_file(name: str, text: str, now: float) -> dict[str, str]:
    """A file for the browser to save; `id` tells one click from the next."""
    stamp = datetime.fromtimestamp(now, UTC).strftime("%Y%m%d-%H%M%S")
    return {"id": f"{name}-{now}", "name": f"slm-explorer-{name}-{stamp}.csv", "text": text}


def _points(
    values: Sequence[tuple[Mapping[str, object], float | None]], now: float
) -> list[list[float | None]]:
    """[seconds ago, the highest of a few minutes], as steps; a time without rows is a gap."""
    buckets: dict[int, list[float]] = {}
    for row, value in values:
        found = buckets.setdefault(int((now - _at(row)) // (HOURS_SPAN_S / _POINTS)), [])
        if value is not None:
            found.append(value)
    points: list[list[float | None]] = []
    before: int | None = None
    for bucket in sorted(buckets, reverse=True):
        ago = round(bucket * HOURS_SPAN_S / _POINTS)
        highest = round(max(buckets[bucket]), 3) if buckets[bucket] else None
        if before is not None and before - bucket > 1:
            points.append([ago, None])
        points += [[ago + round(HOURS_SPAN_S / _POINTS), highest], [ago, highest]]
        before = bucket
    return points


def _at(row: Mapping[str, object]) -> float:
    return _number(row, "at") or 0.0


def _number(row: Mapping[str, object], name: str) -> float | None:
    value = row.get(name)
    return float(value) if isinstance(value, int | float) else None

"""The hours behind the ten minutes: one row a minute, kept in the store, and all of it as CSV."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime

from slm_explorer.meters.events import Mark
from slm_explorer.meters.readings import DeviceKind, DeviceReading, Snapshot
from slm_explorer.meters.shares import shares

MINUTE_S = 60.0

Row = dict[str, float | str | None]
"""Column to value: bytes, shares 0..1, watts; None is unknown."""


def flat(snapshot: Snapshot) -> Row:
    """One snapshot as a row; each worker has a column of its own."""
    memory = snapshot.device("memory") or DeviceReading("memory", "")
    network = snapshot.device("network")
    parts = shares(snapshot)
    row: Row = {
        "at": snapshot.at,
        "memory_used_bytes": memory.used_bytes,
        "memory_limit_bytes": memory.total_bytes,
        "page_cache_bytes": _detail(memory, "page cache"),
        "budget_bytes": snapshot.budget_bytes,
        "swap_used_bytes": _used(snapshot, "swap"),
        "cpu": _utilization(snapshot, "cpu"),
        "received_bytes_per_s": _detail(network, "received"),
        "sent_bytes_per_s": _detail(network, "sent"),
        "gpu": _utilization(snapshot, "gpu"),
        "gpu_used_bytes": _used(snapshot, "gpu"),
        "app_bytes": next((part.bytes for part in parts if part.kind == "app"), None),
        "helpers_bytes": sum(part.bytes for part in parts if part.kind == "helper"),
        "others_bytes": next((part.bytes for part in parts if part.kind == "others"), None),
    }
    for part in parts:
        if part.kind == "worker":
            column = f"model {part.name} bytes"
            row[column] = part.bytes + float(row.get(column) or 0)
    return row


class Minutes:
    """Folds snapshots into rows of a minute and hands each to `keep` when the minute is over.

    A value is the mean of those known; `memory_used_max_bytes` is the highest. Not thread-safe.
    """

    def __init__(self, keep: Callable[[Row], None]) -> None:
        self._keep = keep
        self._rows: list[Row] = []
        self._minute: float | None = None

    def add(self, snapshot: Snapshot) -> None:
        """The next snapshot. Where the clock has stepped back a new minute begins."""
        minute = snapshot.at // MINUTE_S
        if self._minute is not None and minute != self._minute:
            self.flush()
        self._minute = minute
        self._rows.append(flat(snapshot))

    def flush(self) -> None:
        """Hand over the minute so far, if there is any."""
        rows, self._rows = self._rows, []
        if rows and self._minute is not None:
            self._keep(_folded(rows, self._minute * MINUTE_S))


def to_csv(rows: Iterable[Mapping[str, object]], marks: Iterable[Mark] = ()) -> str:
    """Comma-separated, the first line names the columns; `time` is UTC, unknown is empty.

    `events` of a row are those since the row before it.
    """
    table = sorted((dict(row) for row in rows), key=lambda row: _number(row.get("at")))
    columns = list(dict.fromkeys(name for row in table for name in row if name != "at"))
    waiting = sorted(marks, key=lambda mark: mark.at)
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(["time", *columns, "events"])
    for row in table:
        at = _number(row.get("at"))
        told = [f"{mark.kind}: {mark.text}" for mark in waiting if mark.at <= at]
        waiting = waiting[len(told) :]
        cells = ["" if row.get(name) is None else _cell(row[name]) for name in columns]
        time = datetime.fromtimestamp(at, UTC).isoformat(timespec="seconds")
        writer.writerow([time, *cells, _text("; ".join(told))])
    return out.getvalue()


def _cell(value: object) -> str:
    if isinstance(value, float):
        return f"{value:.6g}" if abs(value) < 1e6 else f"{value:.0f}"
    return _text(str(value)) if isinstance(value, str) else str(value)


def _text(value: str) -> str:
    # A spreadsheet would run what begins like this as a formula.
    return f"'{value}" if value.startswith(("=", "+", "-", "@")) else value


def _folded(rows: list[Row], at: float) -> Row:
    folded: Row = {"at": at}
    for name in dict.fromkeys(name for row in rows for name in row):
        known = [value for row in rows if isinstance(value := row.get(name), int | float)]
        if name == "at":
            continue
        folded[name] = sum(known) / len(known) if known else None
        if name == "memory_used_bytes":
            folded["memory_used_max_bytes"] = max(known) if known else None
    return folded


def _number(value: object) -> float:
    return float(value) if isinstance(value, int | float) else 0.0


def _detail(device: DeviceReading | None, name: str) -> float | None:
    detail = None if device is None else device.detail(name)
    return None if detail is None else detail.value


def _used(snapshot: Snapshot, kind: DeviceKind) -> int | None:
    device = snapshot.device(kind)
    return None if device is None else device.used_bytes


def _utilization(snapshot: Snapshot, kind: DeviceKind) -> float | None:
    device = snapshot.device(kind)
    return None if device is None else device.utilization

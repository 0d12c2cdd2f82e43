"""The meters' picture, hours and files as plain values."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest

from slm_explorer.meters.events import Mark
from slm_explorer.meters.readings import DeviceReading, Helper, Snapshot
from slm_explorer.types import ModelSpec, WorkerState
from slm_explorer.ui.meters_hours import csv_file, hours_view
from slm_explorer.ui.meters_picture import BUCKETS, SPAN_S, fullest, picture_view
from slm_explorer.ui.meters_view import alarm_of, meters_view, strip_view

GB = 10**9


def worker(number: int, gigabytes: float) -> WorkerState:
    return WorkerState(
        key=f"sprout:native#{number}",
        spec=ModelSpec("sprout", "/x", recipe="int4"),
        pid=number,
        phase="idle",
        loading_fraction=1.0,
        info=None,
        predicted_bytes=GB,
        waiting=0,
        idle_s=1.0,
        pss_bytes=int(gigabytes * GB),
    )


def snapshot(
    at: float = 1000.0,
    used: float | None = 1.5,
    limit: float = 3,
    workers: tuple[WorkerState, ...] = (),
    available: float | None = None,
) -> Snapshot:
    memory = DeviceReading(
        "memory",
        "Memory",
        None if used is None else int(used * GB),
        int(limit * GB),
        None if used is None else used / limit,
        source="cgroup v1 memory.limit_in_bytes",
    )
    left = limit - (used or 0) if available is None else available
    return Snapshot(
        at=at,
        cores=(),
        devices=(memory,),
        workers=workers,
        app_pss_bytes=GB // 2,
        app_uss_bytes=GB // 2,
        app_cpu_percent=1.0,
        budget_bytes=2 * GB,
        available_bytes=int(left * GB),
    )


def pictured(now: Snapshot, *history: Snapshot, marks: tuple[Mark, ...] = ()) -> dict[str, Any]:
    view = picture_view(now, (*history, now), marks)
    assert json.dumps(view)
    return view


def test_layers_stand_on_each_other_and_end_at_what_is_used() -> None:
    before = snapshot(990.0, 1.0)
    now = snapshot(1000.0, 1.5, workers=(worker(1, 0.4), worker(2, 0.2)))
    view = pictured(now, before)
    assert [layer["name"] for layer in view["layers"]] == [
        "this web app",
        "sprout · int4",
        "sprout · int4",
        "kernel, files and other programs",
    ]
    heights = [layer["heights"] for layer in view["layers"]]
    assert [round(sum(column), 3) for column in zip(*heights, strict=True)] == [0.333, 0.5]
    assert heights[1] == [0, pytest.approx(0.4 / 3, abs=1e-4)]
    assert view["times"][-1] == 1.0
    assert view["limit"] == 1.0
    assert view["budget"] == pytest.approx(2 / 3, abs=1e-4)
    assert view["peak"] == 0.5
    assert len({layer["colour"] for layer in view["layers"]}) == 4


def test_a_sliver_below_a_large_limit_is_drawn_large_and_says_so() -> None:
    view = pictured(snapshot(used=2.0, limit=256))
    assert view["limit"] > 1
    assert view["top_text"] == "2.5 GB"
    assert view["limit_text"] == "256 GB"


def test_the_highest_moment_of_a_bucket_is_the_one_shown() -> None:
    seconds = [snapshot(400.0 + i, used=2.9 if i == 123 else 1.0) for i in range(600)]
    shown = fullest(999.0, seconds)
    assert len(shown) <= BUCKETS + 1
    assert max(each.devices[0].used_bytes or 0 for each in shown) == int(2.9 * GB)
    assert fullest(999.0, [snapshot(100.0), snapshot(1001.0)]) == []


def test_an_unknown_use_is_no_picture_of_nothing() -> None:
    view = pictured(snapshot(used=None, workers=(worker(1, 0.4),)))
    assert view["peak"] is None
    assert view["peak_text"] == "n/a"
    assert [part["name"] for part in view["now"]] == ["this web app", "sprout · int4"]


def test_marks_of_one_kind_and_moment_are_one_glyph() -> None:
    marks = (
        Mark(995.0, "load", "sprout loaded in 1.00 s"),
        Mark(995.1, "answer", "sprout: 5 tokens"),
        Mark(995.2, "answer", "sprout: 6 tokens"),
        Mark(1000.0 - SPAN_S - 5, "answer", "too old"),
    )
    view = pictured(snapshot(), marks=marks)
    assert [mark["kind"] for mark in view["marks"]] == ["load", "answer"]
    assert view["marks"][1]["title"] == "sprout: 5 tokens (5 s ago), and 1 more: answer"
    assert view["events"][0]["text"] == "sprout: 6 tokens"
    assert len(view["events"]) == 3


def test_helpers_of_one_part_are_one_row() -> None:
    helpers = tuple(Helper(pid, "helper", GB // 10, GB // 20, 1.0) for pid in (5, 6))
    view = meters_view(replace(snapshot(), helpers=helpers), [], may_unload=True)
    rows = view["rows"]
    assert isinstance(rows, list)
    assert [row["cells"][0] for row in rows] == ["this web app", "helper, 2 processes"]
    assert rows[1]["cells"][2] == "200 MB"
    unknown = (helpers[0], replace(helpers[1], pss_bytes=None))
    view = meters_view(replace(snapshot(), helpers=unknown), [], may_unload=True)
    rows = view["rows"]
    assert isinstance(rows, list)
    assert rows[1]["cells"][2] == "n/a"


def test_an_alarm_is_a_sentence_on_every_tab() -> None:
    assert strip_view(snapshot(used=1.0))["alarm"] == ""
    full = snapshot(used=2.8)
    assert alarm_of(full).level == "refuse"
    assert strip_view(full)["alarm"] == (
        "Memory is 93 % full, of 3.0 GB: nothing more is loaded until a model is unloaded or a "
        "program closed."
    )
    # A wider group may be fuller than the one whose limit is shown.
    assert alarm_of(snapshot(used=1.0, available=0.05)).level == "end"
    assert alarm_of(replace(full, available_bytes=None)).level == "ok"


def test_hours_are_drawn_against_the_limit_with_gaps() -> None:
    now = 100_000.0
    rows = [
        {"at": now - ago, "memory_used_max_bytes": used, "memory_limit_bytes": 4, "cpu": 0.5}
        for ago, used in ((90_000, 4), (7200, 1), (600, 2), (660, 3))
    ]
    view: Any = hours_view(rows, now)
    assert json.dumps(view)
    memory = view["charts"][0]["points"]
    assert [value for _, value in memory] == [0.25, 0.25, None, 0.75, 0.75]
    assert "3 min" in view["note"]
    assert "Nothing has been kept" in str(hours_view([], now)["note"])
    odd: Any = hours_view([{"at": now, "memory_used_max_bytes": None}], now)
    assert [value for _, value in odd["charts"][0]["points"]] == [None, None]


def test_each_file_is_saved_once() -> None:
    first, second = csv_file("seconds", "a", 1.0), csv_file("seconds", "a", 2.0)
    assert first["name"] == "slm-explorer-seconds-19700101-000001.csv"
    assert first["id"] != second["id"]

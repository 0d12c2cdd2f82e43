"""Who has the memory, the hours behind, and what leaves the app as CSV."""

from __future__ import annotations

import csv
import io
from dataclasses import replace

import pytest

from slm_explorer.meters.events import EventLog, Mark
from slm_explorer.meters.history import Minutes, Row, flat, to_csv
from slm_explorer.meters.readings import Detail, DeviceReading, Helper, Snapshot
from slm_explorer.meters.shares import shares
from tests.meters.test_sampler import worker

MEMORY = DeviceReading(
    "memory",
    "Memory",
    1000,
    3000,
    1 / 3,
    source="cgroup v2 memory.max",
    details=(Detail("page cache", 50.0, "bytes", "cgroup v2"),),
)


def snapshot(at: float = 100.0, used: int | None = 1000) -> Snapshot:
    first = replace(worker(7, "sprout#1"), pss_bytes=300, uss_bytes=250)
    return Snapshot(
        at=at,
        cores=(),
        devices=(replace(MEMORY, used_bytes=used),),
        workers=(first, replace(first, key="gone", phase="dead")),
        app_pss_bytes=200,
        app_uss_bytes=150,
        app_cpu_percent=None,
        budget_bytes=900,
        helpers=(Helper(8, "libraries shared by all models", 100, 90, 0.0),),
    )


def test_the_parts_add_up_to_what_is_used() -> None:
    parts = shares(snapshot())
    assert [(part.kind, part.bytes) for part in parts] == [
        ("app", 200),
        ("helper", 100),
        ("worker", 300),
        ("others", 400),
    ]
    assert parts[1].name == "libraries shared by all models"


def test_a_part_that_is_unknown_is_in_the_rest() -> None:
    assert [part.kind for part in shares(replace(snapshot(), app_pss_bytes=None))] == [
        "app",
        "helper",
        "worker",
        "others",
    ]  # USS stands in
    unknown = replace(snapshot(), app_pss_bytes=None, app_uss_bytes=None)
    assert [(part.kind, part.bytes) for part in shares(unknown)] == [
        ("helper", 100),
        ("worker", 300),
        ("others", 600),
    ]
    assert [part.kind for part in shares(snapshot(used=None))] == ["app", "helper", "worker"]


def test_parts_beyond_what_is_charged_have_no_rest_below_nothing() -> None:
    assert [part.kind for part in shares(snapshot(used=500))] == ["app", "helper", "worker"]


def test_a_minute_is_folded_into_one_row_with_its_peak() -> None:
    kept: list[Row] = []
    minutes = Minutes(kept.append)
    for at, used in ((120.0, 1000), (121.0, 2000), (150.0, None), (180.0, 7)):
        minutes.add(snapshot(at, used))
    (row,) = kept
    assert row["at"] == 120.0
    assert row["memory_used_bytes"] == 1500
    assert row["memory_used_max_bytes"] == 2000
    assert row["model sprout-5m bytes"] == 300
    assert row["gpu_used_bytes"] is None
    minutes.flush()
    minutes.flush()
    assert [each["at"] for each in kept] == [120.0, 180.0]


def test_a_clock_set_back_begins_a_new_minute() -> None:
    kept: list[Row] = []
    minutes = Minutes(kept.append)
    minutes.add(snapshot(600.0))
    minutes.add(snapshot(60.0))
    minutes.flush()
    assert [row["at"] for row in kept] == [600.0, 60.0]


def test_csv_has_every_column_once_and_the_events_where_they_happened() -> None:
    rows = [flat(snapshot(at)) for at in (100.0, 101.0)]
    rows[1]["model late, or not bytes"] = 5
    marks = [Mark(100.5, "load", "sprout loaded in 1.20 s"), Mark(100.9, "answer", "sprout")]
    text = to_csv(rows, marks)
    table = list(csv.DictReader(io.StringIO(text)))
    assert [row["time"] for row in table] == [
        "1970-01-01T00:01:40+00:00",
        "1970-01-01T00:01:41+00:00",
    ]
    assert table[0]["model late, or not bytes"] == ""
    assert table[1]["model late, or not bytes"] == "5"
    assert table[0]["gpu_used_bytes"] == ""
    assert table[0]["memory_used_bytes"] == "1000"
    assert table[0]["events"] == ""
    assert table[1]["events"] == "load: sprout loaded in 1.20 s; answer: sprout"


def test_csv_holds_no_formula() -> None:
    for text in ("=1+1", "+1", "-1", "@x"):
        row = next(csv.DictReader(io.StringIO(to_csv([{"at": 1.0, "name": text}]))))
        assert row["name"] == f"'{text}"


@pytest.mark.parametrize("count", [1, 2500])
def test_the_event_log_keeps_the_newest_and_finds_by_time(count: int) -> None:
    now = 0.0
    log = EventLog(clock=lambda: now)
    for number in range(count):
        now = float(number)
        log.note("answer", str(number))
    assert len(log.since(0.0)) == min(count, 2000)
    assert [mark.text for mark in log.since(count - 1.0)] == [str(count - 1)]
    assert log.since(count) == ()

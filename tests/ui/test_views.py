"""What the page is told to show: units, methods, n/a with its reason, sources of facts."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from slm_explorer.energy import Energy, no_energy
from slm_explorer.meters.readings import DeviceReading, Snapshot
from slm_explorer.tasks import Task
from slm_explorer.types import GenerationStats, ModelSpec, WorkerState
from slm_explorer.ui.board import board_view
from slm_explorer.ui.conversation import Answer, Conversation, Turn
from slm_explorer.ui.examples import GROUPS, example_groups, examples
from slm_explorer.ui.meters_view import meters_view, strip_view

STATS = GenerationStats(
    prompt_tokens=40,
    cached_tokens=30,
    output_tokens=12,
    finish_reason="stop",
    ttft_s=0.0123,
    prefill_tps=2000.0,
    decode_tps=345.6,
    seed=5,
    load_s=1.5,
    memory_bytes=180_000_000,
    peak_memory_bytes=190_000_000,
)


def shown(*answers: Answer | None) -> list[dict[str, object]]:
    """The views of one turn's answers."""
    padded = (*answers, None, None, None, None)[:4]
    view = board_view(Conversation("k", (Turn("p", padded),)), [], {})
    assert json.dumps(view)
    turns = view["turns"]
    assert isinstance(turns, list)
    return list(turns[0]["answers"])


def figures(answer: Answer) -> dict[str, str]:
    rows = shown(answer)[0]["figures"]
    assert isinstance(rows, list)
    return {row["text"]: row["title"] for row in rows}


def test_figures_have_units_and_their_method() -> None:
    said = figures(Answer("m", status="done", stats=STATS))
    assert list(said) == ["TTFT 12 ms", "346 tok/s", "12 tokens", "180 MB", "load 1.50 s"]
    assert "read 10 tokens" in said["TTFT 12 ms"]
    assert "30 more were kept" in said["TTFT 12 ms"]
    assert "USS" in said["180 MB"]
    assert "190 MB" in said["180 MB"]


def test_what_was_not_measured_is_not_a_number() -> None:
    stats = replace(STATS, ttft_s=None, decode_tps=None, memory_bytes=None, load_s=None)
    said = figures(Answer("m", status="done", stats=stats))
    assert list(said) == ["TTFT n/a", "n/a tok/s", "12 tokens", "n/a"]
    assert "no token after the first" in said["n/a tok/s"]


def test_an_answer_that_shared_its_steps_says_with_how_many() -> None:
    said = figures(Answer("m", status="done", stats=replace(STATS, batch=7)))
    assert "slower than alone" in said["7 at once"]


def test_energy_stands_under_an_answer_with_its_method() -> None:
    spent = Energy(0.6, 0.6, "measured: RAPL, less 3.0 W when idle")
    said = figures(Answer("m", status="done", stats=replace(STATS, energy=spent)))
    assert said["0.6 J"] == "50 mJ per token. Measured: RAPL, less 3.0 W when idle."
    spent = Energy(10.0, 2500.0, "estimated: CPU seconds")
    said = figures(Answer("m", status="done", stats=replace(STATS, energy=spent)))
    assert "10 to 2,500 J" in said
    spent = no_energy("n/a: this machine shows no RAPL counters")
    said = figures(Answer("m", status="done", stats=replace(STATS, energy=spent)))
    assert said["energy n/a"] == "Energy is not known: this machine shows no RAPL counters."


def test_a_race_is_named_in_the_method() -> None:
    said = figures(Answer("m", status="done", stats=STATS, together=True))
    assert "Other lanes" in said["346 tok/s"]


@pytest.mark.parametrize(
    ("answer", "note"),
    [
        (Answer("m"), "waits for lane A"),
        (Answer("m", together=True), "starting"),
        (Answer("m", status="queued", ahead=3), "queued: 3 ahead"),
        (Answer("m", status="loading", fraction=0.4), "loading the model, 40%"),
        (Answer("m", status="stopped"), "stopped before the first token"),
        (
            Answer("m", status="done", stats=replace(STATS, finish_reason="length")),
            "cut: reached max tokens",
        ),
    ],
)
def test_a_lane_says_what_it_is_doing(answer: Answer, note: str) -> None:
    assert shown(Answer("m", status="writing"), answer)[1]["note"] == note


def snapshot(*devices: DeviceReading, at: float = 100.0) -> Snapshot:
    spec = ModelSpec("sprout-1m", "/x")
    worker = WorkerState(
        key="sprout-1m:native#1",
        spec=spec,
        pid=7,
        phase="busy",
        loading_fraction=1.0,
        info=None,
        predicted_bytes=200_000_000,
        waiting=2,
        idle_s=0.0,
        uss_bytes=180_000_000,
    )
    return Snapshot(
        at=at,
        cores=(0.5, 1.0),
        devices=devices,
        workers=(worker, replace(worker, key="gone", phase="dead")),
        app_pss_bytes=None,
        app_uss_bytes=None,
        app_cpu_percent=None,
        budget_bytes=None,
        gpu_reason="n/a: no driver",
    )


MEMORY = DeviceReading(
    "memory", "Memory", 2_000_000_000, 8_000_000_000, 0.25, source="cgroup v2 memory.max"
)
SWAP = DeviceReading("swap", "Swap", reason="n/a: this machine has no swap")


def test_the_strip_names_the_limit_and_its_source() -> None:
    items = strip_view(snapshot(MEMORY))["items"]
    assert isinstance(items, list)
    assert items[0]["text"] == "2 GB of 8 GB"
    assert items[0]["title"] == "cgroup v2 memory.max"
    assert (items[1]["text"], items[1]["fraction"]) == ("n/a", None)
    assert items[2]["text"] == "1 loaded"


def test_meters_say_why_a_value_is_missing() -> None:
    now = snapshot(MEMORY, SWAP)
    view = meters_view(now, [snapshot(MEMORY, SWAP, at=90.0), now], may_unload=False)
    assert json.dumps(view)
    gauges = view["gauges"]
    assert isinstance(gauges, list)
    by_id = {gauge["id"]: gauge for gauge in gauges}
    assert by_id["memory"]["points"] == [[10.0, 0.25], [0.0, 0.25]]
    assert (by_id["swap"]["text"], by_id["swap"]["note"]) == ("n/a", "this machine has no swap")
    assert (by_id["gpu"]["text"], by_id["gpu"]["note"]) == ("n/a", "no driver")
    rows = view["rows"]
    assert isinstance(rows, list)
    assert [row["key"] for row in rows] == ["app", "sprout-1m:native#1"]
    assert rows[0]["cells"][2:4] == ["n/a", "n/a"]
    assert rows[1]["cells"][1:4] == ["busy, 2 waiting", "n/a", "180 MB"]
    assert not rows[1]["may_unload"]


def test_history_older_than_ten_minutes_is_not_drawn() -> None:
    now = snapshot(MEMORY, at=1000.0)
    view = meters_view(now, [snapshot(MEMORY, at=300.0), now], may_unload=True)
    gauges = view["gauges"]
    assert isinstance(gauges, list)
    assert gauges[0]["points"] == [[0.0, 0.25]]


@pytest.mark.parametrize("use", GROUPS)
def test_examples_are_found_by_their_index(use: Task) -> None:
    indices = [
        item["index"]
        for group in example_groups(use)
        if isinstance(group["items"], list)
        for item in group["items"]
    ]
    assert indices == list(range(len(examples(use))))

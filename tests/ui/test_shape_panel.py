"""A measured shape: stopped when asked, and still known to the next start of the app."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from slm_explorer.services import Services, build_services
from slm_explorer.settings import Settings
from slm_explorer.ui.shape_panel import ShapeRun, ShapeRuns, result_view

CARD = "sprout-300k"


@pytest.fixture
def services(tmp_path: Path) -> Iterator[Services]:
    made = build_services(replace(Settings.from_env({}), home=tmp_path))
    yield made
    made.close()


def measured(services: Services, cancel: threading.Event) -> ShapeRun:
    runs = ShapeRuns(services)
    card = services.catalog.get(CARD)
    runs._newest = ShapeRun(card, "native")
    runs._run(card, "native", cancel)
    assert runs.newest is not None
    return runs.newest


def test_a_result_is_there_after_a_restart(services: Services) -> None:
    ended = measured(services, threading.Event())
    assert (ended.running, ended.error) == (False, "")
    services.close()
    later = build_services(services.settings)
    try:
        (row,) = later.store.runs("bench")
        assert row["shape"] is True
        assert "tokens/s" in result_view(row)["speed"]
    finally:
        later.close()


def test_a_stopped_measurement_says_so_and_keeps_nothing(services: Services) -> None:
    cancel = threading.Event()
    cancel.set()
    ended = measured(services, cancel)
    assert not ended.running
    assert "stopped" in ended.error
    assert services.store.runs("bench") == []

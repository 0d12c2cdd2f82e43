from __future__ import annotations

import sqlite3
import time
from dataclasses import replace
from pathlib import Path

import pytest

from slm_explorer.assets import asset_folder
from slm_explorer.catalog.catalog import Catalog
from slm_explorer.errors import StorageError
from slm_explorer.loads import Loads, engine_version
from slm_explorer.store import Load, Store

MB = 10**6
CATALOG = Catalog.load(asset_folder())
LOAD = Load(
    model="a",
    recipe="bf16",
    engine="torch",
    engine_version="1",
    spec="{}",
    context_tokens=2048,
    predicted_bytes=120 * MB,
    loaded_bytes=100 * MB,
    measured_bytes=104 * MB,
    weights_bytes=60 * MB,
    parts={"weights": 60 * MB, "kv_cache": None},
)


def test_a_load_comes_back_as_it_was_kept_after_a_restart(tmp_path: Path) -> None:
    store = Store(tmp_path)
    store.record_peak(replace(LOAD, at=5.0))
    store.record_peak(replace(LOAD, model="b", at=4.0))
    store.close()
    again = Store(tmp_path)
    assert again.peaks("a") == [replace(LOAD, at=5.0)]
    assert [load.model for load in again.peaks()] == ["b", "a"]
    again.close()


def test_only_small_measured_loads_of_the_same_engine_correct(tmp_path: Path) -> None:
    store = Store(tmp_path)
    for at, change in enumerate(
        (
            {},
            {"engine_version": "2"},
            {"weights_bytes": 10**10},
            {"measured_bytes": None},
            {"measured_bytes": 90 * MB},
        ),
        start=1,
    ):
        store.record_peak(replace(LOAD, at=float(at), **change))  # type: ignore[arg-type]
    assert store.residuals("1", max_weights=10**9, newest=20) == [-10 * MB, 4 * MB]
    assert store.residuals("1", max_weights=10**9, newest=1) == [-10 * MB]
    store.close()


def test_a_new_engine_version_forgets_the_correction(tmp_path: Path) -> None:
    store = Store(tmp_path)
    for at in range(1, 6):
        store.record_peak(replace(LOAD, at=float(at)))
    assert Loads(CATALOG, store).correction.count == 0
    for at in range(6, 10):
        store.record_peak(replace(LOAD, at=float(at), engine_version=engine_version()))
    found = Loads(CATALOG, store).correction
    assert (found.bytes, found.count) == (4 * MB, 4)
    store.close()


def test_a_home_that_cannot_be_written_corrects_nothing_and_says_so(tmp_path: Path) -> None:
    (tmp_path / "home").write_text("a file where the folder should be")
    store = Store(tmp_path / "home")
    with pytest.raises(StorageError, match="--home"):
        store.record_peak(LOAD)
    assert Loads(CATALOG, store).correction.count == 0


def test_a_store_of_an_older_version_is_read_on(tmp_path: Path) -> None:
    with sqlite3.connect(tmp_path / "store.sqlite3") as old:
        old.execute("CREATE TABLE runs (at REAL NOT NULL, kind TEXT NOT NULL, row TEXT NOT NULL)")
        old.execute("INSERT INTO runs VALUES (1, 'bench', '{\"model\": \"a\"}')")
    old.close()
    store = Store(tmp_path)
    store.record_peak(LOAD)
    assert store.runs("bench") == [{"model": "a"}]
    assert len(store.peaks()) == 1
    store.close()


def test_of_a_run_of_the_lab_the_newest_state_is_kept(tmp_path: Path) -> None:
    store = Store(tmp_path)
    store.keep_lab_run("b", 2.0, {"state": "queued"})
    store.keep_lab_run("a", 1.0, {"state": "done"})
    store.keep_lab_run("b", 2.0, {"state": "failed"})
    store.close()
    assert Store(tmp_path).lab_runs() == [{"state": "done"}, {"state": "failed"}]
    store.forget_lab_run("a")
    assert store.lab_runs() == [{"state": "failed"}]


def test_old_rows_of_one_kind_are_forgotten(tmp_path: Path) -> None:
    store = Store(tmp_path)
    store.record_run("meters", {"at": 1})
    store.record_run("bench", {"model": "x"})
    store.forget_runs("meters", time.time() - 60)
    assert store.runs("meters") == [{"at": 1}]
    store.forget_runs("meters", time.time() + 60)
    assert store.runs("meters") == []
    assert store.runs("bench") == [{"model": "x"}]
    store.close()

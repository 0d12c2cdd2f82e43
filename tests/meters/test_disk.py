from __future__ import annotations

import os
import shutil
from pathlib import Path

from slm_explorer.meters.disk import REFRESH_S, DiskMeter, folder_size


def fill(folder: Path) -> Path:
    """A model cache: blobs, and snapshots that link to them."""
    (folder / "blobs").mkdir(parents=True)
    (folder / "snapshots").mkdir()
    (folder / "blobs" / "a").write_bytes(bytes(1000))
    (folder / "blobs" / "b").write_bytes(bytes(234))
    (folder / "snapshots" / "model.safetensors").symlink_to("../blobs/a")
    (folder / "snapshots" / "broken").symlink_to("../blobs/none")
    (folder / "loop").symlink_to(folder)
    return folder


def test_linked_files_count_once(tmp_path: Path) -> None:
    assert folder_size(fill(tmp_path / "hub")) == 1234


def test_the_reading_knows_the_free_space(tmp_path: Path) -> None:
    (reading,) = DiskMeter([fill(tmp_path / "hub")]).read()
    assert (reading.kind, reading.used_bytes, reading.reason) == ("disk", 1234, None)
    assert reading.total_bytes is not None
    free = shutil.disk_usage(tmp_path).free
    assert abs(reading.total_bytes - 1234 - free) < 10**9  # others write to this disk too
    assert reading.utilization is not None
    assert 0 < reading.utilization < 1


def test_the_folder_is_walked_again_only_after_a_while(tmp_path: Path) -> None:
    folder = fill(tmp_path / "hub")
    now = 1000.0
    meter = DiskMeter([folder], clock=lambda: now)
    assert meter.read()[0].used_bytes == 1234
    (folder / "more").write_bytes(bytes(66))
    now += REFRESH_S - 1
    assert meter.read()[0].used_bytes == 1234
    now += 1
    assert meter.read()[0].used_bytes == 1300


def test_a_missing_folder_is_not_available_until_it_is_there(tmp_path: Path) -> None:
    now = 0.0
    meter = DiskMeter([tmp_path / "hub", tmp_path], clock=lambda: now)
    missing, there = meter.read()
    assert (missing.used_bytes, missing.total_bytes, missing.utilization) == (None, None, None)
    assert missing.reason == "n/a: the folder does not exist yet"
    assert there.reason is None
    fill(tmp_path / "hub")
    now = REFRESH_S
    assert meter.read()[0].used_bytes == 1234


def test_a_name_that_is_no_text_counts_too(tmp_path: Path) -> None:
    Path(os.fsdecode(os.fsencode(tmp_path) + b"/\xff")).write_bytes(bytes(10))
    assert folder_size(tmp_path) == 10

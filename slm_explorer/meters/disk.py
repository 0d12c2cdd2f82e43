"""Size of the model cache and the free space around it."""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from slm_explorer.meters.readings import DeviceReading

REFRESH_S = 30.0


class DiskMeter:
    """Reads the cache folders at most every REFRESH_S: walking thousands of files costs."""

    def __init__(
        self, folders: Sequence[Path], clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._folders = tuple(folders)
        self._clock = clock
        self._read_at = 0.0
        self._readings: tuple[DeviceReading, ...] | None = None

    def read(self) -> tuple[DeviceReading, ...]:
        """One reading a folder; a missing or unreadable one is n/a with the reason."""
        now = self._clock()
        if self._readings is None or now - self._read_at >= REFRESH_S:
            self._readings = tuple(_read_folder(folder) for folder in self._folders)
            self._read_at = now
        return self._readings


def _read_folder(folder: Path) -> DeviceReading:
    name = f"model cache {folder}"
    if not folder.is_dir():
        return DeviceReading("disk", name, reason="n/a: the folder does not exist yet")
    try:
        size = folder_size(folder)
        disk = shutil.disk_usage(folder)
    except OSError as error:
        return DeviceReading("disk", name, reason=f"n/a: it cannot be read ({error.strerror})")
    return DeviceReading(
        "disk",
        name,
        used_bytes=size,
        total_bytes=size + disk.free,
        utilization=disk.used / disk.total if disk.total else None,
        source="files in the folder, and the free space of its disk",
    )


def folder_size(folder: Path) -> int:
    """Bytes of the regular files below `folder`; links, of which a model cache is full, are
    not followed, and what vanishes or is hidden meanwhile counts as nothing.
    """
    total = 0
    pending = [os.fspath(folder)]
    while pending:
        try:
            with os.scandir(pending.pop()) as entries:
                for entry in entries:
                    if entry.is_dir(follow_symlinks=False):
                        pending.append(entry.path)
                    elif entry.is_file(follow_symlinks=False):
                        total += entry.stat(follow_symlinks=False).st_size
        except (FileNotFoundError, NotADirectoryError, PermissionError):
            continue
    return total

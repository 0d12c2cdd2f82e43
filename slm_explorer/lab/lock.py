"""Which of several apps with one home folder runs the lab there: the one that holds this lock."""

from __future__ import annotations

import os
from pathlib import Path

from slm_explorer.errors import InvalidRequest, SlmError, StorageError

try:
    import fcntl
except ImportError:  # Windows has no such locks
    fcntl = None  # type: ignore[assignment]


class HomeLock:
    """A lock on a file in `folder` that ends with its holder, however that ends."""

    def __init__(self, folder: Path) -> None:
        self._path = folder / ".lock"
        self._handle: int | None = None
        self._refusal: SlmError = _taken(folder)

    @property
    def held(self) -> bool:
        return self._handle is not None

    def check(self) -> None:
        """Raise why it is not ours, where it is not."""
        if not self.held:
            raise self._refusal

    def take(self) -> bool:
        """Whether it is ours now. A folder that cannot be written is nobody's."""
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            handle = os.open(self._path, os.O_RDWR | os.O_CREAT, 0o600)
        except OSError as error:
            self._refusal = StorageError(
                f"The lab cannot write in {self._path.parent} ({error.strerror}): free it, or "
                "choose another folder with --home."
            )
            return False
        try:
            if fcntl is not None:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            os.close(handle)
            return False
        self._handle = handle
        return True

    def release(self) -> None:
        if self._handle is not None:
            os.close(self._handle)
        self._handle = None


def _taken(folder: Path) -> SlmError:
    return InvalidRequest(
        f"Another slm-explorer runs the lab in {folder}: use that one, or start this one with "
        "another --home."
    )

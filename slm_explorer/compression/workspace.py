"""The folder in which a compressed checkpoint comes into being, beside the place where it will
stand: either all of it appears there at once, or nothing does.

Standard library only. Whatever a killed run leaves behind is found by its name, and known to
be left behind because nobody holds its lock any more.
"""

from __future__ import annotations

import os
import re
import secrets
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from slm_explorer.errors import InvalidRequest, StorageError

try:
    import fcntl
except ImportError:  # Windows has no such locks
    fcntl = None  # type: ignore[assignment]

_LEFTOVER = re.compile(r"\..{1,200}\.slm-partial-[0-9a-f]{8}")
_DAY_S = 86_400
# What is copied beside the weights: tokenizers, templates, cards, licences.
_COPIED = (".json", ".txt", ".model", ".jinja", ".md", ".tiktoken", ".vocab")
_COPIED_NAMES = ("LICENSE", "LICENCE", "NOTICE", "USE_POLICY")
MOST_COPIED_BYTES = 64 * 2**20
# The shipped models' evaluation.json holds the parent's marks, not the child's.
_NOT_COPIED = ("config.json", "model.safetensors.index.json", "evaluation.json")


def remove_leftovers(folder: Path) -> list[Path]:
    """Delete the unfinished folders in `folder` whose makers are gone; returns them."""
    removed = []
    try:
        entries = sorted(folder.iterdir())
    except OSError:
        return []
    for entry in entries:
        if _LEFTOVER.fullmatch(entry.name) and entry.is_dir() and _abandoned(entry):
            shutil.rmtree(entry, ignore_errors=True)
            removed.append(entry)
    return removed


def check_target(out: Path) -> None:
    """InvalidRequest where `out` exists, or could not be made."""
    if os.path.lexists(out):
        raise InvalidRequest(f"{out} exists already: choose another folder, or remove it first.")
    if not out.name:
        raise InvalidRequest(f"{out} is no name for a new folder.")


@contextmanager
def new_folder(out: Path, needed: int) -> Iterator[Path]:
    """A folder to write in, which becomes `out` when the block ends well and is deleted when it
    does not. `needed` bytes must be free. InvalidRequest where `out` exists, StorageError where
    the disk is full or cannot be written.
    """
    check_target(out)
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        remove_leftovers(out.parent)
        free = shutil.disk_usage(out.parent).free
        if free < needed:
            raise StorageError(
                f"{out.parent} has {free / 1e6:,.0f} MB free and {needed / 1e6:,.0f} MB are "
                "needed: free some space, or choose another folder."
            )
        work = out.parent / f".{out.name[:100]}.slm-partial-{secrets.token_hex(4)}"
        work.mkdir()
    except OSError as error:
        raise _storage_error(out, error) from error
    lock = _lock(work)
    try:
        yield work
        # A folder that has come to stand there meanwhile is not replaced: unlike files, only
        # an empty folder could be, and that is looked for here.
        check_target(out)
        work.rename(out)
    except OSError as error:
        raise _storage_error(out, error) from error
    finally:
        shutil.rmtree(work, ignore_errors=True)
        if lock is not None:
            os.close(lock)


def _storage_error(out: Path, error: OSError) -> StorageError:
    return StorageError(
        f"{out} cannot be written ({error.strerror or error}): free some space there, or choose "
        "another folder."
    )


def _lock(folder: Path) -> int | None:
    if fcntl is None:
        return None
    handle = os.open(folder, os.O_RDONLY)
    fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    return handle


def _abandoned(folder: Path) -> bool:
    try:
        if fcntl is None:
            return time.time() - folder.stat().st_mtime > _DAY_S
        handle = os.open(folder, os.O_RDONLY)
    except OSError:
        return False
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    finally:
        os.close(handle)
    return True


def copy_files(source: Path, work: Path) -> None:
    """Copy what stands beside the weights: tokenizer, templates, card, licence."""
    for entry in sorted(source.iterdir()):
        wanted = entry.suffix in _COPIED or entry.name.startswith(_COPIED_NAMES)
        if not wanted or entry.name in _NOT_COPIED or not entry.is_file():
            continue
        if entry.stat().st_size <= MOST_COPIED_BYTES:
            shutil.copyfile(entry, work / entry.name)

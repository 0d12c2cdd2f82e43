"""This process's control groups, and the one-number files that the kernel writes.

Files and formats: https://docs.kernel.org/admin-guide/cgroup-v2.html and
.../cgroup-v1/memory.html. Everything is read below a `root`, "/" in earnest, so that tests can
build a machine in a folder. A file that is missing or malformed is None; it never raises.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Group:
    """A control group's folder for one controller, and its version's file names."""

    folder: Path
    v2: bool


def groups(root: Path, controller: str) -> Iterator[Group]:
    """This process's control groups for a controller, innermost first, up to the mount."""
    base = root / "sys" / "fs" / "cgroup"
    for line in lines(root / "proc" / "self" / "cgroup"):
        number, _, rest = line.partition(":")
        controllers, _, path = rest.partition(":")
        if number == "0" and not controllers:
            mount = base if (base / "cgroup.controllers").exists() else base / "unified"
            yield from _upwards(mount, path, v2=True)
        elif controller in controllers.split(","):
            named = base / controllers
            mount = named if named.is_dir() else base / controller
            yield from _upwards(mount, path, v2=False)


def _upwards(mount: Path, path: str, *, v2: bool) -> Iterator[Group]:
    parts = [part for part in path.split("/") if part not in ("", ".", "..")]
    # A container that sees the host's path but only its own mount: its limits are at the mount.
    if not mount.joinpath(*parts).is_dir():
        parts = []
    for depth in range(len(parts), -1, -1):
        yield Group(mount.joinpath(*parts[:depth]), v2)


def lines(path: Path) -> Iterator[str]:
    try:
        text = path.read_text("utf-8", "replace")
    except OSError:
        return
    yield from text.splitlines()


def whole(text: str) -> int | None:
    try:
        return int(text)
    except ValueError:  # "max", or not a number at all
        return None


def number(path: Path) -> int | None:
    return whole(next(lines(path), ""))


def statistic(path: Path, key: str) -> int | None:
    """The number behind `key` in a file of "key value [unit]" lines."""
    for line in lines(path):
        name, _, rest = line.partition(" ")
        if name == key:
            return whole(rest.split()[0]) if rest.split() else None
    return None

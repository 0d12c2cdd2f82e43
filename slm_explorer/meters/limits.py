"""The memory and the cores that this process may really use.

Inside a container, psutil and /proc/meminfo tell of the whole host: what counts is the
smallest limit on the way from this process's control group to the root. Files and formats:
https://docs.kernel.org/admin-guide/cgroup-v2.html and .../cgroup-v1/memory.html.

Everything is read below `root`, "/" in earnest, so that tests can build a machine in a folder.
A file that is missing or malformed sets no limit; it never raises.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import psutil

from slm_explorer.errors import InvalidRequest
from slm_explorer.settings import parse_bytes

_ROOT = Path("/")


@dataclass(frozen=True)
class MemoryReading:
    """Bytes. `used` leaves out page cache that the kernel can drop at once; None where nothing
    tells what this container uses: the machine's own use would be its neighbours'.

    `available` is what can still be taken: no more than any limit leaves, nor than the machine
    has. `source` names what set `limit`, the smallest.
    """

    limit: int
    used: int | None
    available: int
    source: str


@dataclass(frozen=True)
class CpuLimit:
    """Cores that may be used at once; a quota may be a fraction. `source` names what set it."""

    cores: float
    source: str


@dataclass(frozen=True)
class _Group:
    """A control group's folder for one controller, and its version's file names."""

    folder: Path
    v2: bool


def read_memory(*, root: Path = _ROOT, env: Mapping[str, str] | None = None) -> MemoryReading:
    """The memory limit of this process and what is used of it.

    The smallest of: every control group above this process (v2's memory.max and memory.high,
    v1's memory.limit_in_bytes), MEMORY on a Hugging Face Space, the machine's own memory.
    """
    total, free = _machine_memory(root)
    limit, available, source = total, free, "machine"
    used: int | None = total - free
    groups = list(_groups(root, "memory"))
    for group in groups:
        names = ("memory.max", "memory.high") if group.v2 else ("memory.limit_in_bytes",)
        for name in names:
            found = _number(group.folder / name)
            # A limit at or above the machine's memory is how v1 writes "none".
            if found is None or not 0 < found < total:
                continue
            usage = _group_usage(group)
            # A wider group may be the fuller one, when others share it.
            available = min(available, max(0, found - (usage or 0)))
            if found < limit:
                version = "v2" if group.v2 else "v1"
                limit, used, source = found, usage, f"cgroup {version} {name}"
    told = _space_memory(os.environ if env is None else env)
    if told is not None and told < limit:
        limit, source = told, "the Space's MEMORY"
        # No group sets the limit, but the innermost still tells what this container uses.
        used = None if not groups or _is_v1_root(groups[0], root) else _group_usage(groups[0])
        available = min(available, max(0, told - (used or 0)))
    return MemoryReading(limit, used, available, source)


def cpu_limit(*, root: Path = _ROOT, env: Mapping[str, str] | None = None) -> CpuLimit:
    """The cores of this process: the smallest of quota, Space, affinity and machine."""
    cores, source = float(os.cpu_count() or 1), "machine"
    if hasattr(os, "sched_getaffinity"):
        allowed = float(len(os.sched_getaffinity(0)))
        if allowed < cores:
            cores, source = allowed, "CPU affinity"
    for group in _groups(root, "cpu"):
        quota = _quota(group)
        if quota is not None and quota < cores:
            version, name = ("v2", "cpu.max") if group.v2 else ("v1", "cpu.cfs_quota_us")
            cores, source = quota, f"cgroup {version} {name}"
    values = os.environ if env is None else env
    told = values.get("CPU_CORES", "") if values.get("SPACE_ID") else ""
    if told.isascii() and told.isdigit() and 0 < int(told) < cores:
        cores, source = float(told), "the Space's CPU_CORES"
    return CpuLimit(cores, source)


def group_cpu_seconds(*, root: Path = _ROOT) -> float | None:
    """CPU seconds used so far by this process's own control group; None where it is not told.

    v2's cpu.stat usage_usec, v1's cpuacct.usage.
    """
    for group in _groups(root, "cpu"):
        if group.v2:
            microseconds = _statistic(group.folder / "cpu.stat", "usage_usec")
            if microseconds is not None:
                return microseconds / 1e6
    for group in _groups(root, "cpuacct"):
        nanoseconds = None if group.v2 else _number(group.folder / "cpuacct.usage")
        if nanoseconds is not None:
            return nanoseconds / 1e9
    return None


def _groups(root: Path, controller: str) -> Iterator[_Group]:
    """This process's control groups for a controller, innermost first, up to the mount."""
    base = root / "sys" / "fs" / "cgroup"
    for line in _lines(root / "proc" / "self" / "cgroup"):
        number, _, rest = line.partition(":")
        controllers, _, path = rest.partition(":")
        if number == "0" and not controllers:
            mount = base if (base / "cgroup.controllers").exists() else base / "unified"
            yield from _upwards(mount, path, v2=True)
        elif controller in controllers.split(","):
            named = base / controllers
            mount = named if named.is_dir() else base / controller
            yield from _upwards(mount, path, v2=False)


def _upwards(mount: Path, path: str, *, v2: bool) -> Iterator[_Group]:
    parts = [part for part in path.split("/") if part not in ("", ".", "..")]
    # A container that sees the host's path but only its own mount: its limits are at the mount.
    if not mount.joinpath(*parts).is_dir():
        parts = []
    for depth in range(len(parts), -1, -1):
        yield _Group(mount.joinpath(*parts[:depth]), v2)


def _group_usage(group: _Group) -> int | None:
    """What a group uses without inactive page cache: what counts towards an out-of-memory kill."""
    name = "memory.current" if group.v2 else "memory.usage_in_bytes"
    key = "inactive_file" if group.v2 else "total_inactive_file"
    current = _number(group.folder / name)
    if current is None:
        return None
    return max(0, current - (_statistic(group.folder / "memory.stat", key) or 0))


def _is_v1_root(group: _Group, root: Path) -> bool:
    """v1's root group counts the whole host."""
    return not group.v2 and group.folder == root / "sys" / "fs" / "cgroup" / "memory"


def _quota(group: _Group) -> float | None:
    if group.v2:
        parts = next(_lines(group.folder / "cpu.max"), "").split()
        quota, period = (_whole(parts[0]), _whole(parts[1])) if len(parts) == 2 else (None, None)
    else:
        quota = _number(group.folder / "cpu.cfs_quota_us")
        period = _number(group.folder / "cpu.cfs_period_us")
    return quota / period if quota and period and quota > 0 and period > 0 else None


def _machine_memory(root: Path) -> tuple[int, int]:
    """(total, available) bytes of the machine."""
    meminfo = root / "proc" / "meminfo"
    total, free = _statistic(meminfo, "MemTotal:"), _statistic(meminfo, "MemAvailable:")
    if total and free is not None:
        return total * 1024, free * 1024
    machine = psutil.virtual_memory()
    return int(machine.total), int(machine.available)


def _space_memory(env: Mapping[str, str]) -> int | None:
    """MEMORY of a Hugging Face Space, such as "16Gi"; only there, the name is too common."""
    text = env.get("MEMORY", "").strip()
    if not env.get("SPACE_ID") or not text:
        return None
    try:
        return parse_bytes(text + "B" if text.endswith("i") else text) or None
    except InvalidRequest:
        return None


def _lines(path: Path) -> Iterator[str]:
    try:
        text = path.read_text("utf-8", "replace")
    except OSError:
        return
    yield from text.splitlines()


def _whole(text: str) -> int | None:
    try:
        return int(text)
    except ValueError:  # "max", or not a number at all
        return None


def _number(path: Path) -> int | None:
    return _whole(next(_lines(path), ""))


def _statistic(path: Path, key: str) -> int | None:
    """The number behind `key` in a file of "key value [unit]" lines."""
    for line in _lines(path):
        name, _, rest = line.partition(" ")
        if name == key:
            return _whole(rest.split()[0]) if rest.split() else None
    return None

"""The memory and the cores that this process may really use.

Inside a container, psutil and /proc/meminfo tell of the whole host: what counts is the
smallest limit on the way from this process's control group to the root. Files and formats:
https://docs.kernel.org/admin-guide/cgroup-v2.html and .../cgroup-v1/memory.html.

Everything is read below `root`, "/" in earnest, so that tests can build a machine in a folder.
A file that is missing or malformed sets no limit; it never raises.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import psutil

from slm_explorer.errors import InvalidRequest
from slm_explorer.meters.cgroups import Group, groups, lines, number, statistic, whole
from slm_explorer.settings import parse_bytes

_ROOT = Path("/")


@dataclass(frozen=True)
class MemoryReading:
    """Bytes. `used` leaves out page cache that the kernel can drop at once; None where nothing
    tells what this container uses: the machine's own use would be its neighbours'.

    `available` is what can still be taken: no more than any limit leaves, nor than the machine
    has. `source` names what set `limit`, the smallest. `cached` is the page cache of the same
    container or machine, files that the kernel drops at need, `active` that part of it which
    counts as used, and `kernel` what the kernel holds for it (page tables, sockets, slabs); None
    where that is not told.
    """

    limit: int
    used: int | None
    available: int
    source: str
    cached: int | None = None
    kernel: int | None = None
    active: int | None = None


@dataclass(frozen=True)
class CpuLimit:
    """Cores that may be used at once; a quota may be a fraction. `source` names what set it."""

    cores: float
    source: str


def read_memory(*, root: Path = _ROOT, env: Mapping[str, str] | None = None) -> MemoryReading:
    """The memory limit of this process and what is used of it.

    The smallest of: every control group above this process (v2's memory.max and memory.high,
    v1's memory.limit_in_bytes), MEMORY on a Hugging Face Space, the machine's own memory.
    """
    total, free = _machine_memory(root)
    limit, available, source = total, free, "machine"
    used: int | None = total - free
    mine = list(groups(root, "memory"))
    owner: Group | None = None
    for group in mine:
        names = ("memory.max", "memory.high") if group.v2 else ("memory.limit_in_bytes",)
        for name in names:
            found = number(group.folder / name)
            # A limit at or above the machine's memory is how v1 writes "none".
            if found is None or not 0 < found < total:
                continue
            usage = _group_usage(group)
            # A wider group may be the fuller one, when others share it.
            available = min(available, max(0, found - (usage or 0)))
            if found < limit:
                version = "v2" if group.v2 else "v1"
                limit, used, source = found, usage, f"cgroup {version} {name}"
                owner = group
    told = _space_memory(os.environ if env is None else env)
    if told is not None and told < limit:
        limit, source = told, "the Space's MEMORY"
        # No group sets the limit, but the innermost still tells what this container uses.
        owner = None if not mine or _is_v1_root(mine[0], root) else mine[0]
        used = None if owner is None else _group_usage(owner)
        available = min(available, max(0, told - (used or 0)))
        return MemoryReading(limit, used, available, source, *_cached(owner, None))
    return MemoryReading(limit, used, available, source, *_cached(owner, root))


def cpu_limit(*, root: Path = _ROOT, env: Mapping[str, str] | None = None) -> CpuLimit:
    """The cores of this process: the smallest of quota, Space, affinity and machine."""
    cores, source = float(os.cpu_count() or 1), "machine"
    if hasattr(os, "sched_getaffinity"):
        allowed = float(len(os.sched_getaffinity(0)))
        if allowed < cores:
            cores, source = allowed, "CPU affinity"
    for group in groups(root, "cpu"):
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
    for group in groups(root, "cpu"):
        if group.v2:
            microseconds = statistic(group.folder / "cpu.stat", "usage_usec")
            if microseconds is not None:
                return microseconds / 1e6
    for group in groups(root, "cpuacct"):
        nanoseconds = None if group.v2 else number(group.folder / "cpuacct.usage")
        if nanoseconds is not None:
            return nanoseconds / 1e9
    return None


def _group_usage(group: Group) -> int | None:
    """What a group uses without inactive page cache: what counts towards an out-of-memory kill."""
    name = "memory.current" if group.v2 else "memory.usage_in_bytes"
    key = "inactive_file" if group.v2 else "total_inactive_file"
    current = number(group.folder / name)
    if current is None:
        return None
    return max(0, current - (statistic(group.folder / "memory.stat", key) or 0))


def _cached(group: Group | None, root: Path | None) -> tuple[int | None, int | None, int | None]:
    """(page cache, kernel memory, files in use), bytes of a group, or of the machine."""
    if group is not None:
        stat = group.folder / "memory.stat"
        cache = statistic(stat, "file" if group.v2 else "total_cache")
        shared = statistic(stat, "shmem" if group.v2 else "total_shmem") or 0
        kernel = (
            statistic(stat, "kernel")
            if group.v2
            else number(group.folder / "memory.kmem.usage_in_bytes")
        )
        active = statistic(stat, "active_file" if group.v2 else "total_active_file")
        return None if cache is None else max(0, cache - shared), kernel, active
    if root is None:
        return None, None, None
    meminfo = root / "proc" / "meminfo"
    cached, buffers = statistic(meminfo, "Cached:"), statistic(meminfo, "Buffers:")
    shared = statistic(meminfo, "Shmem:") or 0
    parts = [statistic(meminfo, key) for key in ("Slab:", "PageTables:", "KernelStack:")]
    return (
        None if cached is None else max(0, cached + (buffers or 0) - shared) * 1024,
        None if None in parts else sum(part or 0 for part in parts) * 1024,
        None,
    )


def _is_v1_root(group: Group, root: Path) -> bool:
    """v1's root group counts the whole host."""
    return not group.v2 and group.folder == root / "sys" / "fs" / "cgroup" / "memory"


def _quota(group: Group) -> float | None:
    if group.v2:
        parts = next(lines(group.folder / "cpu.max"), "").split()
        quota, period = (whole(parts[0]), whole(parts[1])) if len(parts) == 2 else (None, None)
    else:
        quota = number(group.folder / "cpu.cfs_quota_us")
        period = number(group.folder / "cpu.cfs_period_us")
    return quota / period if quota and period and quota > 0 and period > 0 else None


def _machine_memory(root: Path) -> tuple[int, int]:
    """(total, available) bytes of the machine."""
    meminfo = root / "proc" / "meminfo"
    total, free = statistic(meminfo, "MemTotal:"), statistic(meminfo, "MemAvailable:")
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

"""Limits read from machines that are built file by file in a folder."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

import psutil
import pytest

from slm_explorer.meters.limits import cpu_limit, group_cpu_seconds, read_memory

GIB = 2**30
NONE_V1 = "9223372036854771712\n"  # what v1 writes for "no limit"


def machine(
    root: Path, cgroup: str = "", files: Mapping[str, object] | None = None, free: int = 30
) -> Path:
    """A machine of 64 GiB with `free` GiB available; `files` lie below sys/fs/cgroup."""
    (root / "proc" / "self").mkdir(parents=True)
    (root / "proc" / "self" / "cgroup").write_text(cgroup)
    (root / "proc" / "meminfo").write_text(
        f"MemTotal:       {64 * 2**20} kB\nMemFree: 1 kB\nMemAvailable:   {free * 2**20} kB\n"
    )
    for name, content in (files or {}).items():
        path = root / "sys" / "fs" / "cgroup" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"{content}\n")
    return root


def v2(root: Path, files: Mapping[str, object], path: str = "/", free: int = 30) -> Path:
    return machine(root, f"0::{path}\n", {"cgroup.controllers": "cpu memory", **files}, free)


def test_without_groups_the_machine_is_the_limit(tmp_path: Path) -> None:
    found = read_memory(root=machine(tmp_path), env={})
    assert (found.limit, found.used, found.available) == (64 * GIB, 34 * GIB, 30 * GIB)
    assert found.source == "machine"


def test_without_proc_psutil_tells(tmp_path: Path) -> None:
    found = read_memory(root=tmp_path, env={})
    assert found.limit == psutil.virtual_memory().total
    assert found.used is not None
    assert 0 < found.used < found.limit


def test_v2_limit_and_use_without_page_cache(tmp_path: Path) -> None:
    files = {
        "memory.max": 16 * GIB,
        "memory.high": "max",
        "memory.current": 9 * GIB,
        "memory.stat": f"anon {3 * GIB}\nfile {6 * GIB}\ninactive_file {5 * GIB}\nactive_file 7",
    }
    found = read_memory(root=v2(tmp_path, files), env={})
    assert (found.limit, found.used, found.available) == (16 * GIB, 4 * GIB, 12 * GIB)
    assert found.source == "cgroup v2 memory.max"


def test_v2_max_is_no_limit(tmp_path: Path) -> None:
    files = {"memory.max": "max", "memory.high": "max", "memory.current": GIB}
    found = read_memory(root=v2(tmp_path, files), env={})
    assert (found.limit, found.source) == (64 * GIB, "machine")


def test_v2_high_throttles_before_max_kills(tmp_path: Path) -> None:
    files = {"memory.max": 16 * GIB, "memory.high": 12 * GIB, "memory.current": GIB}
    found = read_memory(root=v2(tmp_path, files), env={})
    assert (found.limit, found.source) == (12 * GIB, "cgroup v2 memory.high")


def test_v2_a_smaller_parent_wins(tmp_path: Path) -> None:
    files = {
        "memory.max": "max",
        "a/memory.max": 4 * GIB,
        "a/memory.current": 3 * GIB,
        "a/b/memory.max": 8 * GIB,
        "a/b/memory.current": GIB,
        "a/b/c/memory.max": "max",
    }
    found = read_memory(root=v2(tmp_path, files, "/a/b/c"), env={})
    assert (found.limit, found.used, found.available) == (4 * GIB, 3 * GIB, GIB)


def test_v2_a_larger_but_fuller_parent_leaves_less(tmp_path: Path) -> None:
    files = {
        "a/memory.max": 8 * GIB,
        "a/memory.current": 7 * GIB,
        "a/b/memory.max": 4 * GIB,
        "a/b/memory.current": GIB,
    }
    found = read_memory(root=v2(tmp_path, files, "/a/b"), env={})
    assert (found.limit, found.used, found.available) == (4 * GIB, GIB, GIB)


def test_a_host_path_that_the_container_cannot_see(tmp_path: Path) -> None:
    files = {"memory.max": 2 * GIB, "memory.current": GIB}
    found = read_memory(root=v2(tmp_path, files, "/docker/0123abc"), env={})
    assert (found.limit, found.available) == (2 * GIB, GIB)


def test_a_path_cannot_lead_out_of_the_mount(tmp_path: Path) -> None:
    root = v2(tmp_path, {"memory.max": 2 * GIB}, "/../../../outside")
    assert read_memory(root=root, env={}).limit == 2 * GIB


def test_the_machine_may_have_less_than_the_limit_leaves(tmp_path: Path) -> None:
    files = {"memory.max": 60 * GIB, "memory.current": GIB}
    assert read_memory(root=v2(tmp_path, files, free=5), env={}).available == 5 * GIB


def test_use_beyond_the_limit_leaves_nothing(tmp_path: Path) -> None:
    files = {"memory.max": GIB, "memory.current": 2 * GIB}
    assert read_memory(root=v2(tmp_path, files), env={}).available == 0


def test_an_unknown_use_is_unknown(tmp_path: Path) -> None:
    found = read_memory(root=v2(tmp_path, {"memory.max": GIB}), env={})
    assert (found.limit, found.used, found.available) == (GIB, None, GIB)


@pytest.mark.parametrize("content", ["", "garbage", "-5", "0", "1e9", "\x00", "9" * 5000])
def test_a_malformed_limit_is_no_limit(tmp_path: Path, content: str) -> None:
    assert read_memory(root=v2(tmp_path, {"memory.max": content}), env={}).source == "machine"


def test_v1_limit_and_use(tmp_path: Path) -> None:
    files = {
        "memory/docker/x/memory.limit_in_bytes": 3 * GIB,
        "memory/docker/x/memory.usage_in_bytes": 2 * GIB,
        "memory/docker/x/memory.stat": f"inactive_file 5\ntotal_inactive_file {GIB}",
        "memory/docker/memory.limit_in_bytes": NONE_V1,
        "memory/memory.limit_in_bytes": NONE_V1,
    }
    cgroup = "4:memory:/docker/x\n3:cpuset:/\n1:name=systemd:/\n0::/\n"
    found = read_memory(root=machine(tmp_path, cgroup, files), env={})
    assert (found.limit, found.used, found.available) == (3 * GIB, GIB, 2 * GIB)
    assert found.source == "cgroup v1 memory.limit_in_bytes"


def test_v1_without_limits_is_the_machine(tmp_path: Path) -> None:
    files = {"memory/memory.limit_in_bytes": NONE_V1, "memory/memory.usage_in_bytes": GIB}
    root = machine(tmp_path, "4:memory:/\n", files)
    assert read_memory(root=root, env={}).source == "machine"


@pytest.mark.parametrize(
    ("env", "limit"),
    [
        ({"SPACE_ID": "a/b", "MEMORY": "16Gi"}, 16 * GIB),
        ({"SPACE_ID": "a/b", "MEMORY": "512Mi"}, 512 * 2**20),
        ({"SPACE_ID": "a/b", "MEMORY": "8000000000"}, 8 * 10**9),
        ({"SPACE_ID": "a/b", "MEMORY": "lots"}, 64 * GIB),
        ({"SPACE_ID": "a/b", "MEMORY": ""}, 64 * GIB),
        ({"SPACE_ID": "a/b", "MEMORY": "0"}, 64 * GIB),
        ({"SPACE_ID": "a/b", "MEMORY": "900Gi"}, 64 * GIB),
        ({"MEMORY": "16Gi"}, 64 * GIB),
    ],
)
def test_a_space_tells_its_memory(tmp_path: Path, env: dict[str, str], limit: int) -> None:
    found = read_memory(root=machine(tmp_path), env=env)
    assert found.limit == limit
    # Nothing tells what the container uses, and the host's use is not ours.
    assert found.used == (34 * GIB if limit == 64 * GIB else None)


def test_a_space_uses_what_its_group_uses(tmp_path: Path) -> None:
    root = v2(tmp_path, {"memory.max": "max", "memory.current": 5 * GIB})
    found = read_memory(root=root, env={"SPACE_ID": "a/b", "MEMORY": "16Gi"})
    assert (found.limit, found.used, found.available) == (16 * GIB, 5 * GIB, 11 * GIB)


def test_a_group_below_the_spaces_word_wins(tmp_path: Path) -> None:
    root = v2(tmp_path, {"memory.max": 2 * GIB, "memory.current": GIB})
    found = read_memory(root=root, env={"SPACE_ID": "a/b", "MEMORY": "16Gi"})
    assert (found.limit, found.source) == (2 * GIB, "cgroup v2 memory.max")


def test_this_machine_has_a_limit_and_cores() -> None:
    memory, cpu = read_memory(), cpu_limit()
    assert 0 < memory.available <= memory.limit <= psutil.virtual_memory().total
    assert 0 < cpu.cores <= (os.cpu_count() or 1)


@pytest.mark.parametrize(
    ("content", "cores"),
    [("50000 100000", 0.5), ("25000 100000", 0.25), ("max 100000", None), ("", None),
     ("garbage 100000", None), ("100000", None), ("100000 0", None), ("-1 100000", None)],
)  # fmt: skip
def test_v2_cpu_quota(tmp_path: Path, content: str, cores: float | None) -> None:
    found = cpu_limit(root=v2(tmp_path, {"cpu.max": content}), env={})
    if cores is None:
        assert found.source in ("machine", "CPU affinity")
    else:
        assert (found.cores, found.source) == (cores, "cgroup v2 cpu.max")


def test_v2_a_smaller_parents_quota_wins(tmp_path: Path) -> None:
    files = {"a/cpu.max": "10000 100000", "a/b/cpu.max": "50000 100000"}
    assert cpu_limit(root=v2(tmp_path, files, "/a/b"), env={}).cores == 0.1


@pytest.mark.parametrize("mount", ["cpu", "cpu,cpuacct"])
def test_v1_cpu_quota(tmp_path: Path, mount: str) -> None:
    files = {f"{mount}/x/cpu.cfs_quota_us": 30000, f"{mount}/x/cpu.cfs_period_us": 100000}
    found = cpu_limit(root=machine(tmp_path, "2:cpu,cpuacct:/x\n", files), env={})
    assert (found.cores, found.source) == (0.3, "cgroup v1 cpu.cfs_quota_us")


def test_v1_without_a_quota(tmp_path: Path) -> None:
    files = {"cpu/cpu.cfs_quota_us": -1, "cpu/cpu.cfs_period_us": 100000}
    found = cpu_limit(root=machine(tmp_path, "2:cpu:/\n", files), env={})
    assert found.source in ("machine", "CPU affinity")


def test_a_space_tells_its_cores(tmp_path: Path) -> None:
    cores = os.cpu_count() or 1
    told = {"SPACE_ID": "a/b", "CPU_CORES": "1"}
    found = cpu_limit(root=tmp_path, env=told)
    assert found.cores == 1
    for word in ("0", "many", "-2", str(10 * cores), "²"):
        assert cpu_limit(root=tmp_path, env={**told, "CPU_CORES": word}).source != (
            "the Space's CPU_CORES"
        )


def test_the_affinity_counts() -> None:
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {min(before)})
    try:
        found = cpu_limit(root=Path("/nowhere"), env={})
    finally:
        os.sched_setaffinity(0, before)
    assert found.cores == 1
    assert found.source == ("CPU affinity" if (os.cpu_count() or 1) > 1 else "machine")


def test_the_groups_own_cpu_seconds(tmp_path: Path) -> None:
    root = v2(tmp_path / "v2", {"cpu.stat": "usage_usec 2500000\nuser_usec 1"})
    assert group_cpu_seconds(root=root) == 2.5
    root = machine(tmp_path / "v1", "2:cpuacct:/x\n", {"cpuacct/x/cpuacct.usage": 1_500_000_000})
    assert group_cpu_seconds(root=root) == 1.5
    assert group_cpu_seconds(root=machine(tmp_path / "none")) is None

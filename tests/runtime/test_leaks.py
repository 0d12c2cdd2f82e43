"""Loading and unloading again and again leaves the app as it was."""

from __future__ import annotations

import contextlib
import gc
import multiprocessing.forkserver
import threading
from collections import Counter
from pathlib import Path

import pytest

from slm_explorer.assets import asset_folder
from slm_explorer.types import ModelSpec
from tests.runtime.conftest import MakeManager
from tests.runtime.visits import Counting, Visit, alive, echo

ROUNDS = 10
MB = 10**6
LOOKS, LOOK_S = 50, 0.2


def private_bytes(pid: int | str) -> int:
    """USS: what only this process holds."""
    lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    return 1024 * sum(int(line.split()[1]) for line in lines if line.startswith("Private_"))


def held() -> tuple[int, list[str], int]:
    """Private bytes of the app and its forkserver, open files (sockets and pipes without their
    numbers), threads. What is read of processes is left out: the meters of another test's app may
    be at it.
    """
    gc.collect()
    server = multiprocessing.forkserver._forkserver._forkserver_pid  # type: ignore[attr-defined]
    files = []
    for link in Path("/proc/self/fd").iterdir():
        # The one through which the folder is read is gone by now.
        with contextlib.suppress(FileNotFoundError):
            name = str(link.readlink()).partition(":[")[0]
            if not name.startswith("/proc/"):
                files.append(name)
    return private_bytes("self") + private_bytes(server), sorted(files), threading.active_count()


def nothing_more_than(files: list[str], threads: int) -> None:
    """What is open now was open before. Another test's app may have something of its own open for
    a moment: what leaked stays.
    """
    again = threading.Event()
    for _ in range(LOOKS):
        _, files_now, threads_now = held()
        more = Counter(files_now) - Counter(files)
        if not more and threads_now <= threads:
            return
        again.wait(LOOK_S)
    raise AssertionError(f"left open: {dict(more)}; {threads_now} threads, before {threads}")


def smallest_sprout() -> ModelSpec:
    weights = (asset_folder() / "sprouts").glob("*/model.safetensors")
    folders = sorted((path.stat().st_size, path.parent) for path in weights)
    return ModelSpec(model="sprout", path=str(folders[0][1]), engine="torch")


@pytest.mark.parametrize("model", ["echo", "sprout"])
def test_loads_and_unloads_in_turn_leave_memory_files_and_threads_where_they_were(
    make_manager: MakeManager, counting: Counting, model: str
) -> None:
    spec = echo(allocate=20 * MB) if model == "echo" else smallest_sprout()
    manager = make_manager()

    def load_and_unload() -> None:
        assert Visit(manager, spec, "Tell me a story", "ann").stats().output_tokens > 0
        (state,) = manager.states()
        manager.unload(state.key)

    load_and_unload()
    memory, files, threads = held()
    for _ in range(ROUNDS):
        load_and_unload()
    memory_after, _, _ = held()
    assert memory_after - memory < 30 * MB
    nothing_more_than(files, threads)
    assert len(counting.pids) == ROUNDS + 1
    assert not any(alive(pid) for pid in counting.pids)


def test_a_closed_manager_leaves_no_thread_and_no_file(make_manager: MakeManager) -> None:
    def use() -> None:
        manager = make_manager()
        Visit(manager, echo(), "hello").stats()
        Visit(manager, echo(), "one /crash").failure()
        Visit(manager, echo(fail="broken"), "hello").failure()
        manager.close()

    use()
    _, files, threads = held()
    for _ in range(3):
        use()
    nothing_more_than(files, threads)

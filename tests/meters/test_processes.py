from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator

import pytest

from slm_explorer.meters import processes
from slm_explorer.meters.processes import ProcessReader, private_bytes

# Says when it is ready, then does what a line on stdin says.
CHILD = """
import sys
held = []
print("ready", flush=True)
for line in sys.stdin:
    if line == "hold\\n":
        held.append(b"x" * 50_000_000)
    else:
        n = 0
        for _ in range(5_000_000):
            n += 1
    print("done", flush=True)
"""


@pytest.fixture
def child() -> Iterator[subprocess.Popen[str]]:
    with subprocess.Popen(
        [sys.executable, "-c", CHILD], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        yield process
        process.kill()


def tell(child: subprocess.Popen[str], what: str) -> None:
    assert child.stdin is not None
    assert child.stdout is not None
    child.stdin.write(f"{what}\n")
    child.stdin.flush()
    assert child.stdout.readline() == "done\n"


def test_memory_that_a_process_takes_is_its_own(child: subprocess.Popen[str]) -> None:
    reader = ProcessReader()
    before = reader.read([child.pid])[child.pid]
    tell(child, "hold")
    after = reader.read([child.pid])[child.pid]
    assert before is not None
    assert after is not None
    assert before.uss is not None
    assert after.uss is not None
    assert after.pss is not None
    assert abs(after.uss - before.uss - 50_000_000) < 2_000_000
    assert after.uss <= after.pss <= after.rss
    found = private_bytes(child.pid)
    assert found is not None
    assert abs(found - after.uss) < 2_000_000


def test_cpu_is_the_share_of_one_core_since_the_last_reading(
    child: subprocess.Popen[str],
) -> None:
    now = 100.0
    reader = ProcessReader(clock=lambda: now)
    first = reader.read([child.pid])[child.pid]
    assert first is not None
    assert first.cpu_percent is None
    tell(child, "work")
    now = 101.0
    busy = reader.read([child.pid])[child.pid]
    assert busy is not None
    assert busy.cpu_percent is not None
    assert busy.cpu_percent > 0
    now = 102.0
    idle = reader.read([child.pid])[child.pid]
    assert idle is not None
    assert idle.cpu_percent == 0
    same_moment = reader.read([child.pid])[child.pid]
    assert same_moment is not None
    assert same_moment.cpu_percent is None


def test_a_vanished_process_is_none_and_the_others_still_read(
    child: subprocess.Popen[str],
) -> None:
    reader = ProcessReader()
    child.kill()
    child.wait()
    found = reader.read([child.pid, os.getpid()])
    assert found[child.pid] is None
    assert found[os.getpid()] is not None
    assert private_bytes(child.pid) is None


def test_a_zombie_uses_nothing(child: subprocess.Popen[str]) -> None:
    child.kill()
    os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)  # ended, and not reaped
    assert ProcessReader().read([child.pid])[child.pid] is None


@pytest.mark.parametrize("pid", [-1, 2**31 - 1, 2**70])
def test_a_pid_that_cannot_be(pid: int) -> None:
    assert ProcessReader().read([pid])[pid] is None


def test_the_reader_forgets_whom_it_is_not_asked_about() -> None:
    now = 0.0
    reader = ProcessReader(clock=lambda: now)
    me = os.getpid()
    reader.read([me])
    reader.read([])
    now = 5.0
    found = reader.read([me])[me]
    assert found is not None
    assert found.cpu_percent is None


def test_a_quiet_process_is_not_walked_again_where_there_are_no_meters(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A walk through the pages of a large model takes tens of milliseconds of its own cores."""
    walks: list[int] = []
    walk = processes._walk

    def counted(pid: int) -> processes._Pages:
        walks.append(pid)
        return walk(pid)

    monkeypatch.setattr(processes, "_walk", counted)
    now = [0.0]
    reader = ProcessReader(clock=lambda: now[0])
    me = os.getpid()
    for now[0] in (0.0, 1.0, processes.STALE_S - 1):
        assert reader.private_bytes(me)
    assert walks == [me]
    now[0] = processes.STALE_S
    reader.private_bytes(me)
    assert walks == [me, me]

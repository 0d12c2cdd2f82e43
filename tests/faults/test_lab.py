"""Runs of the lab in a broken world: nothing half-made stays, the next run works."""

from __future__ import annotations

import json
import os
import resource
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from slm_explorer.errors import InvalidRequest, StorageError, UnknownModel, UnsupportedModel
from slm_explorer.lab.queue import MAX_WAITING
from slm_explorer.lab.service import LabService
from slm_explorer.lab.types import MAX_TRAINING_TEXT, Order
from slm_explorer.services import Services
from tests.conftest import ROOT
from tests.lab.conftest import (  # noqa: F401
    SMALL,
    MakeServices,
    copy_of,
    ended,
    left_in,
    make_services,
    reached,
    until,
)

# ruff: noqa: F811


def compressing(services: Services) -> list[int]:
    """The processes of this app that compress or compare."""
    del services
    found = []
    for entry in Path("/proc").iterdir():
        try:
            words = (entry / "cmdline").read_bytes()
            parent = (entry / "stat").read_text().rpartition(")")[2].split()[1]
        except (OSError, IndexError):
            continue
        if b"slm_explorer.compression.child" in words and int(parent) == os.getpid():
            found.append(int(entry.name))
    return found


def one(lab: LabService, order: Order) -> str:
    return lab.submit(order)


def test_two_asked_at_once_run_one_after_the_other(make_services: MakeServices) -> None:
    services = make_services()
    lab = services.lab
    first, second = (one(lab, Order(SMALL, recipe)) for recipe in ("int8", "int4"))
    assert reached(lab, first, "compressing").state == "compressing"
    assert (lab.run(second).state, lab.run(second).ahead) == ("queued", 1)
    assert [run.id for run in lab.runs()] == [second, first]
    until(lambda: bool(compressing(services)))
    with pytest.raises(InvalidRequest, match="not finished"):
        lab.delete(first)
    lab.cancel(first)
    assert ended(lab, first).state == "cancelled"
    assert reached(lab, second, "compressing").state == "compressing"
    lab.cancel(second)
    assert ended(lab, second).state == "cancelled"
    assert compressing(services) == []
    assert left_in(services.settings.home) == []
    lab.delete(first)
    assert [run.id for run in lab.runs()] == [second]


@pytest.mark.parametrize("at", ["while queued", "matrices", "reading", "speed"])
def test_cancelled_at_any_stage_it_leaves_nothing(make_services: MakeServices, at: str) -> None:
    services = make_services()
    lab = services.lab
    run = one(lab, Order(SMALL, "int8"))

    def there() -> bool:
        now = lab.run(run)
        return (
            now.ended
            or {
                "while queued": True,
                "matrices": bool(now.layers) or now.state == "proving",
                "reading": now.state == "proving" and now.fraction > 0,
                "speed": now.state == "proving" and now.fraction > 0.4,
            }[at]
        )

    until(there)
    lab.cancel(run)
    found = ended(lab, run)
    assert (found.state, found.error, found.model_id) == ("cancelled", None, None)
    assert left_in(services.settings.home) == []
    assert compressing(services) == []
    paths = [state.spec.path or "" for state in services.manager.states()]
    assert not any(".slm-partial-" in path for path in paths)
    lab.cancel(run)
    assert lab.run(run).state == "cancelled"


def test_a_parent_deleted_while_its_run_waits(make_services: MakeServices, tmp_path: Path) -> None:
    services = make_services()
    lab = services.lab
    folder = copy_of(SMALL, tmp_path / "mine")
    first, second = one(lab, Order(SMALL, "int8")), one(lab, Order(str(folder), "int8"))
    shutil.rmtree(folder)
    lab.cancel(first)
    found = ended(lab, second)
    assert found.state == "failed"
    assert "mine" in (found.error or "")
    assert left_in(services.settings.home) == []


def test_a_killed_process_fails_its_run_and_not_the_next(make_services: MakeServices) -> None:
    services = make_services()
    lab = services.lab
    first, second = one(lab, Order(SMALL, "int8")), one(lab, Order(SMALL, "int4"))
    until(lambda: bool(compressing(services)))
    os.kill(compressing(services)[0], signal.SIGKILL)
    found = ended(lab, first)
    assert found.state == "failed"
    assert "has died (exit code -9" in (found.error or "")
    until(lambda: bool(lab.run(second).layers) or lab.run(second).ended)
    assert lab.run(second).state in ("compressing", "proving")
    lab.cancel(second)
    ended(lab, second)
    assert left_in(services.settings.home) == []


def test_a_budget_without_room_is_said_before_anything_starts(make_services: MakeServices) -> None:
    services = make_services(memory_budget=100_000_000)
    run = one(services.lab, Order(SMALL, "int8"))
    found = ended(services.lab, run)
    assert found.state == "failed"
    assert "more than the whole budget of 100 MB" in (found.error or "")
    assert found.memory_limit_bytes == 100_000_000
    assert left_in(services.settings.home) == []


@contextmanager
def no_file_larger_than(size: int) -> Iterator[None]:
    """What writing to a full disk is like, without one, for this process and its children."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_a_disk_that_fills_up_fails_the_run_and_leaves_nothing(
    make_services: MakeServices,
) -> None:
    services = make_services()
    run = one(services.lab, Order(SMALL, "int8"))
    with no_file_larger_than(100_000):
        found = ended(services.lab, run)
    assert found.state == "failed"
    assert "free some space" in (found.error or "")
    assert left_in(services.settings.home) == []


def test_a_home_that_cannot_be_written_is_said(make_services: MakeServices, tmp_path: Path) -> None:
    (tmp_path / "home").write_text("a file")
    services = make_services()
    assert services.lab.runs() == ()
    with pytest.raises(StorageError, match="choose another folder with --home"):
        services.lab.submit(Order(SMALL, "int8"))


def test_what_can_be_known_before_is_refused_at_once(make_services: MakeServices) -> None:
    lab = make_services().lab
    with pytest.raises(InvalidRequest, match="int5"):
        lab.submit(Order(SMALL, "int5"))
    with pytest.raises(UnknownModel):
        lab.submit(Order("no-such-model", "int8"))
    with pytest.raises(UnsupportedModel, match="cannot be used on Sprout 300K"):
        lab.submit(Order(SMALL, "drop-layers:200"))
    with pytest.raises(InvalidRequest, match="at most"):
        Order(SMALL, "int8+" * 200)
    with pytest.raises(InvalidRequest, match="shorten"):
        Order(SMALL, "int8", text="a" * (MAX_TRAINING_TEXT + 1))
    with pytest.raises(UnknownModel, match="no run"):
        lab.cancel("../../etc")
    assert lab.runs() == ()


def test_the_queue_has_an_end(make_services: MakeServices) -> None:
    lab = make_services().lab
    runs = [lab.submit(Order(SMALL, "int8"))]
    reached(lab, runs[0], "compressing")
    runs += [lab.submit(Order(SMALL, "int8")) for _ in range(MAX_WAITING)]
    assert lab.run(runs[-1]).ahead == MAX_WAITING
    with pytest.raises(InvalidRequest, match="are waiting already"):
        lab.submit(Order(SMALL, "int8"))
    for run in reversed(runs):
        lab.cancel(run)
    assert {ended(lab, run).state for run in runs} == {"cancelled"}


APP = """
import sys, threading
from pathlib import Path
from slm_explorer.lab.types import Order
from slm_explorer.services import build_services
from slm_explorer.settings import Settings

if __name__ == "__main__":
    services = build_services(Settings(home=Path(sys.argv[1]), threads=1))
    runs = [services.lab.submit(Order("sprout-300k", recipe)) for recipe in ("int8", "int4")]
    while not services.lab.run(runs[0]).layers:
        threading.Event().wait(0.02)
    print("working", flush=True)
    sys.stdin.read()
    services.close()
"""


@pytest.mark.parametrize("rudely", [True, False])
def test_runs_of_an_app_that_ended_are_shown_as_interrupted(
    make_services: MakeServices, tmp_path: Path, rudely: bool
) -> None:
    home = tmp_path / "home"
    app = subprocess.Popen(
        [sys.executable, "-c", APP, str(home)],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert app.stdout is not None
    assert app.stdin is not None
    assert app.stdout.readline() == "working\n"
    if rudely:
        app.kill()
    app.communicate(timeout=300)
    services = make_services()
    if rudely:
        # The child has noticed that its app is gone; what it was writing in goes at this start.
        until(lambda: not any(running_on(home)))
    runs = services.lab.runs()
    assert [run.order.recipe for run in runs] == ["int4", "int8"]
    for run in runs:
        assert (run.state, run.model_id) == ("failed", None)
        assert "start it again" in (run.error or "")
    assert left_in(home) == []
    with pytest.raises(InvalidRequest, match="no model on this disk"):
        services.lab.archive(runs[0].id)


def running_on(home: Path) -> Iterator[int]:
    """Processes that still have a file or folder of this home open."""
    for entry in Path("/proc").iterdir():
        if entry.name.isdecimal() and int(entry.name) != os.getpid():
            try:
                handles = [str(handle.readlink()) for handle in (entry / "fd").iterdir()]
            except OSError:
                continue
            if any(handle.startswith(str(home)) for handle in handles):
                yield int(entry.name)


@pytest.mark.timeout(1800)
def test_kills_at_random_moments_leave_nothing_behind() -> None:
    done = subprocess.run(
        [sys.executable, "scripts/measure_kills.py", "--kills", "2", "--seed", "5"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    *kills, total = [json.loads(line) for line in done.stdout.splitlines()]
    assert total["wrong"] == 0, kills
    assert len(kills) == 2, done.stderr

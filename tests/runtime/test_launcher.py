"""Both launchers keep the same promises: one suite, and then what only a process can do."""

from __future__ import annotations

import multiprocessing
import os
import subprocess
import sys
from pathlib import Path

import pytest

from slm_explorer.runtime.launcher import Launcher, LocalLauncher, ThreadLauncher
from slm_explorer.runtime.process import ENVIRONMENT
from slm_explorer.runtime.wire import Cancel, Connection, Load, Loaded, LoadFailed, Run, Said
from slm_explorer.types import Delta, Done, Event, Failed, GenerationStats, Loading, ModelSpec
from tests.runtime.visits import BLOCKER, alive, ask, echo


@pytest.fixture(params=["process", "thread"])
def launcher(request: pytest.FixtureRequest, local: LocalLauncher) -> Launcher:
    return local if request.param == "process" else ThreadLauncher()


def loaded(connection: Connection) -> Loaded | LoadFailed:
    while True:
        message = connection.recv()
        if isinstance(message, Loaded | LoadFailed):
            return message
        assert isinstance(message, Said)
        assert message.ticket is None
        assert isinstance(message.event, Loading)


def answer(connection: Connection, ticket: int) -> list[Event]:
    """All events of a ticket; nothing of another may come in between."""
    events: list[Event] = []
    while not events or not isinstance(events[-1], Done | Failed):
        message = connection.recv()
        for each in message if isinstance(message, list) else [message]:
            if isinstance(each, Said):
                assert each.ticket == ticket
                events.append(each.event)
    return events


def hung_up(connection: Connection) -> bool:
    """Read what is left; True once the other side is gone."""
    try:
        while True:
            connection.recv()
    except (EOFError, OSError):
        return True


def words(events: list[Event]) -> str:
    return "".join(event.text for event in events if isinstance(event, Delta))


def test_requests_are_answered_in_order_over_one_connection(launcher: Launcher) -> None:
    place = launcher.start(echo())
    link = place.connection
    link.send(Load(echo()))
    assert isinstance(loaded(link), Loaded)
    link.send(Run(1, ask("one two")))
    link.send(Run(2, ask("three")))
    assert words(answer(link, 1)) == "one two"
    assert words(answer(link, 2)) == "three"
    place.kill()
    assert hung_up(link)
    place.reap()
    link.close()


def test_a_cancel_is_heard_while_the_engine_works_and_while_a_run_waits(
    launcher: Launcher,
) -> None:
    place = launcher.start(echo())
    link = place.connection
    link.send(Load(echo()))
    loaded(link)
    link.send(Run(1, ask(BLOCKER)))
    link.send(Run(2, ask(BLOCKER)))
    link.send(Cancel(2))
    link.send(Cancel(7))  # never heard of: no harm
    link.send(Cancel(1))
    for ticket in (1, 2):
        last = answer(link, ticket)[-1]
        assert isinstance(last, Done)
        assert isinstance(last.stats, GenerationStats)
        assert last.stats.finish_reason == "cancelled"
    link.send(Cancel(1))  # over already: no harm
    link.send(Run(3, ask("fine")))
    assert words(answer(link, 3)) == "fine"
    place.kill()
    place.reap()
    link.close()


def test_an_engine_s_errors_cross_with_class_words_and_trace(launcher: Launcher) -> None:
    place = launcher.start(echo())
    link = place.connection
    link.send(Load(echo()))
    loaded(link)
    link.send(Run(1, ask("a /fail Too_long")))
    link.send(Run(2, ask("a /raise")))
    link.send(Run(3, ask("still here")))
    told = answer(link, 1)[-1]
    assert isinstance(told, Failed)
    assert (told.error, told.kind) == ("Too_long", "ContextOverflow")
    bug = answer(link, 2)[-1]
    assert isinstance(bug, Failed)
    assert bug.kind == "WorkerError"
    assert "RuntimeError: the prompt asked for a bug" in bug.error
    assert "\n" not in bug.error
    assert "echo.py" in bug.trace
    assert words(answer(link, 3)) == "still here"
    place.kill()
    place.reap()
    link.close()


@pytest.mark.parametrize(
    ("spec", "kind", "sentence"),
    [
        (echo(fail="This folder is broken."), "BadCheckpoint", "This folder is broken."),
        (ModelSpec("x", None, engine="nope"), "InvalidRequest", "nope"),
    ],
)
def test_a_load_that_fails_says_why_and_the_worker_ends(
    launcher: Launcher, spec: ModelSpec, kind: str, sentence: str
) -> None:
    place = launcher.start(spec)
    place.connection.send(Load(spec))
    message = loaded(place.connection)
    assert isinstance(message, LoadFailed)
    assert message.failure.kind == kind
    assert sentence in message.failure.error
    assert hung_up(place.connection)
    assert place.reap() in (0, None)
    place.connection.close()


def test_a_process_that_is_hung_up_on_ends_even_amid_an_answer(local: LocalLauncher) -> None:
    place = local.start(echo())
    place.connection.send(Load(echo()))
    loaded(place.connection)
    place.connection.send(Run(1, ask("on /hang")))
    assert isinstance(place.connection.recv(), Said)
    place.connection.close()
    assert place.reap() == 0
    assert place.pid is not None
    assert not alive(place.pid)


def test_the_exit_code_tells_how_a_process_ended(local: LocalLauncher) -> None:
    for text, code in (("/exit 3", 3), ("/crash", -9)):
        place = local.start(echo())
        place.connection.send(Load(echo()))
        loaded(place.connection)
        place.connection.send(Run(1, ask(text)))
        assert hung_up(place.connection)
        assert place.reap() == code
        place.kill()  # too late, and no harm
        place.connection.close()


def test_workers_are_offline_report_nothing_and_ignore_the_terminal(local: LocalLauncher) -> None:
    place = local.start(echo())
    place.connection.send(Load(echo()))
    loaded(place.connection)
    status = Path(f"/proc/{place.pid}/status").read_text()
    ignored = int(next(x for x in status.splitlines() if x.startswith("SigIgn")).split()[1], 16)
    assert ignored & 1 << 1  # SIGINT is signal 2
    assert Path(f"/proc/{place.pid}/fd/1").readlink() == Path(f"/proc/{place.pid}/fd/2").readlink()
    assert ENVIRONMENT["HF_HUB_OFFLINE"] == "1"
    assert ENVIRONMENT["HF_HUB_DISABLE_TELEMETRY"] == "1"
    assert "HF_HUB_OFFLINE" not in os.environ, "the app itself may download"
    place.kill()
    place.reap()
    place.connection.close()


def started(code: str, folder: Path) -> tuple[str, str]:
    """What a program prints that starts workers of its own: stdout and stderr."""
    script = folder / "main.py"
    script.write_text(code)
    root = Path(__file__).parent.parent.parent
    done = subprocess.run(
        [sys.executable, str(script)],
        cwd=root,
        env={**os.environ, "PYTHONPATH": str(root)},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    return done.stdout, done.stderr


def test_a_worker_has_torch_preloaded_and_the_app_has_not(tmp_path: Path) -> None:
    code = """
import sys, threading
from slm_explorer.runtime.launcher import LocalLauncher
from slm_explorer.runtime.wire import Load, Loaded
from slm_explorer.types import ModelSpec

if __name__ == "__main__":
    launcher = LocalLauncher()
    launcher.prewarm()
    place = launcher.start(ModelSpec("echo", None, engine="echo"))
    print("app", "torch" in sys.modules)
    maps = open(f"/proc/{place.pid}/maps").read()
    print("worker", "libtorch" in maps)
    place.connection.close()
    place.reap()
"""
    assert started(code, tmp_path) == ("app False\nworker True\n", "")


def test_a_worker_does_not_run_the_app_s_main_module_again(tmp_path: Path) -> None:
    code = """
from slm_explorer.runtime.launcher import LocalLauncher
from slm_explorer.runtime.wire import Load, Loaded
from slm_explorer.types import ModelSpec

before = __spec__
spec = ModelSpec("echo", None, engine="echo")
place = LocalLauncher().start(spec)
place.connection.send(Load(spec))
while not isinstance(place.connection.recv(), Loaded):
    pass
print("loaded", __spec__ is before)
place.connection.close()
place.reap()
"""
    assert started(code, tmp_path) == ("loaded True\n", "")


def test_where_there_is_no_forkserver_workers_are_spawned(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(multiprocessing, "get_all_start_methods", lambda: ["spawn"])
    launcher = LocalLauncher()
    launcher.prewarm()
    place = launcher.start(echo())
    place.connection.send(Load(echo()))
    assert isinstance(loaded(place.connection), Loaded)
    place.connection.send(Run(1, ask("one /hang")))
    while not isinstance(message := place.connection.recv(), Said):
        pass
    assert message.event == Delta("one ", 1)
    place.kill()
    assert hung_up(place.connection)
    assert place.reap() == -9
    place.connection.close()

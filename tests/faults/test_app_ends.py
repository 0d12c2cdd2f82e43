"""An app that ends, however rudely, takes its workers with it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

from tests.faults.test_workers import gone, running
from tests.runtime.visits import PATIENCE_S

ROOT = Path(__file__).parent.parent.parent


APP = """
import multiprocessing.forkserver, sys, threading
from pathlib import Path
from slm_explorer.runtime.launcher import LocalLauncher
from slm_explorer.runtime.manager import MemoryView, ModelManager
from slm_explorer.settings import Settings
from slm_explorer.types import Delta, GenerateRequest, ModelSpec, Sampling

def answer(manager, name, text):
    request = GenerateRequest("1", "ann", Sampling(), raw=text)
    for event in manager.stream(ModelSpec(name, None, engine="echo"), request, threading.Event()):
        if isinstance(event, Delta):
            started.release()

if __name__ == "__main__":
    started = threading.Semaphore(0)
    manager = ModelManager(
        LocalLauncher(), footprint=lambda spec: 1, process_memory=lambda pid: None,
        memory=lambda: MemoryView(10**11, 0, 10**11, "test"), settings=Settings(Path("unused")))
    for name, text in (("busy", "a /slow 60 b"), ("hung", "a /hang")):
        threading.Thread(target=answer, args=(manager, name, text), daemon=True).start()
        started.acquire()
    answer(manager, "idle", "a")
    pids = [state.pid for state in manager.states()]
    try:
        print(*pids, multiprocessing.forkserver._forkserver._forkserver_pid, flush=True)
        threading.Event().wait()
    except KeyboardInterrupt:
        manager.close()
        print("closed", flush=True)
"""


def start_app(folder: Path) -> tuple[subprocess.Popen[str], list[int]]:
    """An app with a busy, a hung and an idle worker; their pids, then the forkserver's."""
    script = folder / "main.py"
    script.write_text(APP)
    app = subprocess.Popen(
        [sys.executable, str(script)],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    assert app.stdout is not None
    pids = [int(word) for word in app.stdout.readline().split()]
    assert len(pids) == 4
    assert all(map(running, pids))
    return app, pids


def test_workers_do_not_outlive_an_app_that_is_killed(tmp_path: Path) -> None:
    app, pids = start_app(tmp_path)
    app.kill()
    assert gone(*pids)
    out, err = app.communicate(timeout=PATIENCE_S)
    assert (out, err) == ("", "")


def test_ctrl_c_in_the_terminal_ends_workers_without_a_word_from_them(tmp_path: Path) -> None:
    app, pids = start_app(tmp_path)
    os.killpg(app.pid, signal.SIGINT)
    out, err = app.communicate(timeout=PATIENCE_S)
    assert (out, err, app.returncode) == ("closed\n", "", 0)
    assert gone(*pids)


def test_ctrl_c_while_torch_is_imported_in_the_background_is_as_quiet(tmp_path: Path) -> None:
    script = tmp_path / "main.py"
    script.write_text(
        "import threading\n"
        "from slm_explorer.runtime.launcher import LocalLauncher\n"
        "if __name__ == '__main__':\n"
        "    LocalLauncher().prewarm()\n"
        "    try:\n"
        "        print('warming', flush=True)\n"
        "        threading.Event().wait()\n"
        "    except KeyboardInterrupt:\n"
        "        print('closed', flush=True)\n"
    )
    app = subprocess.Popen(
        [sys.executable, str(script)],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    assert app.stdout is not None
    assert app.stdout.readline() == "warming\n"
    os.killpg(app.pid, signal.SIGINT)
    out, err = app.communicate(timeout=PATIENCE_S)
    assert (out, err, app.returncode) == ("closed\n", "", 0)

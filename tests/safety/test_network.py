"""With every connection of every Python process watched: no library reports anything anywhere."""

from __future__ import annotations

import os
from pathlib import Path

from tests.conftest import ROOT
from tests.safety.server import app

# Imported by every Python that starts, worker or not, before anything else.
WATCH = """
import os, sys

def _watch(event, values):
    if event == "socket.connect":
        address = values[1]
    elif event in ("socket.getaddrinfo", "socket.gethostbyname"):
        address = (values[0],)
    else:
        return
    with open(os.environ["WATCHED"], "a") as file:
        file.write(f"{event} {address!r} {sys.argv[:3]}\\n")

sys.addaudithook(_watch)
with open(os.environ["WATCHED"], "a") as file:
    file.write(f"started {os.getpid()}\\n")
"""


def local(line: str) -> bool:
    return any(name in line for name in ("'127.0.0.1'", "'localhost'", "'::1'", "socket.connect '"))


def test_no_process_asks_anybody_else(tmp_path: Path) -> None:
    (tmp_path / "watch").mkdir()
    (tmp_path / "watch" / "sitecustomize.py").write_text(WATCH)
    watched = tmp_path / "watched.txt"
    paths = os.pathsep.join([str(tmp_path / "watch"), str(ROOT)])
    # The switches that others may have set for these tests must not be what helps.
    switches = (
        "HF_HUB_OFFLINE",
        "HF_HUB_DISABLE_TELEMETRY",
        "DO_NOT_TRACK",
        "GRADIO_ANALYTICS_ENABLED",
        "DISABLE_TELEMETRY",
    )
    env = dict.fromkeys(switches, "")
    with app(tmp_path, **env, PYTHONPATH=paths, WATCHED=str(watched)) as running:
        assert running.ask("GET", "/").status == 200
        how, said = running.chat(model="sprout-300k", prompt="Hi", max_tokens=2)
        assert how == "complete", said
    lines = watched.read_text().splitlines()
    # The app, the server that workers are forked from, and what else they start.
    assert sum(line.startswith("started") for line in lines) >= 2
    asked = [line for line in lines if not line.startswith("started")]
    assert asked, "the watch saw not even the page's own check of its address"
    assert [line for line in asked if not local(line)] == []

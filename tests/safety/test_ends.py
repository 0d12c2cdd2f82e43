"""SIGTERM in the middle of everything: a quiet end, and no process and no file left."""

from __future__ import annotations

import json
import os
import select
import signal
import socket
from pathlib import Path

import pytest

from tests.safety.server import LIMIT_S, App, app

API = "/gradio_api"


def _children(pid: int) -> set[int]:
    """Every process below `pid`, from /proc."""
    parents: dict[int, list[int]] = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                fields = (entry / "stat").read_text().rpartition(")")[2].split()
            except OSError:
                continue
            parents.setdefault(int(fields[1]), []).append(int(entry.name))
    found: set[int] = set()
    todo = [pid]
    while todo:
        for child in parents.get(todo.pop(), []):
            found.add(child)
            todo.append(child)
    return found


def _asked(running: App) -> socket.socket:
    """A stream of an answer that has begun."""
    words = {"model": "sprout-300k", "prompt": "Tell me everything.", "max_tokens": 400}
    joined = running.post(f"{API}/call/v2/chat", words)
    event = json.loads(joined.text)["event_id"]
    stream = socket.create_connection(("127.0.0.1", running.port), LIMIT_S)
    stream.sendall(f"GET {API}/call/v2/chat/{event} HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n".encode())
    assert b" 200 " in stream.recv(1024)
    return stream


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="reads /proc")
@pytest.mark.parametrize("busy", [False, True], ids=["while loading", "while answering"])
def test_the_app_ends_quietly_and_whole(tmp_path: Path, busy: bool) -> None:
    with app(tmp_path, SLM_EXPLORER_PUBLIC="1", TMPDIR=str(tmp_path)) as running:
        streams = [_asked(running) for _ in range(3)]
        if busy:
            for stream in streams:
                stream.recv(1024)
        # Half a request, an upload that has begun, and a page that only listens.
        for start in ("GET / HT", f"POST {API}/run/models HTTP/1.1\r\nHost: 127.0.0.1\r\n"
                      "Content-Length: 1000\r\n\r\n{", f"GET {API}/heartbeat/x HTTP/1.1\r\n"
                      "Host: 127.0.0.1\r\n\r\n"):  # fmt: skip
            open_end = socket.create_connection(("127.0.0.1", running.port), LIMIT_S)
            open_end.sendall(start.encode())
            streams.append(open_end)
        below = _children(running.process.pid)
        assert below
        running.process.send_signal(signal.SIGTERM)
        assert running.process.wait(LIMIT_S) in (0, 130)
        running.listener.join(LIMIT_S)
        for stream in streams:
            stream.close()
    assert "Traceback" not in "".join(running.said)
    assert {pid for pid in below if not _ends(pid)} == set()
    # torch has one cache folder of a fixed name, which the next start uses again.
    kept = ("home", "hub", "torchinductor_")
    assert [p.name for p in tmp_path.iterdir() if not p.name.startswith(kept)] == []


def _ends(pid: int) -> bool:
    """Whether the process is gone, or goes by itself: a worker that hears of the end late."""
    try:
        handle = os.pidfd_open(pid)
    except ProcessLookupError:
        return True
    try:
        return bool(select.select([handle], [], [], LIMIT_S)[0])
    finally:
        os.close(handle)

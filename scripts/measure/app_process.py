"""The app as a user starts it, in a process of its own, with a home that is thrown away."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import psutil


@dataclass(frozen=True)
class App:
    """A running server. `first_byte_s` runs from its start to the first byte of the page."""

    url: str
    pid: int
    first_byte_s: float

    def private_bytes(self) -> int:
        """USS of the web process, without its workers, bytes."""
        return int(psutil.Process(self.pid).memory_full_info().uss)


@contextmanager
def running_app(*words: str, **env: str) -> Iterator[App]:
    """Start `slm-explorer serve` on a free port and end it afterwards."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = int(probe.getsockname()[1])
    url = f"http://127.0.0.1:{port}/"
    with tempfile.TemporaryDirectory() as home:
        log = Path(home, "server.log")
        command = [sys.executable, "-m", "slm_explorer", "serve", "--port", str(port)]
        begun = time.monotonic()
        with log.open("w", encoding="utf-8") as sink:
            server = subprocess.Popen(
                [*command, "--home", home, *words], stderr=sink, env={**os.environ, **env}
            )
        try:
            _await_page(url, server, log)
            yield App(url, server.pid, time.monotonic() - begun)
        finally:
            server.terminate()
            server.wait(60)


def _await_page(url: str, server: subprocess.Popen[bytes], log: Path) -> None:
    while True:
        if server.poll() is not None:
            raise RuntimeError(f"the app ended: {log.read_text(encoding='utf-8')}")
        try:
            with urllib.request.urlopen(url, timeout=60) as page:
                page.read(1)
                return
        except OSError:
            time.sleep(0.01)

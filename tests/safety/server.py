"""The app as strangers meet it: a process of its own with the public profile, and raw requests."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http.client import HTTPConnection
from pathlib import Path
from typing import Any

from tests.conftest import ROOT
from tests.serving import free_port

LIMIT_S = 120.0
JSON = {"content-type": "application/json"}


@dataclass(frozen=True)
class Answer:
    """A status, and the body as text."""

    status: int
    text: str
    headers: dict[str, str]

    @property
    def sentence(self) -> str:
        """What a refusal says; fails where it is no JSON."""
        return str(json.loads(self.text)["detail"])


@dataclass(frozen=True)
class App:
    """A running server."""

    process: subprocess.Popen[str]
    port: int
    said: list[str]
    listener: threading.Thread

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def ask(
        self,
        method: str,
        path: str,
        body: bytes | None = None,
        headers: dict[str, str] | None = None,
    ) -> Answer:
        """One request as it stands: nothing of the path is quoted or tidied."""
        connection = HTTPConnection("127.0.0.1", self.port, timeout=LIMIT_S)
        given = dict(headers or {})
        try:
            connection.putrequest(
                method, path, skip_host="host" in given, skip_accept_encoding=True
            )
            if body is not None and "content-length" not in given:
                given["content-length"] = str(len(body))
            for name, value in given.items():
                connection.putheader(name, value)
            connection.endheaders()
            if body:
                connection.send(body)
            got = connection.getresponse()
            text = got.read().decode("utf-8", "replace")
            return Answer(got.status, text, {k.lower(): v for k, v in got.getheaders()})
        finally:
            connection.close()

    def post(self, path: str, value: object, headers: dict[str, str] | None = None) -> Answer:
        return self.ask("POST", path, json.dumps(value).encode(), JSON | (headers or {}))

    def raw(self, data: bytes) -> bytes:
        """Send bytes, and read until the server closes."""
        with socket.create_connection(("127.0.0.1", self.port), LIMIT_S) as connection:
            connection.sendall(data)
            received = b""
            while part := connection.recv(65536):
                received += part
            return received

    def chat(self, **words: Any) -> tuple[str, str]:
        """The last event of an answer and its data: ("complete", rows) or ("error", reason)."""
        joined = self.post("/gradio_api/call/v2/chat", words)
        if joined.status != 200:
            return "refused", joined.text
        event = json.loads(joined.text)["event_id"]
        lines = self.ask("GET", f"/gradio_api/call/v2/chat/{event}").text.splitlines()
        kinds = [line.removeprefix("event: ") for line in lines if line.startswith("event: ")]
        data = [line.removeprefix("data: ") for line in lines if line.startswith("data: ")]
        return (kinds or [""])[-1], (data or [""])[-1]

    def is_well(self) -> bool:
        """Does it answer a good request?"""
        rows = self.post("/gradio_api/run/models", {"data": ["sprout-300k"]})
        return rows.status == 200 and "sprout-300k" in rows.text


@contextmanager
def app(home: Path, *words: str, **env: str) -> Iterator[App]:
    """Serve on a free port until the block ends; what it says on stderr is kept."""
    port, said, ready = free_port(), list[str](), threading.Event()
    variables = {**os.environ, "HF_HUB_CACHE": str(home / "hub"), "PYTHONPATH": str(ROOT), **env}
    process = subprocess.Popen(
        [sys.executable, "-m", "slm_explorer", "serve", "--port", str(port),
         "--home", str(home / "home"), *words],
        stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, env=variables, cwd=home,
    )  # fmt: skip

    def listen() -> None:
        assert process.stderr is not None
        for line in process.stderr:
            said.append(line)
            if f":{port}" in line:
                ready.set()
        ready.set()

    listener = threading.Thread(target=listen, daemon=True)
    listener.start()
    try:
        assert ready.wait(LIMIT_S), "the server never began"
        assert process.poll() is None, "".join(said)
        yield App(process, port, said, listener)
    finally:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(60)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()

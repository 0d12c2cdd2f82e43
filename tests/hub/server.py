"""A Hub on loopback: real HTTP, what huggingface_hub asks, and every way to misbehave.

The API and the files are on one port; large files (LFS) are redirected to a second port, which
stands for the content delivery network and must never see a token.
"""

from __future__ import annotations

import hashlib
import json
import re
import select
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import unquote, urlsplit

COMMIT = "c0ffee0123456789abcdef0123456789abcdef01"


@dataclass
class Repository:
    """What the Hub has under one id. `lied` replaces a listed file's size or hash."""

    hub_id: str
    files: dict[str, bytes]
    commit: str = COMMIT
    license: str = "apache-2.0"
    gated: str | bool = False
    parameters: dict[str, int] | None = None
    branches: tuple[str, ...] = ("main",)
    lied: dict[str, dict[str, object]] = field(default_factory=dict)

    def sibling(self, name: str) -> dict[str, object]:
        content = self.files[name]
        git = hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()
        found: dict[str, object] = {"rfilename": name, "size": len(content), "blobId": git}
        if is_lfs(name):
            sha256 = hashlib.sha256(content).hexdigest()
            found["lfs"] = {"size": len(content), "sha256": sha256, "pointerSize": 134}
            found["lfs"] |= self.lied.get(name, {})  # type: ignore[operator]
        return found | ({} if is_lfs(name) else self.lied.get(name, {}))


def is_lfs(name: str) -> bool:
    return name.endswith((".safetensors", ".bin", ".gguf"))


@dataclass(frozen=True)
class Seen:
    """One request as it came in."""

    method: str
    path: str
    range: str | None
    token: str | None
    cdn: bool


Answer = Callable[["Handler", bytes], None]
"""Answers a request in place of the honest server; gets what that would send."""


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: _Port

    def do_GET(self) -> None:
        self._handle()

    def do_HEAD(self) -> None:
        self._handle()

    def log_message(self, format: str, *args: object) -> None:
        del format, args

    def _handle(self) -> None:
        hub, cdn = self.server.hub, self.server.cdn
        path = unquote(urlsplit(self.path).path)
        hub.seen.append(
            Seen(
                self.command,
                path,
                self.headers.get("Range"),
                self.headers.get("Authorization"),
                cdn,
            )
        )
        try:
            hub.answer(self, path, cdn)
        except (BrokenPipeError, ConnectionResetError):
            self.close_connection = True
            hub.gone.set()

    def send(self, status: int, body: bytes = b"", **headers: str) -> None:
        """A whole answer; header names with _ for -."""
        self.start(status, len(body), **headers)
        if self.command != "HEAD":
            self.wfile.write(body)

    def start(self, status: int, length: int, **headers: str) -> None:
        self.send_response(status)
        self.send_header("Content-Length", str(length))
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()

    def start_part(self, content: bytes) -> bytes:
        """Send the headers for the range asked for; returns the bytes to send."""
        match = re.fullmatch(r"bytes=(\d+)-", self.headers.get("Range") or "")
        if match is None:
            self.start(200, len(content))
            return content
        begin = int(match[1])
        part = content[begin:]
        span = f"bytes {begin}-{len(content) - 1}/{len(content)}"
        self.start(206, len(part), Content_Range=span)
        return part

    def wait_until_gone(self) -> None:
        """Until the other side hangs up, which a waiting server sees as readable."""
        select.select([self.connection], [], [], 60)
        self.close_connection = True
        self.server.hub.gone.set()


class _Port(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self, hub: Hub, cdn: bool) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.hub, self.cdn = hub, cdn


class Hub:
    """The server. `seen` is every request; `gone` is set when a client hangs up midway."""

    def __init__(self) -> None:
        self.repositories: dict[str, Repository] = {}
        self.seen: list[Seen] = []
        self.gone = threading.Event()
        self.allowed_token: str | None = None
        self._faults: list[tuple[re.Pattern[str], Answer, list[int]]] = []
        self._ports = (_Port(self, False), _Port(self, True))
        for port in self._ports:
            threading.Thread(target=port.serve_forever, args=(0.05,), daemon=True).start()

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self._ports[0].server_port}"

    @property
    def cdn(self) -> str:
        return f"http://localhost:{self._ports[1].server_port}"

    def add(self, repository: Repository) -> Repository:
        self.repositories[repository.hub_id] = repository
        return repository

    def fault(self, pattern: str, answer: Answer, times: int = 1_000_000) -> None:
        """Answer paths that contain `pattern` wrongly, so many times."""
        self._faults.append((re.compile(pattern), answer, [times]))

    def asked(self, pattern: str) -> list[Seen]:
        return [seen for seen in self.seen if re.search(pattern, seen.path)]

    def close(self) -> None:
        for port in self._ports:
            port.shutdown()
            port.server_close()

    def answer(self, handler: Handler, path: str, cdn: bool) -> None:
        content = self._content(path) or b""
        for pattern, answer, left in self._faults:
            if left[0] > 0 and pattern.search(("cdn:" if cdn else "") + path):
                left[0] -= 1
                answer(handler, content)
                return
        if path.startswith("/api/models/"):
            self._model(handler, path.removeprefix("/api/models/"))
        else:
            self._file(handler, path, cdn)

    def _model(self, handler: Handler, rest: str) -> None:
        hub_id, _, revision = rest.partition("/revision/")
        found = self.repositories.get(hub_id)
        if found is None:
            handler.send(404, b"{}", X_Error_Code="RepoNotFound")
        elif revision and revision not in (*found.branches, found.commit):
            handler.send(404, b"{}", X_Error_Code="RevisionNotFound")
        else:
            body = {
                "id": hub_id,
                "sha": found.commit,
                "private": False,
                "gated": found.gated,
                "lastModified": "2026-11-01T12:00:00.000Z",
                "tags": [f"license:{found.license}"],
                "cardData": {"license": found.license},
                "pipeline_tag": "text-generation",
                "library_name": "transformers",
                "siblings": [found.sibling(name) for name in found.files],
            }
            if found.parameters:
                counts = found.parameters
                body["safetensors"] = {"parameters": counts, "total": sum(counts.values())}
            handler.send(200, json.dumps(body).encode(), Content_Type="application/json")

    def _file(self, handler: Handler, path: str, cdn: bool) -> None:
        content = self._content(path)
        hub_id, _, rest = path.strip("/").partition("/resolve/")
        found = self.repositories.get(hub_id)
        if content is None or found is None:
            handler.send(404, b"", X_Error_Code="EntryNotFound")
        elif found.gated and not cdn and handler.headers.get("Authorization") != self._bearer():
            handler.send(403, b"", X_Error_Code="GatedRepo")
        elif is_lfs(path) and not cdn:
            handler.send(302, b"", Location=self.cdn + path, X_Repo_Commit=found.commit)
        else:
            handler.wfile.write(handler.start_part(content))
        del rest

    def _bearer(self) -> str:
        return f"Bearer {self.allowed_token}"

    def _content(self, path: str) -> bytes | None:
        hub_id, _, rest = path.strip("/").partition("/resolve/")
        found = self.repositories.get(hub_id)
        return found.files.get(rest.partition("/")[2]) if found else None


@contextmanager
def running_hub() -> Iterator[Hub]:
    hub = Hub()
    try:
        yield hub
    finally:
        hub.close()


def status(code: int, body: bytes = b"", **headers: str) -> Answer:
    return lambda handler, _content: handler.send(code, body, **headers)


def redirect_to_itself(handler: Handler, _content: bytes) -> None:
    handler.send(302, b"", Location=handler.path)


def trickle(handler: Handler, content: bytes) -> None:
    """One byte a second, for as long as somebody listens."""
    part = handler.start_part(content)
    for i in range(len(part)):
        handler.wfile.write(part[i : i + 1])
        if select.select([handler.connection], [], [], 1.0)[0]:
            break
    handler.close_connection = True
    handler.server.hub.gone.set()


def die_at(fraction: float) -> Answer:
    """Send up to there, counted in the whole file, then hang up."""

    def answer(handler: Handler, content: bytes) -> None:
        handler.wfile.write(_up_to(fraction, handler, content))
        handler.close_connection = True

    return answer


def _up_to(fraction: float, handler: Handler, content: bytes) -> bytes:
    part = handler.start_part(content)
    return part[: max(0, int(fraction * len(content)) - (len(content) - len(part)))]


def ignore_ranges_and_die_at(fraction: float) -> Answer:
    """Always from the start, never to the end."""

    def answer(handler: Handler, content: bytes) -> None:
        handler.start(200, len(content))
        handler.wfile.write(content[: int(fraction * len(content))])
        handler.close_connection = True

    return answer


def hold_at(fraction: float) -> Answer:
    """Send up to there, then nothing, until the other side hangs up."""

    def answer(handler: Handler, content: bytes) -> None:
        handler.wfile.write(_up_to(fraction, handler, content))
        handler.wait_until_gone()

    return answer


def instead(body: bytes) -> Answer:
    """Send these bytes as if they were the file."""
    return lambda handler, _content: handler.send(200, body)


def never_answer(handler: Handler, _content: bytes) -> None:
    handler.wait_until_gone()

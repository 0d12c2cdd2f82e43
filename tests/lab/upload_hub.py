"""A Hub on loopback that takes models: what huggingface_hub sends to push one, and no more."""

from __future__ import annotations

import base64
import hashlib
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


class UploadHub(ThreadingHTTPServer):
    """`files` are what was committed; `refuse` answers every write with that status."""

    daemon_threads = True

    def __init__(self, token: str) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.token = token
        self.files: dict[str, bytes] = {}
        self.created: dict[str, Any] | None = None
        self.blobs: dict[str, bytes] = {}
        self.tokens: set[str | None] = set()
        self.refuse: int | None = None

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: UploadHub

    def log_message(self, format: str, *args: object) -> None:
        del format, args

    def do_PUT(self) -> None:
        content = self._body()
        self.server.blobs[hashlib.sha256(content).hexdigest()] = content
        self._send(200, {})

    def do_POST(self) -> None:
        hub, body = self.server, self._body()
        hub.tokens.add(self.headers.get("Authorization"))
        if hub.refuse is not None:
            self._send(hub.refuse, {"error": "<b>no</b>"})
        elif self.headers.get("Authorization") != f"Bearer {hub.token}":
            self._send(401, {})
        elif self.path == "/api/repos/create":
            hub.created = json.loads(body)
            self._send(200, {"url": f"{hub.address}/{self._id()}"})
        elif self.path == "/api/validate-yaml":
            self._send(200, {"errors": [], "warnings": []})
        elif "/preupload/" in self.path:
            files = [
                {"path": f["path"], "uploadMode": _mode(f["path"]), "shouldIgnore": False}
                for f in json.loads(body)["files"]
            ]
            self._send(200, {"files": files})
        elif self.path.endswith("/objects/batch"):
            objects = [
                {**each, "actions": {"upload": {"href": f"{hub.address}/blob"}}}
                for each in json.loads(body)["objects"]
            ]
            self._send(200, {"transfer": "basic", "objects": objects})
        elif "/commit/" in self.path:
            for line in body.splitlines():
                self._commit(json.loads(line))
            oid = "c0ffee" + "0" * 34
            url = f"{hub.address}/{self._id()}/commit/{oid}"
            self._send(200, {"success": True, "commitOid": oid, "commitUrl": url})
        else:
            self._send(404, {})

    def _commit(self, entry: dict[str, Any]) -> None:
        value = entry["value"]
        if entry["key"] == "file":
            self.server.files[value["path"]] = base64.b64decode(value["content"])
        elif entry["key"] == "lfsFile":
            self.server.files[value["path"]] = self.server.blobs[value["oid"]]

    def _id(self) -> str:
        created = self.server.created or {}
        owner = created.get("organization")
        return f"{owner}/{created.get('name')}" if owner else str(created.get("name"))

    def _body(self) -> bytes:
        if self.headers.get("Transfer-Encoding") == "chunked":
            content = b""
            while size := int(self.rfile.readline(), 16):
                content += self.rfile.read(size)
                self.rfile.readline()
            self.rfile.readline()
            return content
        return self.rfile.read(int(self.headers.get("Content-Length") or 0))

    def _send(self, status: int, values: dict[str, Any]) -> None:
        body = json.dumps(values).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


def _mode(path: str) -> str:
    return "lfs" if path.endswith(".safetensors") else "regular"


@contextmanager
def upload_hub(token: str) -> Iterator[UploadHub]:
    hub = UploadHub(token)
    thread = threading.Thread(target=hub.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    try:
        yield hub
    finally:
        hub.shutdown()
        hub.server_close()

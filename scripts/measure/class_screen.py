"""A student's or teacher's screen without a browser: the page's own events over HTTP."""

from __future__ import annotations

import json
import secrets
import time
from dataclasses import dataclass, field
from typing import Any

import httpx
from gradio_client.utils import apply_diff

Value = dict[str, Any]


@dataclass(frozen=True)
class Asked:
    """What one question brought: the last value of the chat's view, seconds from the click to
    the first text (None where none came) and to the end.
    """

    talk: Value
    first_text_s: float | None
    seconds: float


@dataclass
class Screen:
    """One browser tab. `token` and `key` are what the server has given it; `events`, its page's
    events by name, is read from the server unless it is given.
    """

    address: str
    token: str = ""
    key: str = ""
    session: str = field(default_factory=lambda: secrets.token_hex(6))
    events: dict[str, int] = field(default_factory=dict)
    timeout_s: float = 600.0

    def __post_init__(self) -> None:
        self.http = httpx.Client(base_url=self.address, timeout=self.timeout_s)
        if self.events:
            return
        config = self.http.get("config").json()
        ids = {each["props"].get("elem_id"): each["id"] for each in config["components"]}
        parts = {ids["slm-classroom"]: "", ids["slm-classtalk"]: "talk."}
        self.events = {
            parts[target] + event: dependency["id"]
            for dependency in config["dependencies"]
            for target, event in dependency["targets"]
            if target in parts
        }

    def close(self) -> None:
        self.http.close()

    def join(self, code: object, name: object) -> Value:
        """Into the class; the screen keeps its token."""
        room = self.act("join", code=code, name=name)
        self.token = room.get("token", "")
        return room

    def enter(self, key: object) -> Value:
        """Become the teacher; the screen keeps the key."""
        room = self.act("enter", typed=key)
        self.key = room.get("key", "")
        return room

    def act(self, do: object, **data: object) -> Value:
        """Do something; the value of the screen after it."""
        room = self.send("act", {"do": do, **data}).json()["data"][0]
        assert isinstance(room, dict)
        return room

    def look(self, seen: str = "", **data: object) -> tuple[Value, Value]:
        """(screen, chat) as the page's timer asks for them."""
        room, talk, _ = self.send("look", {"seen": seen, **data}).json()["data"]
        return room, talk

    def send(self, event: str, data: Value) -> httpx.Response:
        """One event of the page, as its script sends it."""
        return self.http.post("gradio_api/run/predict", json=self._body(event, data))

    def ask(self, model: object, text: object, push: object = None) -> Asked:
        """Ask a model, and read the stream to its end."""
        begun = time.monotonic()
        body = self._body("ask", {"model": model, "text": text, "push": push})
        joined = self.http.post("gradio_api/queue/join", json=body)
        joined.raise_for_status()
        first: float | None = None
        shown: list[Any] = []
        with self.http.stream(
            "GET", "gradio_api/queue/data", params={"session_hash": self.session}
        ) as stream:
            for line in stream.iter_lines():
                if not line.startswith("data:"):
                    continue
                message = json.loads(line[5:])
                if message["msg"] == "process_generating":
                    data = message["output"]["data"]
                    shown = (
                        [apply_diff(old, diff) for old, diff in zip(shown, data, strict=True)]
                        if shown
                        else data
                    )
                    if first is None and shown[0]["turns"] and shown[0]["turns"][0]["text"]:
                        first = time.monotonic() - begun
                if message["msg"] in ("process_completed", "unexpected_error"):
                    break
        return Asked(shown[0] if shown else {}, first, time.monotonic() - begun)

    def _body(self, event: str, data: Value) -> Value:
        return {
            "data": [],
            "event_data": {"token": self.token, "key": self.key, **data},
            "fn_index": self.events[event],
            "session_hash": self.session,
        }

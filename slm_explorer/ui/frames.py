"""Puts one script before all others of the page, see assets/page/frames.js.

Gradio has no place for it: what is given as `head` runs after its own modules have taken their
reference to what the script replaces.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

_HEAD = b"<head>"
_SCRIPT = b'<script src="./slm/frames.js"></script>'


class FirstScript:
    """ASGI middleware that adds the script to the page itself."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["path"] != "/" or scope["method"] != "GET":
            await self._app(scope, receive, send)
            return
        start: Message = {}
        body = b""

        async def with_script(message: Message) -> None:
            nonlocal start, body
            if message["type"] == "http.response.start":
                start = message
                return
            body += message.get("body", b"")
            if message.get("more_body"):
                return
            whole = body.replace(_HEAD, _HEAD + _SCRIPT, 1)
            headers = [item for item in start["headers"] if item[0] != b"content-length"]
            start["headers"] = [*headers, (b"content-length", str(len(whole)).encode())]
            await send(start)
            await send({"type": "http.response.body", "body": whole})

        await self._app(scope, receive, with_script)

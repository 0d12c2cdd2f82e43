"""The headers of every answer: what a browser may load, run and send from the page."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

# Gradio builds templates with Function() and writes inline scripts and styles, so those stay
# allowed; what is blocked is everything foreign: an image address in a model's answer would
# otherwise carry the conversation away.
_RULES = (
    "default-src 'self'",
    "script-src 'self' 'unsafe-inline' 'unsafe-eval' blob:",
    "style-src 'self' 'unsafe-inline'",
    "img-src 'self' data: blob:",
    "font-src 'self' data:",
    "media-src 'self' data: blob:",
    "connect-src 'self' data: blob:",
    "worker-src 'self' blob:",
    "frame-src 'self'",
    "object-src 'none'",
    "base-uri 'self'",
    "form-action 'self'",
)
_HUB_PAGES = "https://huggingface.co https://*.hf.space"
_PERMISSIONS = "camera=(), geolocation=(), microphone=(), payment=(), usb=()"


def content_security_policy(*, space: bool) -> str:
    """The Content-Security-Policy. Only a Space may be shown inside another page, the Hub's."""
    ancestors = f"frame-ancestors 'self' {_HUB_PAGES}" if space else "frame-ancestors 'self'"
    return "; ".join((*_RULES, ancestors))


class SecurityHeaders:
    """ASGI middleware that adds the headers to every answer."""

    def __init__(self, app: ASGIApp, *, space: bool) -> None:
        self._app = app
        self._headers = [
            (b"content-security-policy", content_security_policy(space=space).encode()),
            (b"x-content-type-options", b"nosniff"),
            (b"referrer-policy", b"no-referrer"),
            (b"permissions-policy", _PERMISSIONS.encode()),
        ]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                own = message.get("headers", [])
                # Two policies of one answer both hold, and a stricter one stands for itself.
                message["headers"] = [*own, *self._headers]
            await send(message)

        await self._app(scope, receive, with_headers if scope["type"] == "http" else send)

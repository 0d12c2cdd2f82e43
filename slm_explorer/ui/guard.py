"""Stands before Gradio: who may call, from where, what, how much and how often.

Gradio itself reflects any origin on a network address, trusts any Host, reads bodies of any size
and serves addresses that this page does not use; its advisories are about those. So only what the
page and its endpoints need is let through, everything else is one sentence.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import logging
import math
import re
import time
from collections import Counter
from typing import TYPE_CHECKING, Any

from slm_explorer.ui.guard_hosts import Refused, Visitors
from slm_explorer.ui.security_limits import Limits, Lockout, Rate

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

    from slm_explorer.settings import Settings

MAX_BODY_BYTES = 4 * 2**20
"""Twenty times the longest conversation; the page sends no files."""
MAX_URL_BYTES = 4096
OPEN_BY_ADDRESS = 800
OPEN_BY_ALL = 2000
"""Streams and calls under way; a page that is open has two of them."""
# A page asks a few times a second when it is clicked through; a class sits behind one address.
REQUESTS = {"session": Rate(120, 20), "address": Rate(4000, 300)}
# What a model has to answer.
WORK = {"session": Rate(30, 2), "address": Rate(120, 60)}

_API = "/gradio_api"
_READ = re.compile(
    r"/|/(config|robots\.txt|favicon\.ico|theme\.css|manifest\.json)/?"
    r"|/(assets|static|svelte|slm|slm-lab|slm-live|pwa_icon)(/.*)?"
    rf"|{_API}/(info|openapi\.json|theme\.css|startup-events|app_id|login_check|queue/data)/?"
    rf"|{_API}/heartbeat/[^/]+|{_API}/call/(v2/)?[^/]+/[^/]+"
)
_WRITE = re.compile(
    rf"{_API}/(queue/join|cancel|reset)/?|{_API}/(run|api)/[^/]+/?|{_API}/call/(v2/)?[^/]+/?"
)
_QUEUED = re.compile(rf"{_API}/(queue/join|call/.+)")
_OPEN = re.compile(rf"{_API}/(heartbeat/.+|queue/data|call/.+)")
# Gradio itself asks this when it starts, to see whether it serves; it tells nothing.
_BEGINS = f"{_API}/startup-events"
_SESSION = re.compile(r"[A-Za-z0-9_-]{1,64}")
_SURROGATE = re.compile(rb"\\u[dD][89a-fA-F]")

_log = logging.getLogger(__name__)


class Guard:
    """ASGI middleware. Without limits of rate for whoever sits at this machine."""

    def __init__(self, app: ASGIApp, *, settings: Settings) -> None:
        self._app = app
        self._visitors = Visitors(settings)
        self._limited = not settings.trusted
        self._password = settings.password
        self._lockout = Lockout()
        self._requests = Limits(**REQUESTS)
        self._work = Limits(**WORK)
        self._open: Counter[str] = Counter()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "websocket":  # the page has none
            await send({"type": "websocket.close", "code": 1008})
            return
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        started = False

        async def watched(message: Message) -> None:
            nonlocal started
            started = started or message["type"] == "http.response.start"
            await send(message)

        try:
            await self._answer(scope, receive, watched)
        except Refused as refused:
            await _say(send, refused)
        except Exception:  # the page's boundary: the log has the trace, the visitor a sentence
            if started:
                raise
            _log.exception("A request failed.")
            await _say(send, Refused(500, "The app could not do this; its log says why."))

    async def _answer(self, scope: Scope, receive: Receive, send: Send) -> None:
        path, now = scope["path"], time.monotonic()
        headers = {name.decode("latin-1"): value for name, value in scope["headers"]}
        if len(scope["raw_path"] or b"") + len(scope["query_string"]) > MAX_URL_BYTES:
            raise Refused(414, f"The address has more than {MAX_URL_BYTES} characters.")
        self._visitors.check(headers)
        address = self._visitors.address(scope, headers)
        if path != _BEGINS:
            self._check_password(headers, address, now)
        _check_path(scope["method"], path)
        session = None
        if scope["method"] == "POST":
            body = await _read_body(headers, receive)
            session = _checked_call(body)
            receive = _replay(body, receive)
            self._check_rate(path, session, address, now)
        self._visitors.clean(scope)
        if not _OPEN.fullmatch(path):
            await self._app(scope, receive, send)
            return
        if self._open[address] >= OPEN_BY_ADDRESS or self._open.total() >= OPEN_BY_ALL:
            raise Refused(
                503,
                "Too many pages are open here: close some, or try again in a minute.",
                {"retry-after": "60"},
            )
        self._open[address] += 1
        try:
            await self._app(scope, receive, send)
        finally:
            self._open[address] -= 1
            if not self._open[address]:
                del self._open[address]

    def _check_rate(self, path: str, session: str | None, address: str, now: float) -> None:
        if not self._limited:
            return
        wait = self._requests.take(session, address, now)
        if not wait and _QUEUED.fullmatch(path):
            wait = self._work.take(session, address, now)
        if wait:
            raise _wait("You are asking too often", wait)

    def _check_password(self, headers: dict[str, bytes], address: str, now: float) -> None:
        if self._password is None:
            return
        asked = {"www-authenticate": 'Basic realm="SLM Explorer", charset="UTF-8"'}
        given = headers.get("authorization")
        if given is None:
            raise Refused(401, "This page has a password: ask whoever runs it.", asked)
        wait = self._lockout.wait_s(address, now)
        if wait:
            raise _wait("Too many wrong passwords came from here", wait)
        if not _same(_password_in(given), self._password.encode()):
            self._lockout.note_wrong(address, now)
            raise Refused(401, "The password is wrong; any user name will do.", asked)


def _wait(reason: str, seconds: float) -> Refused:
    whole = math.ceil(seconds)
    unit = "second" if whole == 1 else "seconds"
    return Refused(429, f"{reason}: wait {whole} {unit}.", {"retry-after": str(whole)})


def _password_in(header: bytes) -> bytes:
    """The password of a Basic header; empty where it is none."""
    scheme, _, value = header.partition(b" ")
    if scheme.lower() != b"basic":
        return b""
    try:
        return base64.b64decode(value.strip(), validate=True).partition(b":")[2]
    except ValueError:
        return b""


def _same(given: bytes, wanted: bytes) -> bool:
    """In a time that tells nothing, not even the length."""
    return hmac.compare_digest(hashlib.sha256(given).digest(), hashlib.sha256(wanted).digest())


def _check_path(method: str, path: str) -> None:
    allowed = {"GET": _READ, "HEAD": _READ, "POST": _WRITE}.get(method)
    if allowed is None:
        raise Refused(405, "This page is only read, and asked with POST.")
    if not allowed.fullmatch(path):
        raise Refused(404, "There is nothing at this address.")


async def _read_body(headers: dict[str, bytes], receive: Receive) -> bytes:
    """The whole body; refused by its length before it is read where it says it."""
    too_long = Refused(
        413,
        f"A request may have {MAX_BODY_BYTES // 2**20} MiB at most.",
        {"connection": "close"},
    )
    said = headers.get("content-length", b"0")
    if not said.isdigit() or len(said) > 15 or int(said) > MAX_BODY_BYTES:
        raise too_long
    body = bytearray()
    more = True
    while more:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise Refused(400, "The request ended before it was complete.")
        body += message.get("body", b"")
        if len(body) > MAX_BODY_BYTES:
            raise too_long
        more = message.get("more_body", False)
    return bytes(body)


def _checked_call(body: bytes) -> str | None:
    """The session that the call is for. Whatever is no call of Gradio's is refused."""
    try:
        call: Any = json.loads(body or b"{}")
    except (ValueError, RecursionError):
        raise Refused(400, "The request is no JSON that this page understands.") from None
    if not isinstance(call, dict):
        raise Refused(400, "The request must be a JSON object.")
    if _SURROGATE.search(body):
        try:
            json.dumps(call, ensure_ascii=False).encode()
        except UnicodeEncodeError:
            raise Refused(400, "The request has characters that are no Unicode text.") from None
    session, index = call.get("session_hash"), call.get("fn_index")
    if session is not None and not (isinstance(session, str) and _SESSION.fullmatch(session)):
        raise Refused(400, "session_hash must be 1 to 64 letters and digits.")
    whole = isinstance(index, int) and not isinstance(index, bool) and index >= 0
    if index is not None and not whole:
        raise Refused(400, "fn_index must be a whole number.")
    return session


def _replay(body: bytes, receive: Receive) -> Receive:
    pending = [body]

    async def replayed() -> Message:
        if pending:
            return {"type": "http.request", "body": pending.pop(), "more_body": False}
        return await receive()

    return replayed


async def _say(send: Send, refused: Refused) -> None:
    # Gradio's page shows `error` of a direct call and `detail` of a queued one.
    said = str(refused)
    body = json.dumps({"detail": said, "error": said}).encode()
    headers = {"content-type": "application/json", "content-length": str(len(body))}
    pairs = [(name.encode(), value.encode()) for name, value in (headers | refused.headers).items()]
    await send({"type": "http.response.start", "status": refused.status, "headers": pairs})
    await send({"type": "http.response.body", "body": body})

"""Where a request comes from: under which name, from which page, from which address.

A page of somebody else, open in a visitor's browser, can reach servers on the visitor's own
network. It is known by its Origin, or by a Host name that it has had resolved to this machine
(DNS rebinding); an address in numbers can not be rebound.
"""

from __future__ import annotations

import ipaddress
import re
import socket
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

if TYPE_CHECKING:
    from starlette.types import Scope

    from slm_explorer.settings import Settings


_HOST = re.compile(r"(?:\[([0-9a-f:.]+)\]|([a-z0-9._-]+))(?::[0-9]{1,5})?")


class Refused(Exception):
    """What the visitor is told instead of an answer, with its HTTP status."""

    def __init__(self, status: int, sentence: str, headers: dict[str, str] | None = None) -> None:
        super().__init__(sentence)
        self.status = status
        self.headers = headers or {}


class Visitors:
    """Checks the names, and finds the address that limits count by."""

    def __init__(self, settings: Settings) -> None:
        self._proxied = settings.space or settings.proxied
        self._space = settings.space
        own = socket.gethostname().lower()
        self._names = {"localhost", own, f"{own}.local", settings.host.lower()}
        self._public = {name.lower() for name in settings.host_names}

    def check(self, headers: dict[str, bytes]) -> None:
        """Raises Refused for a name that is not ours, and for the call of a foreign page."""
        host = _text(headers, "host")
        # Behind a Space's proxy the name that arrives is the proxy's affair.
        if not self._space and not self._known(host):
            raise Refused(
                403,
                "This page does not answer to that name: open it by its address, or name it in "
                "SLM_EXPLORER_HOSTS.",
            )
        origin = _text(headers, "origin")
        if not origin:
            return
        ours = {_bare(host)}
        if self._proxied:
            ours.add(_bare(_text(headers, "x-forwarded-host").partition(",")[0].strip()))
            ours |= self._public
        try:
            parts = urlsplit(origin)
        except ValueError:
            parts = urlsplit("")
        if parts.scheme not in ("http", "https") or _bare(parts.netloc) not in ours - {""}:
            raise Refused(403, "This page can only be used from itself, not from another site.")

    def address(self, scope: Scope, headers: dict[str, bytes]) -> str:
        """The visitor's; behind a proxy the last public one of the chain, for whatever stands
        before it the visitor may have written. An IPv6 network counts as one.
        """
        client = scope.get("client")
        found = str(client[0]) if client else "unknown"
        if self._proxied:
            for part in reversed(_text(headers, "x-forwarded-for").split(",")):
                try:
                    if ipaddress.ip_address(part.strip()).is_global:
                        found = part.strip()
                        break
                except ValueError:
                    continue
        try:
            number = ipaddress.ip_address(found)
        except ValueError:
            return found
        if isinstance(number, ipaddress.IPv6Address):
            if number.ipv4_mapped:
                return str(number.ipv4_mapped)
            return str(ipaddress.ip_network((int(number), 64), strict=False))
        return str(number)

    def clean(self, scope: Scope) -> None:
        """Gradio builds addresses from these headers; only a proxy may set them."""
        if not self._proxied:
            scope["headers"] = [
                pair for pair in scope["headers"] if not pair[0].startswith(b"x-forwarded-")
            ]

    def _known(self, host: str) -> bool:
        name = _name(host)
        if name in self._names | self._public:
            return True
        try:
            ipaddress.ip_address(name)
        except ValueError:
            return False
        return True


def _text(headers: dict[str, Any], name: str) -> str:
    return bytes(headers.get(name, b"")).decode("latin-1")


def _bare(host: str) -> str:
    """Without the port that a scheme means by itself."""
    return host.lower().removesuffix(":80").removesuffix(":443")


def _name(host: str) -> str:
    """The name or number of `host:port`; empty where it is neither."""
    found = _HOST.fullmatch(host.lower())
    return (found.group(1) or found.group(2)).rstrip(".") if found else ""

"""What is typed and shown in a class: join codes, keys, nicknames, and the machine's address."""

from __future__ import annotations

import hmac
import re
import secrets
import socket
import unicodedata
from collections.abc import Collection

from slm_explorer.errors import InvalidRequest

# No vowels, so that no words arise, and nothing that looks like another letter or a digit.
LETTERS = "CDFHJKLMNPQRTVWX"
CODE_LENGTH = 5
_KEY_LENGTH = 16
MAX_NAME_CHARS = 24

# Where no packet is sent, the system only says from which address it would go: towards private
# networks first, for that is where a class is, then towards an address set aside for examples.
_TOWARDS = ("192.168.255.254", "10.255.255.254", "172.31.255.254", "192.0.2.1")
_ORIGIN = re.compile(r"https?://[A-Za-z0-9.:\[\]-]{1,200}(/[A-Za-z0-9._/-]{0,200})?")
_LOOPBACK = re.compile(r"https?://(localhost|127\.|\[::1\])")
_EVERYWHERE = ("0.0.0.0", "::", "")


def new_code() -> str:
    """A join code: short, for it is read aloud. It lets in, and opens nothing else."""
    return "".join(secrets.choice(LETTERS) for _ in range(CODE_LENGTH))


def new_key() -> str:
    """A teacher's key: 64 random bits, in groups of four letters so that it can be typed."""
    letters = "".join(secrets.choice(LETTERS) for _ in range(_KEY_LENGTH))
    return "-".join(letters[at : at + 4] for at in range(0, _KEY_LENGTH, 4))


def same(given: object, secret: str) -> bool:
    """Compare what somebody typed with a code or key, in constant time; case, spaces and hyphens
    do not matter.
    """
    typed = given if isinstance(given, str) and len(given) <= 100 else ""
    return hmac.compare_digest(_plain(typed), _plain(secret))


def _plain(text: str) -> bytes:
    return "".join(text.split()).replace("-", "").upper().encode("utf-8", "replace")


def clean_name(name: object, taken: Collection[str]) -> str:
    """A nickname fit for everybody's screen: one line, nothing invisible, at most MAX_NAME_CHARS,
    unlike any of `taken` (a number is added). InvalidRequest where nothing is left.
    """
    if not isinstance(name, str) or len(name) > 1000:
        raise InvalidRequest("Type a nickname first: it is what the class will see.")
    # Cc, Cf, Co, Cs: control, invisible and direction-changing characters, lone surrogates.
    kept = "".join(
        each if unicodedata.category(each)[0] not in "C" else " "
        for each in unicodedata.normalize("NFKC", name)
    )
    # A tower of accents would paint over the lines above and below; two are real writing.
    marks = [unicodedata.category(each)[0] == "M" for each in kept]
    shown = "".join(
        each for at, each in enumerate(kept) if not (at > 1 and all(marks[at - 2 : at + 1]))
    )
    clean = " ".join(shown.split())[:MAX_NAME_CHARS].strip()
    if not clean or not any(each.isalnum() for each in clean):
        raise InvalidRequest("Type a nickname with at least one letter or digit.")
    used = {each.casefold() for each in taken}
    unique, number = clean, 2
    while unique.casefold() in used:
        unique = f"{clean[: MAX_NAME_CHARS - 4].strip()} {number}"
        number += 1
    return unique


def reachable_address(host: str, port: int) -> str | None:
    """The page's address for other machines of this network; None where there is none.

    `host` is where the app listens: an address of its own is taken as it is, all addresses
    become the one that this machine has on its local network.
    """
    if host in ("127.0.0.1", "localhost", "::1"):
        return None
    named = host if host not in _EVERYWHERE else _own_address()
    if named is None:
        return None
    return f"http://[{named}]:{port}/" if ":" in named else f"http://{named}:{port}/"


def join_link(code: str, seen: object, reachable: str | None) -> str | None:
    """The link for students: where the teacher's own page was reached, unless that is this
    machine's name for itself; else the address on the local network. None where neither is.
    """
    page = reachable
    if isinstance(seen, str) and _ORIGIN.fullmatch(seen) and not _LOOPBACK.match(seen):
        page = seen
    return None if page is None else f"{page.rstrip('/')}/?class={code}"


def _own_address() -> str | None:
    for target in _TOWARDS:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
            try:
                probe.connect((target, 9))
                found = str(probe.getsockname()[0])
            except OSError:
                continue
        if not found.startswith(("127.", "169.254.", "0.")):
            return found
    return None

"""What may be asked of the Hub: ids and revisions, checked before anything is sent."""

from __future__ import annotations

import re

from slm_explorer.catalog.catalog import Catalog
from slm_explorer.catalog.resolve import is_hub_id
from slm_explorer.errors import InvalidRequest

_REVISION = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._/-]{0,254}")
_SHOWN = 80


def hub_id_of(catalog: Catalog, model: str) -> str:
    """The Hub id that `model` means: itself, or a card's. Raises InvalidRequest.

    The Hub's ids are ASCII; look-alikes of other scripts, paths and addresses are refused.
    """
    model = model.strip()
    card = catalog.find(model) if len(model) <= 200 else None
    if card is not None:
        if card.hub_id is None:
            where = "is shipped with the app" if card.shipped else "has no repository on the Hub"
            raise InvalidRequest(f"{card.name} {where}: there is nothing to download.")
        return card.hub_id
    if not is_hub_id(model):
        shown = model if len(model) <= _SHOWN else model[:_SHOWN] + "…"
        raise InvalidRequest(
            f"{shown!r} is no Hub id: write it like owner/name, in Latin letters, digits, '-', "
            "'_' and '.'."
        )
    return model


def checked_revision(revision: str | None) -> str:
    """A branch, a tag or a commit; "main" for None. Raises InvalidRequest."""
    if revision is None or not revision.strip():
        return "main"
    revision = revision.strip()
    parts = revision.split("/")
    if not _REVISION.fullmatch(revision) or ".." in revision or "" in parts or "." in parts:
        raise InvalidRequest(
            f"{revision[:_SHOWN]!r} is no revision: give a branch, a tag or a commit's 40 "
            "hexadecimal digits."
        )
    return revision

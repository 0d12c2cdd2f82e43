"""Put a folder with a model on the Hub, with the token of whoever runs the app."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from slm_explorer.catalog.resolve import is_hub_id
from slm_explorer.errors import InvalidRequest
from slm_explorer.hub.errand import Errand, check_online, wait_for
from slm_explorer.settings import Settings

# Uploads of gigabytes take their time; a server that says nothing for so long has gone.
_DEADLINE_S = 3600.0


def push_folder(
    settings: Settings, folder: Path, extra: Mapping[str, str], hub_id: str, *, private: bool
) -> str:
    """Create the repository where it is missing, upload the folder and `extra` (names to texts),
    and return its address.

    The token is the environment's own (HF_TOKEN, or a login on this machine) and is read by the
    child process alone. Raises InvalidRequest for what is no `owner/name`, Offline, HubError.
    """
    _check(settings, hub_id)
    order = {
        "do": "push",
        "hub_id": hub_id,
        "revision": "main",
        "folder": str(folder),
        "extra": dict(extra),
        "private": private,
    }
    told = wait_for(Errand(order), _DEADLINE_S)
    return str(told["url"])


def push_space(
    settings: Settings, folder: Path, hub_id: str, *, private: bool, hardware: str | None
) -> str:
    """The same for a built Space, on the Hub's `hardware` (None: what it gives by itself)."""
    _check(settings, hub_id)
    order = {
        "do": "push_space",
        "hub_id": hub_id,
        "revision": "main",
        "folder": str(folder),
        "private": private,
        "hardware": hardware,
    }
    return str(wait_for(Errand(order), _DEADLINE_S)["url"])


def _check(settings: Settings, hub_id: str) -> None:
    if "/" not in hub_id or not is_hub_id(hub_id):
        raise InvalidRequest(f"{hub_id[:80]!r} is no name for a repository: write OWNER/NAME.")
    check_online(settings)

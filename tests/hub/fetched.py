"""What tests of downloads ask and wait for."""

from __future__ import annotations

from pathlib import Path

from slm_explorer.hub.service import HubService
from slm_explorer.hub.values import DownloadState

SECRET = "hf_thisIsNobodysToken0123456789"
ID = "some-one/Tiny.Llama-1"


def finish(service: HubService, hub_id: str = ID, revision: str | None = None) -> DownloadState:
    service.download(hub_id, revision)
    return last(service, hub_id)


def last(service: HubService, hub_id: str = ID) -> DownloadState:
    *_, state = service.follow(hub_id, every_s=0.05)
    return state


def until_bytes(service: HubService, least: int, hub_id: str = ID) -> DownloadState:
    for state in service.follow(hub_id, every_s=0.02):
        if state.bytes_done >= least:
            return state
    raise AssertionError(f"it ended before: {state}")


def partials(cache: Path) -> list[Path]:
    return sorted(cache.rglob("*.incomplete"))

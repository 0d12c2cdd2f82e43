"""The Hub for every surface: look up, download, list what is here, delete."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

from slm_explorer.catalog.catalog import Catalog
from slm_explorer.catalog.resolve import hub_cache_folder
from slm_explorer.hub.values import DownloadState, HubModel, LocalModel
from slm_explorer.settings import Settings


def _free_bytes(folder: Path) -> int:
    return shutil.disk_usage(folder).free


class HubService:
    """One for the whole app; downloads belong to it and outlive whoever asked for them.

    `in_use` tells whether a worker has the model in that folder loaded. `free_bytes` says what
    the disk of a folder has left. Every call that needs the network raises Offline where the
    settings or the environment forbid it.
    """

    def __init__(
        self,
        catalog: Catalog,
        assets: Path,
        settings: Settings,
        *,
        in_use: Callable[[Path], bool],
        free_bytes: Callable[[Path], int] = _free_bytes,
        cache: Path | None = None,
    ) -> None:
        self._catalog = catalog
        self._assets = assets
        self._settings = settings
        self._in_use = in_use
        self._free_bytes = free_bytes
        self._cache = hub_cache_folder() if cache is None else cache

    def look_up(self, hub_id: str, revision: str | None = None) -> HubModel:
        """Metadata at `revision` (main where None), within seconds; nothing is kept on disk.

        `hub_id` may be a card's id. Raises InvalidRequest for what is no id, UnknownModel where
        the Hub has none or it is private, Offline, HubError for everything else.
        """
        raise NotImplementedError

    def download(self, hub_id: str, revision: str | None = None) -> DownloadState:
        """Start it, or join the one that runs for this id. Returns at once.

        Raises InvalidRequest and Offline; everything later is in the state.
        """
        raise NotImplementedError

    def downloads(self) -> tuple[DownloadState, ...]:
        """All downloads since the app started, oldest first; one a repository, its newest."""
        raise NotImplementedError

    def follow(self, hub_id: str, every_s: float = 0.5) -> Iterator[DownloadState]:
        """Its states, at least one every `every_s`, until it has ended."""
        raise NotImplementedError

    def cancel(self, hub_id: str) -> DownloadState | None:
        """Stop it now; what came is kept for the next try. None where there is none."""
        raise NotImplementedError

    def local_models(self) -> tuple[LocalModel, ...]:
        """The shipped models, then the cache's, complete or partial, by id."""
        raise NotImplementedError

    def delete(self, model: str) -> int:
        """Delete a model of the cache, all its revisions; returns the bytes freed.

        Raises InvalidRequest where it is loaded, being downloaded or not of the cache.
        """
        raise NotImplementedError

    def close(self) -> None:
        """End every download; what came is kept."""

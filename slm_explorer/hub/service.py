"""The Hub for every surface: look up, download, list what is here, delete."""

from __future__ import annotations

import shutil
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from slm_explorer.catalog.catalog import Catalog
from slm_explorer.catalog.checkpoint import inspect_checkpoint
from slm_explorer.catalog.resolve import hub_cache_folder, repository_folder
from slm_explorer.errors import HubError, InvalidRequest, UnknownModel, UnsupportedModel
from slm_explorer.hub.config_card import RepositoryFacts, make_card
from slm_explorer.hub.config_check import config_problem, parse_config
from slm_explorer.hub.downloads import Downloads
from slm_explorer.hub.errand import Errand, check_online, wait_for
from slm_explorer.hub.library import Library, read_library
from slm_explorer.hub.local import cached_models, delete_cached, shipped_models
from slm_explorer.hub.names import checked_revision, hub_id_of
from slm_explorer.hub.plan import disk_problem, find_problem, needed_names, weight_formats
from slm_explorer.hub.values import DownloadState, HubFile, HubModel, LocalModel
from slm_explorer.settings import Settings

# A Python process starts in this too, on a machine that is busy with models.
LOOK_UP_S = 30.0
# Each is a process of its own, and any visitor may ask.
LOOK_UPS_AT_ONCE = 4


def _free_bytes(folder: Path) -> int:
    return shutil.disk_usage(folder).free


def _check_whole(folder: Path) -> None:
    """Raise BadCheckpoint where a download lacks what its own index names."""
    try:
        inspect_checkpoint(folder)
    except UnsupportedModel:
        return


class HubService:
    """One for the whole app; downloads belong to it and outlive whoever asked for them.

    `in_use` tells whether a worker has the model in that folder loaded. `free_bytes` says what
    the disk of a folder has left. Every call that needs the network raises Offline where the
    settings or the environment forbid it. A look-up is given up after `deadline_s` seconds.
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
        deadline_s: float = LOOK_UP_S,
    ) -> None:
        self._catalog = catalog
        self._assets = assets
        self._settings = settings
        self._in_use = in_use
        self._free_bytes = free_bytes
        self._cache = hub_cache_folder() if cache is None else cache
        self._deadline_s = deadline_s
        self._turns = threading.BoundedSemaphore(LOOK_UPS_AT_ONCE)
        self._library: tuple[Library | None] | None = None
        self._downloads = Downloads(self._prepare, _check_whole)

    def look_up(self, hub_id: str, revision: str | None = None) -> HubModel:
        """Metadata at `revision` (main where None), within seconds; nothing is kept on disk.

        `hub_id` may be a card's id. Raises InvalidRequest for what is no id, UnknownModel where
        the Hub has none or it is private, Offline, HubError for everything else.
        """
        return self._look_up(hub_id_of(self._catalog, hub_id), checked_revision(revision))

    def download(self, hub_id: str, revision: str | None = None) -> DownloadState:
        """Start it, or join the one that runs for this id. Returns at once.

        Raises InvalidRequest and Offline; everything later is in the state.
        """
        found, revision = hub_id_of(self._catalog, hub_id), checked_revision(revision)
        check_online(self._settings)
        return self._downloads.start(found, revision)

    def downloads(self) -> tuple[DownloadState, ...]:
        """All downloads since the app started, oldest first; one a repository, its newest."""
        return self._downloads.states()

    def follow(self, hub_id: str, every_s: float = 0.5) -> Iterator[DownloadState]:
        """Its states, one every `every_s` seconds and the last at once. InvalidRequest for what
        was never started.
        """
        return self._downloads.follow(hub_id_of(self._catalog, hub_id), every_s)

    def cancel(self, hub_id: str) -> DownloadState | None:
        """Stop it now; what came is kept for the next try. None where there is none."""
        return self._downloads.cancel(hub_id_of(self._catalog, hub_id))

    def local_models(self) -> tuple[LocalModel, ...]:
        """The shipped models, then the cache's, complete or partial, by id."""
        return (
            *shipped_models(self._catalog, self._assets),
            *cached_models(self._catalog, self._cache),
        )

    def delete(self, model: str) -> int:
        """Delete a model of the cache, all its revisions; returns the bytes freed.

        `model` is a card's id or a Hub id. Raises InvalidRequest where it is loaded or being
        downloaded, UnknownModel where the cache has none, StorageError where it stays.
        """
        hub_id = hub_id_of(self._catalog, model)
        folder = repository_folder(hub_id, self._cache)
        if not folder.is_dir():
            raise UnknownModel(f"{hub_id} is not in the model cache: there is nothing to delete.")
        if self._in_use(folder):
            raise InvalidRequest(f"{hub_id} is loaded: unload it on the Meters tab first.")
        if any(each.hub_id == hub_id and not each.ended for each in self.downloads()):
            raise InvalidRequest(f"{hub_id} is being downloaded: cancel that first.")
        return delete_cached(hub_id, self._cache)

    def close(self) -> None:
        """End every download; what came is kept."""
        self._downloads.close()

    def _look_up(
        self, hub_id: str, revision: str, attach: Callable[[Errand], None] | None = None
    ) -> HubModel:
        check_online(self._settings)
        if not self._turns.acquire(timeout=self._deadline_s):
            raise HubError("Too many look-ups are running at once: try again in a moment.")
        try:
            errand = Errand({"do": "look_up", "hub_id": hub_id, "revision": revision})
            if attach is not None:
                attach(errand)
            told = wait_for(errand, self._deadline_s)
        finally:
            self._turns.release()
        names = [file["name"] for file in told["files"]]
        needed = needed_names(names)
        files = tuple(
            HubFile(**file, needed=file["name"] in needed)
            for file in sorted(told["files"], key=lambda file: str(file["name"]))
        )
        formats = weight_formats(names)
        config = None if told["config"] is None else parse_config(told["config"])
        problem = find_problem(
            hub_id,
            access=told["access"],
            files=files,
            formats=formats,
            config_text=told["config"],
            config=config,
            library=self._known_models(),
        )
        usable = config is not None and config_problem(config) is None
        facts = RepositoryFacts(
            hub_id,
            told["commit"],
            told["license"],
            told["gated"],
            told["parameters"],
            sum(f.size or 0 for f in files if f.needed and f.name.endswith(".safetensors")),
            formats,
            told["chat_template"],
            told["pipeline_tag"],
            supported=problem is None,
        )
        snapshot = repository_folder(hub_id, self._cache) / "snapshots" / told["commit"]
        wanted = [file for file in files if file.needed]
        complete = bool(wanted) and all((snapshot / file.name).is_file() for file in wanted)
        missing = 0 if complete else self._missing(hub_id, wanted)
        card = self._catalog.find(hub_id)
        return HubModel(
            hub_id=hub_id,
            revision=revision,
            commit=told["commit"],
            gated=told["gated"],
            access=told["access"],
            license=told["license"],
            pipeline_tag=told["pipeline_tag"],
            library=told["library"],
            last_modified=told["last_modified"],
            files=files,
            formats=formats,
            download_bytes=sum(file.size or 0 for file in wanted),
            missing_bytes=missing,
            config=config,
            card=make_card(config, facts, self._catalog) if usable and config else None,
            card_id=card.id if card else None,
            local_path=str(snapshot) if complete else None,
            problem=problem or disk_problem(hub_id, missing, self._free()),
        )

    def _prepare(self, state: DownloadState, attach: Callable[[Errand], None]) -> dict[str, Any]:
        model = self._look_up(state.hub_id, state.revision, attach)
        if model.problem is not None:
            raise HubError(model.problem)
        # Small files first: whoever watches learns soon whether the connection works.
        wanted = sorted((f for f in model.files if f.needed), key=lambda f: f.size or 0)
        return {
            "do": "fetch",
            "hub_id": model.hub_id,
            "revision": model.revision,
            "commit": model.commit,
            "repository": str(repository_folder(model.hub_id, self._cache)),
            "files": [{"name": f.name, "size": f.size, "etag": f.etag} for f in wanted],
            "total": model.download_bytes,
            "kept": model.download_bytes - model.missing_bytes,
        }

    def _missing(self, hub_id: str, files: list[HubFile]) -> int:
        """Bytes that a download would still have to fetch."""
        blobs = repository_folder(hub_id, self._cache) / "blobs"
        missing = 0
        for file in files:
            size, kept = file.size or 0, 0
            for name in (f"{file.etag}", f"{file.etag}.incomplete"):
                if (blobs / name).is_file():
                    kept = max(kept, min(size, (blobs / name).stat().st_size))
            missing += size - kept
        return missing

    def _free(self) -> int:
        folder = self._cache
        while not folder.is_dir():
            folder = folder.parent
        return self._free_bytes(folder)

    def _known_models(self) -> Library | None:
        if self._library is None:
            self._library = (read_library(),)
        return self._library[0]

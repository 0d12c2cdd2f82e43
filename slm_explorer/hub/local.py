"""The models on this disk: the shipped ones and those of the Hugging Face cache."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

from slm_explorer.catalog.catalog import Catalog
from slm_explorer.catalog.checkpoint import inspect_checkpoint
from slm_explorer.catalog.resolve import cached_snapshot, is_hub_id, repository_folder
from slm_explorer.errors import SlmError, StorageError
from slm_explorer.hub.values import LocalModel

_PREFIX = "models--"
_PARTIAL = ".incomplete"


def shipped_models(catalog: Catalog, assets: Path) -> Iterator[LocalModel]:
    for card in catalog.cards:
        folder = assets / "sprouts" / card.id
        if card.shipped and folder.is_dir():
            files = [entry for entry in folder.iterdir() if entry.is_file()]
            yield LocalModel(
                id=card.id,
                name=card.name,
                hub_id=None,
                origin="shipped",
                path=str(folder),
                revision=None,
                size_bytes=sum(file.stat().st_size for file in files),
                partial_bytes=0,
                last_used=_last_used(files),
                problem=_problem(folder),
            )


def cached_models(catalog: Catalog, cache: Path) -> Iterator[LocalModel]:
    """One a repository, as resolve() would load it."""
    try:
        names = sorted(entry.name for entry in cache.iterdir() if entry.is_dir())
    except OSError:
        return
    for name in names:
        hub_id = name.removeprefix(_PREFIX).replace("--", "/")
        if name.startswith(_PREFIX) and is_hub_id(hub_id):
            yield _cached(catalog, hub_id, cache)


def _cached(catalog: Catalog, hub_id: str, cache: Path) -> LocalModel:
    repository = repository_folder(hub_id, cache)
    card = catalog.find(hub_id)
    snapshot = cached_snapshot(hub_id, cache)
    files = list(_stored(repository))
    partial = [file for file in files if file.name.endswith(_PARTIAL)]
    command = f"slm-explorer download {card.id if card else hub_id}"
    if snapshot is not None:
        problem = _problem(snapshot)
    elif partial:
        problem = f"Its download is not finished; continue it: {command}"
    else:
        problem = f"Its files are not complete; download the rest: {command}"
    return LocalModel(
        id=card.id if card else hub_id,
        name=card.name if card else hub_id.rpartition("/")[2],
        hub_id=hub_id,
        origin="cache",
        path=None if snapshot is None else str(snapshot),
        revision=None if snapshot is None else snapshot.name,
        size_bytes=sum(file.stat().st_size for file in files),
        partial_bytes=sum(file.stat().st_size for file in partial),
        last_used=_last_used(files),
        problem=problem,
    )


def delete_cached(hub_id: str, cache: Path) -> int:
    """Delete the repository, all revisions and parts; returns the bytes freed.

    huggingface_hub's own deletion, which knows what other repositories share. Raises
    StorageError where something stays behind.
    """
    from huggingface_hub import scan_cache_dir

    repository = repository_folder(hub_id, cache)
    before = sum(file.stat().st_size for file in _stored(repository))
    info = scan_cache_dir(cache)
    ours = [repo for repo in info.repos if repo.repo_path.name == repository.name]
    commits = [revision.commit_hash for repo in ours for revision in repo.revisions]
    if commits:
        # Among this repository's only: copies of a repository have the same commits.
        replace(info, repos=frozenset(ours)).delete_revisions(*commits).execute()
    if repository.is_dir():
        # Without any revision, or with what the library takes for damaged, it deletes nothing.
        shutil.rmtree(repository, ignore_errors=True)
    if repository.exists():
        raise StorageError(
            f"{repository} could not be deleted whole: check the permissions of the model cache."
        )
    return before


def _stored(repository: Path) -> Iterator[Path]:
    """The files that take room: blobs, and copies where links are forbidden."""
    for folder, _, names in os.walk(repository):
        for name in names:
            path = Path(folder) / name
            # A blob may itself be a link, into a store shared by repositories.
            if path.is_file() and (not path.is_symlink() or path.parent.name == "blobs"):
                yield path


def _last_used(files: list[Path]) -> float | None:
    return max((file.stat().st_atime for file in files), default=None)


def _problem(folder: Path) -> str | None:
    times = [(path, path.stat()) for path in folder.iterdir() if path.is_file()]
    try:
        inspect_checkpoint(folder)
    except SlmError as error:
        return str(error)
    finally:
        # Looking is no use of a model: the file system would record it as one.
        for path, stat in times:
            with suppress(OSError):
                os.utime(path, ns=(stat.st_atime_ns, stat.st_mtime_ns))
    return None

"""What the Hub part tells others: plain frozen values, sizes in bytes, times in seconds."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from slm_explorer.catalog.cards import Card
from slm_explorer.units import format_bytes

Gate = Literal["no", "auto", "manual"]
DownloadStatus = Literal[
    "queued", "looking up", "downloading", "verifying", "done", "failed", "cancelled"
]
ENDED: tuple[DownloadStatus, ...] = ("done", "failed", "cancelled")


@dataclass(frozen=True)
class HubFile:
    """One file of a repository, as the Hub lists it.

    `etag` names its blob in the cache: the SHA-256 of the content where it is stored with LFS,
    git's SHA-1 otherwise. `sha256` is None for the latter. `needed` is whether a download
    fetches it.
    """

    name: str
    size: int | None
    etag: str | None
    sha256: str | None
    needed: bool = False


@dataclass(frozen=True)
class HubModel:
    """A repository's metadata at one commit; no weights were read.

    `revision` is what was asked for, `commit` what it stood for then. `gated` is what the Hub
    asks before a download, `access` whether this machine's token (or nobody's) may read the
    files; None where that was not found out. `license` is the repository's own tag. `formats`
    are the kinds of weights it holds: safetensors, pickle, gguf, onnx, tensorflow, flax,
    adapter. `download_bytes` is the size of the needed files, `missing_bytes` what of it is
    not on this disk yet. `config` is its config.json. `card` is made from it: its numbers are
    the config's, its parameter count the Hub's reading of the safetensors headers. `card_id`
    is the catalog's own card of this repository. `local_path` is set where this commit is on
    this disk, complete. `problem` says in one sentence why it cannot be used here and what to
    do; None where it can.
    """

    hub_id: str
    revision: str
    commit: str
    gated: Gate
    access: bool | None
    license: str | None
    pipeline_tag: str | None
    library: str | None
    last_modified: str | None
    files: tuple[HubFile, ...]
    formats: tuple[str, ...]
    download_bytes: int
    missing_bytes: int
    config: Mapping[str, object] | None
    card: Card | None
    card_id: str | None
    local_path: str | None
    problem: str | None

    def row(self) -> dict[str, object]:
        """The keys of `lookup --json`."""
        card = self.card
        return {
            "hub_id": self.hub_id,
            "revision": self.revision,
            "commit": self.commit,
            "problem": self.problem,
            "architecture_kind": card.architecture_kind if card else None,
            "model_type": card.model_type if card else None,
            "parameters": card.parameters if card else None,
            "context_length": card.context_length if card else None,
            "dtype": card.native_dtype if card else None,
            "license": self.license,
            "gated": self.gated,
            "access": self.access,
            "formats": list(self.formats),
            "download_bytes": self.download_bytes,
            "missing_bytes": self.missing_bytes,
            "local_path": self.local_path,
            "card": self.card_id,
            "last_modified": self.last_modified,
        }


@dataclass(frozen=True)
class DownloadState:
    """One download as it is now; it ends as done, failed or cancelled.

    `bytes_total` counts all needed files, `bytes_done` what of them is on disk, kept parts of
    earlier tries included; both 0 until the metadata is known. `bytes_per_s` is over the last
    seconds; it and `seconds_left` are None while unknown. `stalled_s` is how long nothing has
    come, None while data flows. `path` is the folder to load once it is done. `error` is one
    sentence with the next step; what came is kept for the next try, wrong files excepted.
    """

    hub_id: str
    revision: str
    status: DownloadStatus
    commit: str | None = None
    file: str | None = None
    bytes_done: int = 0
    bytes_total: int = 0
    bytes_per_s: float | None = None
    seconds_left: float | None = None
    stalled_s: float | None = None
    path: str | None = None
    error: str | None = None
    error_kind: str | None = None

    @property
    def ended(self) -> bool:
        return self.status in ENDED

    @property
    def sentence(self) -> str:
        """What a person wants to know of it now."""
        if self.status != "downloading":
            return self.error or self.status
        parts = [f"{format_bytes(self.bytes_done)} of {format_bytes(self.bytes_total)}"]
        if self.stalled_s is not None:
            parts.append(f"nothing has come for {self.stalled_s:.0f} s")
        if self.bytes_per_s is not None:
            parts.append(f"{format_bytes(self.bytes_per_s)}/s")
        if self.seconds_left is not None:
            parts.append(f"{_duration(self.seconds_left)} left")
        return ", ".join(parts)

    def row(self) -> dict[str, object]:
        """The keys of `download --json`."""
        return {
            "hub_id": self.hub_id,
            "revision": self.revision,
            "commit": self.commit,
            "status": self.status,
            "downloaded_bytes": self.bytes_done,
            "total_bytes": self.bytes_total,
            "path": self.path,
            "error": self.error,
        }


def _duration(seconds: float) -> str:
    for unit, length in (("s", 60), ("min", 60), ("h", 24)):
        if seconds < 2 * length:
            return f"{seconds:.0f} {unit}"
        seconds /= length
    return f"{seconds:,.0f} days"


@dataclass(frozen=True)
class LocalModel:
    """A model on this disk: shipped, or in the Hugging Face cache.

    `id` is what other calls take: a card's id where there is one, else the Hub id. `path` is
    the folder to load, None where nothing is complete. `size_bytes` is what deleting frees,
    `partial_bytes` the share of unfinished downloads in it. `last_used` is seconds since 1970
    by the file system's own record, which many disks keep to the day only; None where it
    keeps none. `problem` says why it cannot run, None where it can.
    """

    id: str
    name: str
    hub_id: str | None
    origin: Literal["shipped", "cache"]
    path: str | None
    revision: str | None
    size_bytes: int
    partial_bytes: int
    last_used: float | None
    problem: str | None

    @property
    def deletable(self) -> bool:
        return self.origin == "cache"

    def row(self) -> dict[str, object]:
        """The keys of `local --json`."""
        return {
            "id": self.id,
            "hub_id": self.hub_id,
            "origin": self.origin,
            "size_bytes": self.size_bytes,
            "partial_bytes": self.partial_bytes,
            "last_used": self.last_used,
            "revision": self.revision,
            "path": self.path,
            "problem": self.problem,
        }

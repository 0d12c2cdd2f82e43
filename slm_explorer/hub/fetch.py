"""Download files into the Hugging Face cache so that a cut costs nothing. Runs in the child.

huggingface_hub 2.4 begins every file anew: it writes under a name of its own and deletes that
when the connection ends. So the bytes are received here, with its session, headers, locks and
layout, into `blobs/ETAG.incomplete`, which the next try continues by a Range request. A file
gets its name as a blob only after its size and hash were checked on disk, and a commit gets
its folder, and its ref, only when all its blobs are there, config.json last. Plain HTTP even
where the Hub offers Xet, which cannot be continued either.

Layout: https://huggingface.co/docs/huggingface_hub/guides/manage-cache
"""

from __future__ import annotations

import hashlib
import os
import re
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import httpx2
from huggingface_hub import constants, hf_hub_url
from huggingface_hub.errors import HfHubHTTPError
from huggingface_hub.utils import (  # type: ignore[attr-defined]
    WeakFileLock,
    build_hf_headers,
    get_session,
    hf_raise_for_status,
)

from slm_explorer.errors import HubError
from slm_explorer.hub.refusals import retry_after

_CONTENT_RANGE = re.compile(r"bytes (\d+)-\d+/(\d+)")
_TRIES = 5
_LONGEST_WAIT_S = 60
_WORTH_A_RETRY = (408, 429, 500, 502, 503, 504)
_READ_BYTES = 2**20


@dataclass(frozen=True)
class WantedFile:
    """A file by its name in the repository, its size and its hash (see HubFile.etag)."""

    name: str
    size: int
    etag: str


@dataclass(frozen=True)
class Report:
    """What the child tells while it works: the file in hand, bytes on disk, checking."""

    file: Callable[[str], None]
    bytes: Callable[[int], None]
    verifying: Callable[[str], None]


class _BrokeOff(Exception):
    """The answer ended early, without an error."""


def fetch(
    hub_id: str,
    commit: str,
    revision: str,
    repository: Path,
    files: list[WantedFile],
    report: Report,
) -> Path:
    """Fetch all `files` of `commit`; returns the snapshot's folder.

    `repository` is the model's folder in the cache. Raises HubError for a wrong file, whose
    bytes are removed, and what httpx and the disk raise, whose bytes are kept.
    """
    blobs = repository / "blobs"
    snapshot = repository / "snapshots" / commit
    blobs.mkdir(parents=True, exist_ok=True)
    snapshot.parent.mkdir(exist_ok=True)
    locks = repository.parent / ".locks" / repository.name
    locks.mkdir(parents=True, exist_ok=True)
    done = 0
    for file in files:
        report.file(file.name)
        with WeakFileLock(locks / f"{file.etag}.lock"):
            there = (blobs / file.etag, snapshot / file.name)
            if not any(_is_whole(path, file.size) for path in there):
                download = _Download(hf_hub_url(hub_id, file.name, revision=commit), blobs, file)
                download.run(_after(done, report.bytes), report)
        done += file.size
        report.bytes(done)
    # The name that makes a folder a model comes last.
    for file in sorted(files, key=lambda file: file.name == "config.json"):
        _link(blobs / file.etag, snapshot / file.name)
    if revision != commit:
        ref = repository / "refs" / revision
        ref.parent.mkdir(parents=True, exist_ok=True)
        ref.write_text(commit, "ascii")
    return snapshot


def _after(before: int, on_bytes: Callable[[int], None]) -> Callable[[int], None]:
    return lambda count: on_bytes(before + count)


class _Download:
    """One file, until it is whole and checked."""

    def __init__(self, url: str, blobs: Path, file: WantedFile) -> None:
        self._url = url
        self._file = file
        self._blob = blobs / file.etag
        self._partial = blobs / f"{file.etag}.incomplete"

    def run(self, on_bytes: Callable[[int], None], report: Report) -> None:
        # A server that always starts anew makes no progress beyond what it once sent.
        tries, furthest = 0, self._received()
        while self._received() != self._file.size or not self._partial.exists():
            try:
                self._receive(on_bytes)
            except (
                httpx2.TimeoutException,
                httpx2.NetworkError,
                httpx2.RemoteProtocolError,
            ) as error:
                # Who has waited for a time-out need not wait again.
                pause = 0 if isinstance(error, httpx2.TimeoutException) else None
                tries, furthest = self._count(tries, furthest)
                if tries > _TRIES:
                    raise
            except HfHubHTTPError as error:
                pause = retry_after(error)
                tries, furthest = self._count(tries, furthest)
                if (
                    error.response.status_code not in _WORTH_A_RETRY
                    or tries > _TRIES
                    or (pause or 0) > _LONGEST_WAIT_S
                ):
                    raise
            except _BrokeOff:
                pause = None
                tries, furthest = self._count(tries, furthest)
                if tries > _TRIES:
                    raise HubError(
                        f"The Hub ends {self._file.name} early every time: try again later; what "
                        "came is kept."
                    ) from None
            else:
                continue
            time.sleep(min(8, 2 ** (tries - 1)) if pause is None else pause)
        report.verifying(self._file.name)
        self._check()
        self._partial.replace(self._blob)

    def _received(self) -> int:
        try:
            return self._partial.stat().st_size
        except FileNotFoundError:
            return 0

    def _count(self, tries: int, furthest: int) -> tuple[int, int]:
        """Failed tries in a row, and the most bytes that there ever were."""
        received = self._received()
        return (1, received) if received > furthest else (tries + 1, furthest)

    def _receive(self, on_bytes: Callable[[int], None]) -> None:
        """Append what is missing. Ends normally only when the file has its full size."""
        size = self._file.size
        start = self._received()
        if start > size:
            self._partial.unlink()
            start = 0
        headers = {**build_hf_headers(), "Accept-Encoding": "identity"}
        if start:
            headers["Range"] = f"bytes={start}-"
        with get_session().stream(
            "GET", self._url, headers=headers, timeout=constants.HF_HUB_DOWNLOAD_TIMEOUT
        ) as response:
            hf_raise_for_status(response)
            start = self._agreed_start(response, start)
            # Unbuffered, so that a killed process has written what it has reported.
            with self._partial.open("ab", buffering=0) as file:
                file.truncate(start)
                for chunk in response.iter_bytes():
                    start += len(chunk)
                    if start > size:
                        raise self._wrong_size("more bytes")
                    file.write(chunk)
                    on_bytes(start)
        if start < size:
            raise _BrokeOff

    def _agreed_start(self, response: httpx2.Response, asked: int) -> int:
        """Where the answer begins; refuses one of another size before its bytes are taken."""
        if response.status_code == 206:
            match = _CONTENT_RANGE.fullmatch(response.headers.get("Content-Range", ""))
            if match is None or int(match[1]) != asked:
                raise HubError(
                    f"The Hub sends another part of {self._file.name} than was asked for: try "
                    "again later."
                )
            total = match[2]
        else:
            asked = 0
            total = response.headers.get("Content-Length", "")
        if total.isdecimal() and int(total) != self._file.size:
            raise self._wrong_size(f"{int(total):,} bytes")
        return asked

    def _wrong_size(self, what: str) -> HubError:
        self._partial.unlink(missing_ok=True)
        return HubError(
            f"The Hub lists {self._file.name} with {self._file.size:,} bytes and sends {what}, so "
            "it was removed: try again later; a proxy or mirror may alter files."
        )

    def _check(self) -> None:
        """Compare the bytes on disk with the hash by which the Hub names them."""
        if len(self._file.etag) == 64:
            digest = hashlib.sha256()
        else:
            digest = hashlib.sha1(b"blob %d\0" % self._file.size, usedforsecurity=False)
        with self._partial.open("rb") as file:
            while piece := file.read(_READ_BYTES):
                digest.update(piece)
            os.fsync(file.fileno())
        if digest.hexdigest() != self._file.etag:
            self._partial.unlink()
            raise HubError(
                f"{self._file.name} arrived with another hash than the Hub lists, so it was "
                "removed: download it again; a proxy or mirror may alter files."
            )


def _is_whole(path: Path, size: int) -> bool:
    return path.is_file() and path.stat().st_size == size


def _link(blob: Path, name: Path) -> None:
    """`name` stands for the blob by a relative link, or becomes it where links are forbidden."""
    if name.exists():
        return
    name.parent.mkdir(parents=True, exist_ok=True)
    name.unlink(missing_ok=True)  # a link that leads nowhere
    try:
        name.symlink_to(os.path.relpath(blob, name.parent))
    except OSError:
        blob.replace(name)

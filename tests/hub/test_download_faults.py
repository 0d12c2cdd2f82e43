"""Downloads that meet a Hub that lies, stalls or refuses, and a disk that is full."""

from __future__ import annotations

import json
import re
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from slm_explorer.errors import HubError
from slm_explorer.hub import downloads
from slm_explorer.hub.service import HubService
from tests.hub.conftest import WEIGHTS, MakeService, llama_files
from tests.hub.fetched import ID, finish, last, partials, until_bytes
from tests.hub.server import (
    Hub,
    Repository,
    hold_at,
    ignore_ranges_and_die_at,
    instead,
    never_answer,
    status,
    trickle,
)


def test_a_wrong_hash_is_removed_and_told(
    hub: Hub, tiny: Repository, service: HubService, cache: Path
) -> None:
    hub.fault("cdn:.*safetensors", instead(WEIGHTS[:-1] + b"!"))
    state = finish(service)
    assert state.status == "failed"
    assert "another hash than the Hub lists, so it was removed" in str(state.error)
    assert partials(cache) == []
    assert service.look_up(tiny.hub_id).missing_bytes == len(WEIGHTS)
    assert not list((cache / "models--some-one--Tiny.Llama-1" / "snapshots").iterdir())


@pytest.mark.parametrize("length", [len(WEIGHTS) - 1, len(WEIGHTS) + 1])
@pytest.mark.usefixtures("tiny")
def test_a_wrong_size_is_removed_and_told(
    hub: Hub, service: HubService, cache: Path, length: int
) -> None:
    hub.fault("cdn:.*safetensors", instead((WEIGHTS + b"!")[:length]))
    state = finish(service)
    assert f"and sends {length:,} bytes, so it was removed" in str(state.error)
    assert partials(cache) == []


def test_small_files_are_checked_too(hub: Hub, tiny: Repository, service: HubService) -> None:
    size = len(tiny.files["tokenizer.json"])
    hub.fault("tokenizer.json", instead(b"x" * size))
    assert "tokenizer.json arrived with another hash" in str(finish(service).error)


@pytest.mark.usefixtures("tiny")
def test_a_server_that_always_starts_anew_does_not_loop_for_ever(
    hub: Hub, service: HubService, monkeypatch: pytest.MonkeyPatch, cache: Path
) -> None:
    monkeypatch.setenv("HF_HUB_DOWNLOAD_TIMEOUT", "5")
    hub.fault("cdn:.*safetensors", ignore_ranges_and_die_at(0.3))
    service.download(ID)
    seen = until_asked(hub, "safetensors", 3)
    assert seen >= 3
    service.cancel(ID)
    assert partials(cache)


def until_asked(hub: Hub, pattern: str, times: int) -> int:
    ready = threading.Event()
    for _ in range(600):
        if len([seen for seen in hub.asked(pattern) if seen.cdn]) >= times:
            break
        ready.wait(0.05)
    return len([seen for seen in hub.asked(pattern) if seen.cdn])


@pytest.mark.usefixtures("tiny")
def test_one_byte_a_second_can_be_cancelled(hub: Hub, service: HubService) -> None:
    hub.fault("cdn:.*safetensors", trickle)
    service.download(ID)
    small = len(llama_files()["config.json"] + llama_files()["tokenizer.json"])
    state = until_bytes(service, small + 2)
    assert state.status == "downloading"
    service.cancel(ID)
    assert hub.gone.wait(10)


@pytest.mark.usefixtures("tiny")
def test_a_stall_says_so_and_ends_by_itself(
    hub: Hub, service: HubService, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(downloads, "STALL_S", 0.5)
    monkeypatch.setenv("HF_HUB_DOWNLOAD_TIMEOUT", "1")
    hub.fault("cdn:.*safetensors", hold_at(0.2))
    service.download(ID)
    stalled = next(state for state in service.follow(ID, 0.05) if state.stalled_s is not None)
    assert stalled.status == "downloading"
    assert "nothing has come for" in stalled.sentence
    assert stalled.seconds_left is None
    ended = last(service)
    assert ended.status == "failed"
    assert "stopped sending: check the connection and download again" in str(ended.error)
    ranges = {seen.range for seen in hub.asked("safetensors") if seen.cdn}
    assert ranges == {None, f"bytes={len(WEIGHTS) // 5}-"}


@pytest.mark.usefixtures("tiny")
def test_only_so_many_wait(hub: Hub, service: HubService) -> None:
    hub.fault("/api/", never_answer)
    for i in range(downloads.AT_ONCE + downloads.MAX_WAITING):
        service.download(f"a/model-{i}")
    with pytest.raises(HubError, match="20 downloads are waiting already: try again later"):
        service.download("one/more")
    service.cancel("a/model-9")
    assert service.download("one/more").status == "queued"


@pytest.mark.parametrize(
    ("answer", "says"),
    [
        (status(403), "forbids"),
        (status(404, X_Error_Code="EntryNotFound"), "lists a file of .* that it does not have"),
        (status(429, Retry_After="3600"), "try again in 3,600 s"),
    ],
    ids=["403", "404", "429"],
)
@pytest.mark.usefixtures("tiny")
def test_a_refusal_amid_a_download_ends_it_in_a_sentence(
    hub: Hub, service: HubService, answer: object, says: str
) -> None:
    hub.fault("model.safetensors", answer)  # type: ignore[arg-type]
    state = finish(service)
    assert state.status == "failed"
    assert re.search(says, str(state.error)), state.error


@pytest.mark.usefixtures("tiny")
def test_a_hub_that_fails_for_a_moment_is_asked_again(hub: Hub, service: HubService) -> None:
    hub.fault("model.safetensors", status(503), times=1)
    hub.fault("tokenizer.json", status(429, Retry_After="1"), times=1)
    assert finish(service).status == "done"


def test_what_cannot_be_used_is_not_downloaded(hub: Hub, service: HubService) -> None:
    files = llama_files()
    del files["model.safetensors"]
    hub.add(Repository("a/pickled", files))
    state = finish(service, "a/pickled")
    assert (state.status, state.error_kind) == ("failed", "HubError")
    assert "pickled weights only" in str(state.error)
    assert hub.asked("bin") == []


def test_an_index_that_names_what_the_hub_has_not(hub: Hub, service: HubService) -> None:
    files = llama_files()
    files["model-00001-of-00002.safetensors"] = files.pop("model.safetensors")
    shards = {"a": "model-00001-of-00002.safetensors", "b": "model-00002-of-00002.safetensors"}
    files["model.safetensors.index.json"] = json.dumps({"weight_map": shards}).encode()
    hub.add(Repository("a/half", files))
    state = finish(service, "a/half")
    assert state.status == "failed"
    assert "model-00002-of-00002.safetensors, which is missing" in str(state.error)


def test_no_room_is_told_before_anything_is_fetched(
    hub: Hub, tiny: Repository, make_service: MakeService, cache: Path
) -> None:
    state = finish(make_service(free_bytes=lambda _folder: 1_000_000), tiny.hub_id)
    assert "needs 3.67 MB more, and 500 MB are kept free" in str(state.error)
    assert hub.asked("safetensors") == []
    assert not cache.exists()


@pytest.fixture
def small_disk(cache: Path) -> Iterator[Path]:
    cache.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=2m", "tmpfs", str(cache)]
    if subprocess.run(command, capture_output=True, check=False).returncode != 0:
        pytest.skip("mounting a small disk is not allowed here")
    try:
        yield cache
    finally:
        subprocess.run(["umount", "-l", str(cache)], check=False)


@pytest.mark.usefixtures("tiny")
def test_a_disk_that_fills_keeps_what_came(
    hub: Hub, make_service: MakeService, small_disk: Path
) -> None:
    service = make_service(free_bytes=lambda _folder: 10**12)
    state = finish(service)
    assert state.status == "failed"
    assert state.error_kind == "StorageError"
    assert "is full: free some space and download again; what came is kept" in str(state.error)
    assert not (small_disk / "models--some-one--Tiny.Llama-1" / "refs").exists()
    [partial] = partials(small_disk)
    kept = partial.stat().st_size
    assert kept > 1_000_000
    resize = ["mount", "-o", "remount,size=20m", str(small_disk)]
    subprocess.run(resize, check=True)
    hub.seen.clear()
    assert finish(service).status == "done"
    assert [seen.range for seen in hub.asked("safetensors") if seen.cdn] == [f"bytes={kept}-"]

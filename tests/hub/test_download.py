"""Downloads from a real HTTP server into a real cache, with cuts, lies and cancels."""

from __future__ import annotations

import json
import re
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from huggingface_hub import scan_cache_dir, try_to_load_from_cache

from slm_explorer.catalog.catalog import Catalog
from slm_explorer.catalog.resolve import resolve
from slm_explorer.errors import HubError, InvalidRequest, UnknownModel
from slm_explorer.hub import downloads
from slm_explorer.hub.service import HubService
from slm_explorer.hub.values import DownloadState
from tests.hub.conftest import NEEDED, WEIGHTS, MakeService, llama, llama_files
from tests.hub.server import (
    COMMIT,
    Hub,
    Repository,
    die_at,
    hold_at,
    ignore_ranges_and_die_at,
    instead,
    never_answer,
    status,
    trickle,
)

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


@pytest.fixture
def cache(tmp_path: Path) -> Path:
    return tmp_path / "cache"


@pytest.mark.usefixtures("tiny")
def test_a_download_is_what_hugging_faces_own_library_makes(
    hub: Hub, service: HubService, cache: Path, catalog: Catalog
) -> None:
    state = finish(service)
    assert (state.status, state.error, state.commit) == ("done", None, COMMIT)
    assert state.bytes_done == state.bytes_total > len(WEIGHTS)
    folder = Path(str(state.path))
    assert sorted(entry.name for entry in folder.iterdir()) == NEEDED
    assert (folder / "model.safetensors").read_bytes() == WEIGHTS
    for entry in folder.iterdir():
        assert entry.readlink().as_posix().startswith("../../blobs/")
    found = try_to_load_from_cache(ID, "model.safetensors", cache_dir=cache)
    assert Path(str(found)) == folder / "model.safetensors"
    scan = scan_cache_dir(cache)
    assert [repo.repo_id for repo in scan.repos] == [ID]
    assert not scan.warnings
    assert resolve(catalog, ID, cache, cache=cache).path == folder
    assert service.look_up(ID).local_path == str(folder)
    before = len(hub.asked("model.safetensors"))
    assert finish(service).status == "done"
    assert len(hub.asked("model.safetensors")) == before


@pytest.mark.usefixtures("tiny")
def test_the_token_goes_to_the_hub_and_nowhere_else(
    hub: Hub, service: HubService, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_TOKEN", SECRET)
    state = finish(service)
    assert state.status == "done"
    assert {seen.token for seen in hub.seen if not seen.cdn} == {f"Bearer {SECRET}"}
    assert {seen.token for seen in hub.seen if seen.cdn} == {None}
    assert SECRET not in repr(state)


def test_a_pinned_commit_makes_no_main_ref_and_still_resolves(
    tiny: Repository, service: HubService, cache: Path, catalog: Catalog
) -> None:
    state = finish(service, revision=COMMIT)
    assert state.status == "done"
    assert not (cache / "models--some-one--Tiny.Llama-1" / "refs").exists()
    assert str(resolve(catalog, tiny.hub_id, cache, cache=cache).path) == state.path


@pytest.mark.usefixtures("tiny")
def test_a_cut_at_70_percent_is_continued_by_itself(hub: Hub, service: HubService) -> None:
    hub.fault("cdn:.*safetensors", die_at(0.7), times=1)
    assert finish(service).status == "done"
    ranges = [seen.range for seen in hub.asked("safetensors") if seen.cdn]
    assert ranges == [None, f"bytes={int(0.7 * len(WEIGHTS))}-"]


@pytest.mark.usefixtures("tiny")
def test_a_cancel_is_at_once_and_what_came_is_continued(
    hub: Hub, service: HubService, cache: Path, catalog: Catalog
) -> None:
    hub.fault("cdn:.*safetensors", hold_at(0.5), times=1)
    service.download(ID)
    until_bytes(service, len(WEIGHTS) // 2)
    cancelled = service.cancel(ID)
    assert cancelled is not None
    assert cancelled.status == "cancelled"
    assert hub.gone.wait(10)
    [partial] = partials(cache)
    kept = partial.stat().st_size
    assert kept == len(WEIGHTS) // 2
    with pytest.raises(UnknownModel):
        resolve(catalog, ID, cache, cache=cache)
    [local] = [each for each in service.local_models() if each.origin == "cache"]
    assert (local.path, local.partial_bytes) == (None, kept)
    assert "is not finished; continue it: slm-explorer download" in str(local.problem)
    found = service.look_up(ID)
    assert found.missing_bytes == len(WEIGHTS) - kept
    hub.seen.clear()
    state = finish(service)
    assert (state.status, state.error) == ("done", None)
    assert [seen.range for seen in hub.asked("safetensors") if seen.cdn] == [f"bytes={kept}-"]
    assert partials(cache) == []


@pytest.mark.usefixtures("tiny")
def test_cancel_reaches_a_look_up_and_a_queue(hub: Hub, service: HubService) -> None:
    asked = threading.Event()

    def hold(handler: object, _content: bytes) -> None:
        asked.set()
        handler.wait_until_gone()  # type: ignore[attr-defined]

    hub.fault("/api/models/a/", hold)
    for name in ("a/one", "a/two", ID):
        service.download(name)
    assert [state.status for state in service.downloads()][2] == "queued"
    assert asked.wait(20)
    service.cancel("a/one")
    service.cancel("a/two")
    assert hub.gone.wait(10)
    assert last(service).status == "done"
    service.cancel(ID)
    assert [state.status for state in service.downloads()] == ["cancelled", "cancelled", "done"]
    assert service.cancel("never/asked") is None


@pytest.mark.usefixtures("tiny")
def test_two_who_ask_share_one_download(hub: Hub, service: HubService) -> None:
    hub.fault("cdn:.*safetensors", hold_at(0.5), times=1)
    service.download(ID)
    until_bytes(service, len(WEIGHTS) // 2)
    assert service.download(ID).status == "downloading"
    with pytest.raises(InvalidRequest, match="is being downloaded at revision main: wait"):
        service.download(ID, COMMIT)
    with pytest.raises(InvalidRequest, match="is being downloaded: cancel that first"):
        service.delete(ID)
    assert len(hub.asked("safetensors")) == 2  # the Hub's redirect, and the file
    assert len(service.downloads()) == 1
    service.cancel(ID)


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


@pytest.mark.usefixtures("tiny")
def test_closing_the_app_ends_its_downloads(hub: Hub, service: HubService) -> None:
    hub.fault("cdn:.*safetensors", hold_at(0.5))
    service.download(ID)
    until_bytes(service, len(WEIGHTS) // 2)
    service.close()
    assert hub.gone.wait(10)
    assert [state.status for state in service.downloads()] == ["cancelled"]


def test_another_program_may_download_the_same(
    hub: Hub, make_service: MakeService, cache: Path
) -> None:
    hub.add(llama())
    first, second = make_service(), make_service()
    first.download(ID)
    second.download(ID)
    assert [last(first).status, last(second).status] == ["done", "done"]
    whole = [seen for seen in hub.asked("safetensors") if seen.cdn]
    assert len(whole) == 1
    assert partials(cache) == []

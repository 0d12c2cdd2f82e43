"""Downloads from a real HTTP server into a real cache, with cuts, lies and cancels."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest
from huggingface_hub import scan_cache_dir, try_to_load_from_cache

from slm_explorer.catalog.catalog import Catalog
from slm_explorer.catalog.resolve import resolve
from slm_explorer.errors import InvalidRequest, UnknownModel
from slm_explorer.hub.service import HubService
from tests.hub.conftest import NEEDED, WEIGHTS, MakeService, llama
from tests.hub.fetched import ID, SECRET, finish, last, partials, until_bytes
from tests.hub.server import (
    COMMIT,
    Hub,
    Repository,
    die_at,
    hold_at,
)


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

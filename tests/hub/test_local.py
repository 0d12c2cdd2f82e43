"""What is on this disk: listed, deleted, and really answering after its download."""

from __future__ import annotations

import os
import shutil
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from slm_explorer.assets import asset_folder
from slm_explorer.chat import Ask
from slm_explorer.errors import InvalidRequest, UnknownModel
from slm_explorer.hub.service import HubService
from slm_explorer.hub.values import LocalModel
from slm_explorer.services import Services, build_services
from slm_explorer.settings import Settings
from slm_explorer.types import Delta, Done, Message
from tests.catalog.test_resolve import put_in_cache
from tests.hub.conftest import MakeService
from tests.hub.server import Hub, Repository

CARD_REPOSITORY = "HuggingFaceTB/SmolLM2-135M-Instruct"


def cached(service: HubService) -> dict[str, LocalModel]:
    return {model.id: model for model in service.local_models() if model.origin == "cache"}


def test_shipped_models_come_first_and_cannot_be_deleted(
    hub: Hub, make_service: MakeService
) -> None:
    del hub
    models = make_service().local_models()
    assert models[0].id == "sprout-5m"
    assert all(model.origin == "shipped" and not model.deletable for model in models)
    assert all(model.size_bytes > 100_000 and model.last_used for model in models)
    with pytest.raises(InvalidRequest, match="is shipped with the app"):
        make_service().delete("sprout-5m")


def test_the_caches_models_with_size_use_and_reason(
    hub: Hub, make_service: MakeService, tmp_path: Path
) -> None:
    del hub
    cache = tmp_path / "cache"
    whole = put_in_cache(cache, CARD_REPOSITORY)
    os.utime(whole / "model.safetensors", (2_000_000_000, 2_000_000_000))
    broken = put_in_cache(cache, "some-one/broken")
    (broken / "model.safetensors").write_bytes(b"no weights")
    (cache / "models--some-one--empty" / "blobs").mkdir(parents=True)
    for name in ("datasets--a--b", "models--..--x", "models--a--b--c", ".locks", "version.txt"):
        (cache / name).mkdir()
    found = cached(make_service())
    assert set(found) == {"smollm2-135m-instruct", "some-one/broken", "some-one/empty"}
    model = found["smollm2-135m-instruct"]
    assert (model.name, model.hub_id) == ("SmolLM2 135M Instruct", CARD_REPOSITORY)
    assert (model.path, model.revision, model.problem) == (str(whole), whole.name, None)
    assert model.size_bytes >= (whole / "model.safetensors").stat().st_size
    assert model.last_used == 2_000_000_000
    assert "is truncated or no safetensors file" in str(found["some-one/broken"].problem)
    assert "slm-explorer download some-one/empty" in str(found["some-one/empty"].problem)


def test_deleting_frees_the_disk_and_spares_another_with_the_same_commit(
    hub: Hub, make_service: MakeService, tmp_path: Path
) -> None:
    del hub
    cache = tmp_path / "cache"
    put_in_cache(cache, CARD_REPOSITORY)
    put_in_cache(cache, "some-one/other")
    (cache / "models--some-one--part" / "blobs").mkdir(parents=True)
    (cache / "models--some-one--part" / "blobs" / "abc.incomplete").write_bytes(b"x" * 1000)
    service = make_service()
    size = cached(service)["smollm2-135m-instruct"].size_bytes
    assert service.delete("smollm2-135m-instruct") == size
    assert service.delete("some-one/part") == 1000
    assert set(cached(service)) == {"some-one/other"}
    assert sorted(entry.name for entry in cache.glob("models--*")) == ["models--some-one--other"]
    for name in ("smollm2-135m-instruct", "never/there"):
        with pytest.raises(UnknownModel, match="is not in the model cache"):
            service.delete(name)
    with pytest.raises(InvalidRequest, match="is no Hub id"):
        service.delete("../../etc")


@pytest.fixture
def services(hub: Hub, tmp_path: Path) -> Iterator[Services]:
    del hub
    built = build_services(replace(Settings.from_env({}), home=tmp_path / "home"))
    try:
        yield built
    finally:
        built.close()


def answer(services: Services, model: str) -> str:
    ask = Ask(model=model, messages=(Message("user", "Hello!"),))
    events = list(services.chat.stream(ask, threading.Event()))
    assert isinstance(events[-1], Done), events[-1]
    return "".join(event.text for event in events if isinstance(event, Delta))


def test_a_downloaded_model_answers_until_it_is_unloaded_and_deleted(
    hub: Hub, services: Services
) -> None:
    folder = asset_folder() / "sprouts" / "sprout-300k"
    files = {entry.name: entry.read_bytes() for entry in folder.iterdir() if entry.is_file()}
    hub.add(Repository("some-one/sprout", files))
    services.hub.download("some-one/sprout")
    *_, state = services.hub.follow("some-one/sprout")
    assert (state.status, state.error) == ("done", None)
    text = answer(services, "some-one/sprout")
    assert text
    assert text == answer(services, "sprout-300k")
    with pytest.raises(InvalidRequest, match="is loaded: unload it"):
        services.hub.delete("some-one/sprout")
    for worker in services.manager.states():
        services.manager.unload(worker.key)
    size = cached(services.hub)["some-one/sprout"].size_bytes
    assert size >= state.bytes_total
    assert services.hub.delete("some-one/sprout") == size
    with pytest.raises(UnknownModel, match="slm-explorer download some-one/sprout"):
        services.chat.resolve("some-one/sprout")


def test_a_model_loaded_by_its_folder_is_kept_in_a_cache_behind_a_link(
    hub: Hub, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    del hub
    snapshot = put_in_cache(tmp_path / "cache", "some-one/sprout")
    shutil.copytree(asset_folder() / "sprouts" / "sprout-300k", snapshot, dirs_exist_ok=True)
    (tmp_path / "link").symlink_to(tmp_path / "cache")
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path / "link"))
    services = build_services(Settings(home=tmp_path / "home"))
    try:
        assert answer(services, str(snapshot))
        with pytest.raises(InvalidRequest, match="is loaded: unload it"):
            services.hub.delete("some-one/sprout")
    finally:
        services.close()

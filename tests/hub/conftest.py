"""A Hub on loopback, a cache of its own, and services that use both."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from slm_explorer.assets import asset_folder
from slm_explorer.catalog.catalog import Catalog
from slm_explorer.hub.service import HubService
from slm_explorer.settings import Settings
from tests.catalog.folders import LLAMA, Tensors, safetensors_bytes
from tests.hub.server import Hub, Repository, running_hub

NAMES = ("HF_TOKEN", "HUGGING_FACE_HUB_TOKEN", "HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE")
TENSORS: Tensors = {
    "model.embed_tokens.weight": ("F32", (2048, 64)),
    "model.layers.0.mlp.up_proj.weight": ("F32", (4096, 192)),
}
WEIGHTS = safetensors_bytes(TENSORS)
NEEDED = ["config.json", "model.safetensors", "tokenizer.json"]

MakeService = Callable[..., HubService]


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Hub]:
    with running_hub() as server:
        monkeypatch.setenv("HF_ENDPOINT", server.address)
        monkeypatch.setenv("HF_HOME", str(tmp_path / "hf"))
        monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path / "cache"))
        monkeypatch.setenv("NO_PROXY", "localhost,127.0.0.1")
        for name in NAMES:
            monkeypatch.delenv(name, raising=False)
        yield server


@pytest.fixture(scope="session")
def catalog() -> Catalog:
    return Catalog.load(asset_folder())


@pytest.fixture
def make_service(catalog: Catalog, tmp_path: Path) -> Iterator[MakeService]:
    made: list[HubService] = []

    def make(**more: object) -> HubService:
        arguments: dict[str, object] = {"in_use": lambda _folder: False} | more
        settings = arguments.pop("settings", Settings(home=tmp_path / "home"))
        made.append(HubService(catalog, asset_folder(), settings, **arguments))  # type: ignore[arg-type]
        return made[-1]

    yield make
    for service in made:
        service.close()


@pytest.fixture
def service(hub: Hub, make_service: MakeService) -> HubService:
    del hub
    return make_service()


def llama_files(**config: object) -> dict[str, bytes]:
    """A small llama with 3.7 MB of weights, and files that no download needs."""
    return {
        "README.md": b"# A model",
        ".gitattributes": b"*.safetensors filter=lfs",
        "config.json": json.dumps(LLAMA | config).encode(),
        "model.safetensors": WEIGHTS,
        "pytorch_model.bin": b"\x80\x02pickle" * 1000,
        "tokenizer.json": b'{"version": "1.0"}',
        "onnx/model.onnx": b"onnx",
    }


def llama(hub_id: str = "some-one/Tiny.Llama-1", **more: object) -> Repository:
    return Repository(hub_id, llama_files(), parameters={"F32": 917_504}, **more)  # type: ignore[arg-type]


@pytest.fixture
def tiny(hub: Hub) -> Repository:
    return hub.add(llama())


@pytest.fixture
def cache(tmp_path: Path) -> Path:
    return tmp_path / "cache"

"""Pushing to a Hub on loopback, with the token of whoever runs the app."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from slm_explorer.errors import HubError, InvalidRequest, Offline, SlmError
from slm_explorer.hub.push import push_folder
from slm_explorer.settings import Settings
from tests.lab.upload_hub import UploadHub, upload_hub

TOKEN = "hf_" + "a" * 34


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[UploadHub]:
    with upload_hub(TOKEN) as server:
        monkeypatch.setenv("HF_ENDPOINT", server.address)
        monkeypatch.setenv("HF_HOME", str(tmp_path / "hf"))
        monkeypatch.setenv("HF_TOKEN", TOKEN)
        monkeypatch.setenv("NO_PROXY", "localhost,127.0.0.1")
        for name in ("HUGGING_FACE_HUB_TOKEN", "HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE"):
            monkeypatch.delenv(name, raising=False)
        yield server


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    model = tmp_path / "model"
    model.mkdir()
    (model / "config.json").write_text("{}")
    (model / "model.safetensors").write_bytes(b"weights" * 1000)
    (model / "README.md").write_text("the parent's card")
    return model


def push(folder: Path, settings: Settings, hub_id: str = "ann/tiny-int4") -> str:
    return push_folder(settings, folder, {"README.md": "ours"}, hub_id, private=True)


def test_the_folder_arrives_whole_with_our_card(
    hub: UploadHub, folder: Path, tmp_path: Path
) -> None:
    settings = Settings(home=tmp_path)
    assert push(folder, settings) == f"{hub.address}/ann/tiny-int4"
    assert hub.created is not None
    assert hub.created["visibility"] == "private"
    assert hub.files == {
        "README.md": b"ours",
        "config.json": b"{}",
        "model.safetensors": b"weights" * 1000,
    }
    assert hub.tokens == {f"Bearer {TOKEN}"}


@pytest.mark.parametrize("status", [401, 403, 404, 500, 503])
def test_a_refusal_is_a_sentence_without_the_token_or_the_servers_words(
    hub: UploadHub, folder: Path, tmp_path: Path, status: int
) -> None:
    hub.refuse = status
    with pytest.raises(SlmError) as refused:
        push(folder, Settings(home=tmp_path))
    assert TOKEN not in str(refused.value)
    assert "<b>" not in str(refused.value)
    assert hub.files == {}
    if status in (401, 403):
        assert "a token that may write" in str(refused.value)


def test_without_a_sign_in_nothing_is_asked(
    hub: UploadHub, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("HF_TOKEN")
    with pytest.raises(HubError, match="your own sign-in"):
        push(folder, Settings(home=tmp_path))
    assert hub.created is None
    assert hub.tokens == set()


def test_what_is_no_name_and_an_app_offline_are_refused(
    hub: UploadHub, folder: Path, tmp_path: Path
) -> None:
    settings = Settings(home=tmp_path)
    for name in ("tiny", "a/b/c", "../x", "https://evil/x", "a/b--c"):
        with pytest.raises(InvalidRequest, match="OWNER/NAME"):
            push(folder, settings, name)
    with pytest.raises(Offline):
        push(folder, replace(settings, offline=True))
    assert hub.tokens == set()

"""The built Space is complete, its header is what the Hub reads, its pins are this set-up's."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tomllib
import urllib.request
from pathlib import Path

import pytest
import yaml
from huggingface_hub import SpaceCard

from slm_explorer import settings
from slm_explorer.errors import InvalidRequest
from slm_explorer.settings import Settings
from slm_explorer.space import build_space, read_header
from tests.conftest import ROOT
from tests.serving import free_port


def test_the_space_is_complete_and_its_header_parses(tmp_path: Path) -> None:
    folder = tmp_path / "space"
    assert build_space(folder) == [
        "README.md", "app.py", "assets", "requirements.txt", "slm_explorer"
    ]  # fmt: skip
    card = SpaceCard.load(folder / "README.md")
    assert card.data.sdk == "gradio"
    assert card.data.app_file == "app.py"
    assert card.data.to_dict()["license"] == "apache-2.0"
    assert list((folder / "assets/sprouts/sprout-5m").glob("*.safetensors"))
    assert not list(folder.rglob("__pycache__"))
    requirements = (folder / "requirements.txt").read_text(encoding="utf-8").split()
    assert f"gradio=={card.data.sdk_version}" in requirements
    assert all("==" in line and "+" not in line for line in requirements)
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert len(requirements) == len(project["dependencies"])


def test_the_header_agrees_with_the_pins() -> None:
    header = read_header(ROOT / "space.yaml")
    pins = (ROOT / "constraints.txt").read_text(encoding="utf-8").split()
    assert f"gradio=={header['sdk_version']}" in pins


def test_it_starts_with_plain_python_and_the_public_profile(tmp_path: Path) -> None:
    folder, port = tmp_path / "space", free_port()
    build_space(folder)
    env = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"} | {
        "HOME": str(tmp_path), "SPACE_ID": "ann/explorer", "SPACE_HOST": "ann-explorer.hf.space",
        "SLM_EXPLORER_PORT": str(port), "SLM_EXPLORER_HOST": "127.0.0.1",
    }  # fmt: skip
    # Else an editable install would be what starts.
    where = [sys.executable, "-c", "import slm_explorer; print(slm_explorer.__file__)"]
    found = subprocess.run(where, cwd=folder, env=env, capture_output=True, text=True, check=True)
    assert Path(found.stdout.strip()).is_relative_to(folder)
    server = subprocess.Popen(
        [sys.executable, "app.py"], cwd=folder, env=env, stderr=subprocess.PIPE, text=True
    )
    try:
        assert server.stderr is not None
        assert any(str(port) in line for line in server.stderr)
        origin = {"Origin": "https://ann-explorer.hf.space"}
        request = urllib.request.Request(f"http://127.0.0.1:{port}/config", headers=origin)
        with urllib.request.urlopen(request, timeout=120) as answer:
            config = answer.read().decode()
            assert "https://huggingface.co" in answer.headers["content-security-policy"]
        # The public profile, although the address is this machine's own.
        assert "Looking up, downloading and deleting are off" in config
    finally:
        server.terminate()
        server.wait(60)


def test_storage_is_used_only_where_the_host_gives_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(settings, "SPACE_STORAGE", tmp_path / "data")
    space = {"SPACE_ID": "ann/explorer"}
    assert Settings.from_env(space).home == Path.home() / ".slm-explorer"
    (tmp_path / "data").mkdir()
    assert Settings.from_env(space).home == tmp_path / "data" / "slm-explorer"
    assert Settings.from_env({}).home == Path.home() / ".slm-explorer"
    assert Settings.from_env(space | {"SLM_EXPLORER_HOME": "/x"}).home == Path("/x")


@pytest.mark.parametrize(
    ("env", "trusted"),
    [
        ({}, True),
        ({"SLM_EXPLORER_HOST": "0.0.0.0"}, False),
        ({"SLM_EXPLORER_PUBLIC": "1"}, False),
        ({"SLM_EXPLORER_CLASS": "1"}, False),
        ({"SPACE_ID": "ann/explorer", "SLM_EXPLORER_HOST": "127.0.0.1"}, False),
    ],
    ids=str,
)
def test_who_is_trusted(env: dict[str, str], trusted: bool) -> None:
    assert Settings.from_env(env).trusted == trusted


def test_a_folder_in_use_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "precious.txt").write_text("mine", encoding="utf-8")
    with pytest.raises(InvalidRequest, match="not an empty folder"):
        build_space(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["precious.txt"]


def test_a_failure_leaves_nothing_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(shutil, "copy2", full)
    with pytest.raises(Exception, match="No space left"):
        build_space(tmp_path / "space")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"sdk_versoin": "1"}, "sdk_versoin"),
        ({"colorFrom": "teal"}, "colorFrom"),
        ({"short_description": "x" * 61}, "short_description"),
        ({"title": None}, "title"),
        ({"sdk_version": 6.31}, "sdk_version"),
    ],
)
def test_a_wrong_header_is_named(tmp_path: Path, change: dict[str, object], says: str) -> None:
    header = yaml.safe_load((ROOT / "space.yaml").read_text(encoding="utf-8")) | change
    path = tmp_path / "space.yaml"
    path.write_text(yaml.safe_dump(header), encoding="utf-8")
    with pytest.raises(InvalidRequest, match=says):
        read_header(path)

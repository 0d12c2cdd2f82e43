"""The built Space is complete, its header is what the Hub reads, its pins are this set-up's."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
import yaml
from huggingface_hub import SpaceCard

from slm_explorer.errors import InvalidRequest
from slm_explorer.space import build_space, read_header
from tests.conftest import ROOT


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


def test_the_header_agrees_with_the_pins() -> None:
    header = read_header(ROOT / "space.yaml")
    pins = (ROOT / "constraints.txt").read_text(encoding="utf-8").split()
    assert f"gradio=={header['sdk_version']}" in pins


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

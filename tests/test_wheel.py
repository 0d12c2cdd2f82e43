"""The wheel carries everything: it works where there is no checkout."""

from __future__ import annotations

import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from tests.conftest import ROOT, Cli


@pytest.fixture(scope="module")
def unpacked(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel's contents, as pip would lay them into site-packages."""
    target = tmp_path_factory.mktemp("wheel")
    command = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps"]
    command += ["--no-build-isolation", "--wheel-dir", str(target), str(ROOT)]
    subprocess.run(command, check=True, capture_output=True, timeout=240)
    (wheel,) = target.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(target / "site")
    return target / "site"


def test_assets_travel_with_the_wheel(unpacked: Path) -> None:
    assets = unpacked / "slm_explorer" / "assets"
    for name in ("catalog.json", "style.css", "space.yaml", "app.py"):
        assert (assets / name).is_file(), name
    assert list((assets / "sprouts" / "sprout-5m").glob("*.safetensors"))
    assert list((assets / "evaluation" / "skills").glob("*.jsonl"))


def test_the_wheel_chats_and_builds_a_space(unpacked: Path, cli: Cli, tmp_path: Path) -> None:
    env = {"PYTHONPATH": os.fspath(unpacked)}
    words = ("chat", "sprout-300k", "--prompt", "Hello!", "--max-tokens", "2", "--json")
    ran = cli(*words, **env)
    assert ran.code == 0, ran.err
    built = cli("space", "build", str(tmp_path / "space"), "--json", **env)
    assert built.code == 0, built.err
    assert (tmp_path / "space" / "app.py").is_file()
    assert (tmp_path / "space" / "assets" / "catalog.json").is_file()

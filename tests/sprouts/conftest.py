"""Where the Sprouts' files lie."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
ASSETS = ROOT / "assets"
sys.path.insert(0, str(ROOT / "scripts"))  # where the package `sprouts` lies


@pytest.fixture(scope="session")
def assets() -> Path:
    return ASSETS


@pytest.fixture(scope="session")
def assets_evaluation() -> dict[str, str]:
    """Return the texts of assets/evaluation by their paths in it."""
    folder = ASSETS / "evaluation"
    return {
        path.relative_to(folder).as_posix(): path.read_text(encoding="utf-8")
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }

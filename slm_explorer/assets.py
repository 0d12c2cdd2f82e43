"""Where the shipped files are: beside the package in a checkout, inside it in a wheel."""

from __future__ import annotations

from pathlib import Path


def asset_folder() -> Path:
    """The folder that holds catalog.json, style.css, sprouts/ and evaluation/."""
    package = Path(__file__).resolve().parent
    inside = package / "assets"
    return inside if inside.is_dir() else package.parent / "assets"


def project_file(name: str) -> Path:
    """app.py or space.yaml: at the top of a checkout, among the assets of a wheel."""
    inside = asset_folder() / name
    return inside if inside.is_file() else asset_folder().parent / name

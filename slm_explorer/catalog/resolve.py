"""From what a user calls a model to the folder that holds it. Never touches the network."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from slm_explorer.catalog.cards import Card
from slm_explorer.catalog.catalog import Catalog
from slm_explorer.errors import UnknownModel, UnsupportedModel

# The Hub's own rule: 1 to 96 characters of [A-Za-z0-9._-] a part, no part starting or ending
# with - or ., no "--" and no "..".
_HUB_ID = re.compile(r"(?:[A-Za-z0-9_][A-Za-z0-9._-]{0,95}/)?[A-Za-z0-9_][A-Za-z0-9._-]{0,95}")
_LAB_RUN = re.compile(r"[a-z0-9][a-z0-9-]{0,119}")
_COMMIT = re.compile(r"[0-9a-f]{40}")


@dataclass(frozen=True)
class ResolvedModel:
    """A model on this machine. `id` is a card's id, a Hub id or the folder's full path."""

    id: str
    name: str
    path: Path
    card: Card | None


def is_hub_id(text: str) -> bool:
    """Whether `text` is a well-formed repository id of the Hugging Face Hub."""
    if not _HUB_ID.fullmatch(text) or "--" in text or ".." in text:
        return False
    return not any(part.endswith((".", "-")) for part in text.split("/"))


def is_lab_run(text: str) -> bool:
    """Whether `text` is a well-formed id of a run of the lab, and so a harmless folder name."""
    return _LAB_RUN.fullmatch(text) is not None


def lab_folder(home: Path) -> Path:
    """Where the lab keeps its runs, a folder each with the model in `model`. In full and without
    links, as the paths of loaded models are: they are looked for in it.
    """
    return Path(os.path.realpath(home / "lab"))  # never raises, unlike Path's


def hub_cache_folder(env: Mapping[str, str] | None = None) -> Path:
    """Where Hugging Face libraries keep downloads: HF_HUB_CACHE, else HF_HOME/hub, else home.

    Source: https://huggingface.co/docs/huggingface_hub/package_reference/environment_variables
    """
    values = os.environ if env is None else env
    direct = values.get("HF_HUB_CACHE") or values.get("HUGGINGFACE_HUB_CACHE")
    if direct:
        return Path(os.path.expanduser(direct))  # noqa: PTH111 (never raises, unlike Path's)
    home = values.get("HF_HOME")
    if not home:
        home = os.path.join(values.get("XDG_CACHE_HOME") or "~/.cache", "huggingface")  # noqa: PTH118
    return Path(os.path.expanduser(home)) / "hub"  # noqa: PTH111


def repository_folder(hub_id: str, cache: Path) -> Path:
    """Where the cache keeps a model's repository, whether it is there or not."""
    return cache / f"models--{hub_id.replace('/', '--')}"


def cached_snapshot(hub_id: str, cache: Path) -> Path | None:
    """The folder of the repository's main revision in the cache, or None.

    Layout: models--OWNER--NAME/refs/main holds a commit, snapshots/COMMIT its files. Without
    that ref, as after a download pinned to a commit, it is the commit that came last.
    """
    repository = repository_folder(hub_id, cache)
    try:
        commit = (repository / "refs" / "main").read_text("ascii").strip()
    except FileNotFoundError:
        return _newest_snapshot(repository / "snapshots")
    except (OSError, UnicodeDecodeError):
        return None
    if not _COMMIT.fullmatch(commit):
        return None
    snapshot = repository / "snapshots" / commit
    return snapshot if (snapshot / "config.json").is_file() else None


def _newest_snapshot(snapshots: Path) -> Path | None:
    try:
        found = [
            (folder.stat().st_mtime, folder)
            for folder in snapshots.iterdir()
            if _COMMIT.fullmatch(folder.name) and (folder / "config.json").is_file()
        ]
    except OSError:
        return None
    return max(found)[1] if found else None


def resolve(
    catalog: Catalog,
    model: str,
    assets: Path,
    *,
    cache: Path | None = None,
    folders: bool = True,
    home: Path | None = None,
) -> ResolvedModel:
    """Find `model`: a card's id, `lab/RUN` for a finished run of the lab, a Hub id (a card's or
    one in the cache), or a folder.

    `home` is where the lab's runs are, None: nowhere. `cache` replaces the ordinary Hugging Face
    cache. `folders=False` opens no path: for what a visitor sends. Raises UnknownModel with the
    next step, UnsupportedModel for a card of a method, which has no model.
    """
    model = model.strip()
    cache = hub_cache_folder() if cache is None else cache
    card = catalog.find(model)
    if card is not None:
        return _resolve_card(card, assets, cache)
    made = _made_in_lab(model, home)
    if made is not None:
        return made
    if folders and os.path.isdir(path := os.path.expanduser(model)):  # noqa: PTH111, PTH112
        folder = Path(path).resolve()
        return ResolvedModel(str(folder), folder.name or str(folder), folder, None)
    if is_hub_id(model):
        snapshot = cached_snapshot(model, cache)
        if snapshot is not None:
            return ResolvedModel(model, model.rpartition("/")[2], snapshot, None)
    shown = repr(model if len(model) <= 80 else model[:80] + "…")
    if folders and os.path.isfile(path):  # noqa: PTH113
        raise UnknownModel(f"{shown} is a file: give the folder that holds config.json.")
    fetch = ""
    if "/" in model and is_hub_id(model):
        fetch = f" To get it from the Hub: slm-explorer download {model}"
    places = "a card's id, a Hub id in the local cache"
    raise UnknownModel(
        f"No model is called {shown}: give {places}{' or a folder with a checkpoint' * folders}."
        f"{catalog.suggestion(model[:200]) or fetch}"
    )


def _made_in_lab(model: str, home: Path | None) -> ResolvedModel | None:
    run = model.removeprefix("lab/")
    if home is None or run == model or not is_lab_run(run):
        return None
    # The folder of a run comes into being whole, its model with it.
    folder = lab_folder(home) / run / "model"
    return ResolvedModel(model, run, folder, None) if folder.is_dir() else None


def _resolve_card(card: Card, assets: Path, cache: Path) -> ResolvedModel:
    if card.model_type is None:
        raise UnsupportedModel(
            f"{card.name} is an attention method, no model: choose a model that uses it."
        )
    if card.shipped:
        folder = assets / "sprouts" / card.id
        if folder.is_dir():
            return ResolvedModel(card.id, card.name, folder, card)
        raise UnknownModel(f"{card.name} should be in {folder}, which is missing: reinstall.")
    snapshot = cached_snapshot(card.hub_id, cache) if card.hub_id else None
    if snapshot is not None:
        return ResolvedModel(card.id, card.name, snapshot, card)
    if card.hub_id is None:
        raise UnknownModel(
            f"{card.name} has no repository on the Hub: put its checkpoint in a folder and give "
            "the path."
        )
    raise UnknownModel(
        f"{card.name} is in the catalog but its weights are not on this machine; download it: "
        f"slm-explorer download {card.id}"
    )

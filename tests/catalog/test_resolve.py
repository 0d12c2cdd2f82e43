from __future__ import annotations

import os
from pathlib import Path

import pytest

from slm_explorer.catalog.catalog import Catalog
from slm_explorer.catalog.resolve import hub_cache_folder, is_hub_id, resolve
from slm_explorer.errors import UnknownModel, UnsupportedModel
from tests.catalog.folders import write_checkpoint

COMMIT = "0123456789abcdef0123456789abcdef01234567"


def put_in_cache(cache: Path, hub_id: str, commit: str = COMMIT) -> Path:
    repository = cache / f"models--{hub_id.replace('/', '--')}"
    (repository / "refs").mkdir(parents=True)
    (repository / "refs" / "main").write_text(commit)
    return write_checkpoint(repository / "snapshots" / commit)


def test_a_shipped_card_is_a_folder_of_the_assets(tmp_path: Path, catalog: Catalog) -> None:
    folder = write_checkpoint(tmp_path / "sprouts" / "sprout-5m")
    found = resolve(catalog, " sprout-5m ", tmp_path)
    assert (found.id, found.name, found.path) == ("sprout-5m", "Sprout 5M", folder)
    assert found.card is catalog.get("sprout-5m")
    with pytest.raises(UnknownModel, match=r"Sprout 1M should be in .*missing: reinstall"):
        resolve(catalog, "sprout-1m", tmp_path)


@pytest.mark.parametrize("model", ["qwen3-0-6b", "Qwen/Qwen3-0.6B", "qwen/qwen3-0.6b"])
def test_a_card_is_found_in_the_cache(tmp_path: Path, catalog: Catalog, model: str) -> None:
    folder = put_in_cache(tmp_path / "hub", "Qwen/Qwen3-0.6B")
    found = resolve(catalog, model, tmp_path, cache=tmp_path / "hub")
    assert (found.id, found.path) == ("qwen3-0-6b", folder)


def test_a_hub_id_without_a_card_is_found_in_the_cache(tmp_path: Path, catalog: Catalog) -> None:
    folder = put_in_cache(tmp_path / "hub", "someone/Their-Model.v2")
    found = resolve(catalog, "someone/Their-Model.v2", tmp_path, cache=tmp_path / "hub")
    assert (found.id, found.name, found.path, found.card) == (
        "someone/Their-Model.v2",
        "Their-Model.v2",
        folder,
        None,
    )


def test_a_folder_is_opened_only_where_paths_may_be(tmp_path: Path, catalog: Catalog) -> None:
    folder = write_checkpoint(tmp_path / "my model")
    found = resolve(catalog, str(folder), tmp_path)
    assert (found.id, found.name, found.path) == (str(folder), "my model", folder)
    with pytest.raises(UnknownModel, match="or a folder with a checkpoint"):
        resolve(catalog, "nothing-like-it", tmp_path)
    with pytest.raises(UnknownModel) as caught:
        resolve(catalog, str(folder), tmp_path, folders=False)
    assert "or a folder" not in str(caught.value)


def test_what_is_not_here_says_so(tmp_path: Path, catalog: Catalog) -> None:
    with pytest.raises(UnknownModel, match="weights are not on this machine; download it: slm-"):
        resolve(catalog, "smollm2-135m-instruct", tmp_path, cache=tmp_path)
    with pytest.raises(UnknownModel, match="Did you mean sprout-300k"):
        resolve(catalog, "sprout-300", tmp_path, cache=tmp_path)
    (tmp_path / "weights.safetensors").touch()
    with pytest.raises(UnknownModel, match="is a file: give the folder"):
        resolve(catalog, str(tmp_path / "weights.safetensors"), tmp_path)


@pytest.mark.parametrize("model", ["distilbert-base-uncased", "google-t5/t5-small"])
def test_every_kind_of_card_resolves(tmp_path: Path, catalog: Catalog, model: str) -> None:
    card = catalog.find(model)
    assert card is not None
    assert card.hub_id is not None
    folder = put_in_cache(tmp_path / "hub", card.hub_id)
    found = resolve(catalog, model, tmp_path, cache=tmp_path / "hub")
    assert (found.id, found.path) == (card.id, folder)


@pytest.mark.parametrize("model", ["performer", "linformer"])
def test_a_method_is_no_model(tmp_path: Path, catalog: Catalog, model: str) -> None:
    with pytest.raises(UnsupportedModel, match="an attention method, no model: choose"):
        resolve(catalog, model, tmp_path, cache=tmp_path)


def test_without_a_main_ref_the_newest_pinned_commit_is_meant(
    tmp_path: Path, catalog: Catalog
) -> None:
    older = put_in_cache(tmp_path / "hub", "a/b")
    newer = write_checkpoint(older.parent / COMMIT[::-1])
    os.utime(older, (1, 1))
    (older.parent / "not-a-commit").mkdir()
    assert resolve(catalog, "a/b", tmp_path, cache=tmp_path / "hub").path == older
    (older.parent.parent / "refs" / "main").unlink()
    assert resolve(catalog, "a/b", tmp_path, cache=tmp_path / "hub").path == newer


@pytest.mark.parametrize(
    "model",
    ["", "   ", "\x00", "a\x00b", "x" * 100_000, "../" * 40 + "x", "~nobody-at-all/x", "a/b/c",
     "\ud800", "http://example.org/model", "a\nb", "..", "."],
)  # fmt: skip
def test_strange_names_are_refused_in_one_short_line(
    tmp_path: Path, catalog: Catalog, model: str
) -> None:
    with pytest.raises(UnknownModel) as caught:
        resolve(catalog, model, tmp_path, cache=tmp_path, folders=False)
    message = str(caught.value)
    assert "\n" not in message
    assert len(message) < 400
    if model not in ("..", "."):
        with pytest.raises(UnknownModel):
            resolve(catalog, model, tmp_path, cache=tmp_path)


@pytest.mark.parametrize("commit", ["../../../../etc", "main", "", "0" * 39, COMMIT.upper()])
def test_a_ref_that_is_no_commit_leads_nowhere(
    tmp_path: Path, catalog: Catalog, commit: str
) -> None:
    repository = tmp_path / "hub" / "models--a--b"
    (repository / "refs").mkdir(parents=True)
    (repository / "refs" / "main").write_text(commit)
    with pytest.raises(UnknownModel):
        resolve(catalog, "a/b", tmp_path, cache=tmp_path / "hub")


def test_hub_ids_follow_the_hubs_rules() -> None:
    good = ["gpt2", "Qwen/Qwen3-0.6B", "a/b_c.d-e", "x" * 96]
    bad = ["", "/a", "a/", "a/b/c", "-a/b", "a/.b", "a--b/c", "a/b..c", "a b/c", "a/b-", "x" * 97]
    assert [name for name in good if not is_hub_id(name)] == []
    assert [name for name in bad if is_hub_id(name)] == []


@pytest.mark.parametrize(
    ("env", "folder"),
    [
        ({"HF_HUB_CACHE": "/a", "HF_HOME": "/b"}, Path("/a")),
        ({"HF_HOME": "/b", "XDG_CACHE_HOME": "/c"}, Path("/b/hub")),
        ({"XDG_CACHE_HOME": "/c"}, Path("/c/huggingface/hub")),
        ({}, Path.home() / ".cache" / "huggingface" / "hub"),
    ],
)
def test_the_cache_is_where_hugging_face_keeps_it(env: dict[str, str], folder: Path) -> None:
    assert hub_cache_folder(env) == folder


def test_a_run_of_the_lab_is_found_by_its_id_and_nothing_outside_its_folder(
    catalog: Catalog, tmp_path: Path
) -> None:
    assets = tmp_path / "assets"
    (tmp_path / "lab" / "tiny-int4-0a1b2c" / "model").mkdir(parents=True)
    (tmp_path / "secret" / "model").mkdir(parents=True)
    found = resolve(catalog, "lab/tiny-int4-0a1b2c", assets, cache=tmp_path, home=tmp_path)
    assert found.path == tmp_path / "lab" / "tiny-int4-0a1b2c" / "model"
    assert found.id == "lab/tiny-int4-0a1b2c"
    for name in ("lab/other", "lab/../secret", "lab/.", "lab/", "lab/tiny-int4-0a1b2c/model"):
        with pytest.raises(UnknownModel):
            resolve(catalog, name, assets, cache=tmp_path, home=tmp_path, folders=False)

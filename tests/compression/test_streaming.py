"""From disk to disk: what is copied, what is refused, and what is left when it ends early."""

from __future__ import annotations

import errno
import json
import resource
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from slm_explorer.catalog.checkpoint import inspect_checkpoint
from slm_explorer.catalog.footprint import INT4_GROUP, weights_bytes
from slm_explorer.catalog.numbers import numbers_of
from slm_explorer.compression.recipes import load_step
from slm_explorer.compression.streaming import compress_checkpoint
from slm_explorer.compression.workspace import new_folder, remove_leftovers
from slm_explorer.engines.checkpoint import load_model
from slm_explorer.errors import (
    BadCheckpoint,
    Cancelled,
    InvalidRequest,
    SlmError,
    StorageError,
    UnsupportedModel,
)
from slm_explorer.types import ModelInfo, ModelSpec, Sampling
from tests.compression.conftest import compressed, names
from tests.conftest import ROOT
from tests.engines.answers import ask, request
from tests.engines.conftest import load
from tests.engines.models import save_model

SPROUT = ROOT / "assets" / "sprouts" / "sprout-300k"
Weights = dict[str, Tensor]


def rewritten(source: Path, target: Path, change: Callable[[Weights], Weights]) -> Path:
    shutil.copytree(source, target)
    weights = change(load_file(source / "model.safetensors"))
    save_file(weights, target / "model.safetensors", metadata={"format": "pt"})
    return target


def info_of(folder: Path) -> ModelInfo:
    return load_model(ModelSpec(folder.name, str(folder)), lambda _fraction, _stage: None).info


def test_a_child_is_a_checkpoint_folder_like_any_other(tmp_path: Path) -> None:
    result = compressed(SPROUT, tmp_path / "child", "int4")
    child = tmp_path / "child"
    assert (child / "tokenizer.json").read_bytes() == (SPROUT / "tokenizer.json").read_bytes()
    assert (child / "README.md").is_file()
    assert sum(tensor.nbytes for tensor in load_file(child / "model.safetensors").values()) == (
        result.bytes_after
    )
    config = json.loads((child / "config.json").read_text())
    assert config["slm_explorer"]["recipe"] == "int4"
    assert config["model_type"] == "llama"
    parent, made = info_of(SPROUT), info_of(child)
    assert made.parameters == parent.parameters
    assert made.weights_bytes < parent.weights_bytes / 2
    assert names(tmp_path) == ["child"]


def test_a_cast_is_an_ordinary_checkpoint(tmp_path: Path) -> None:
    compressed(SPROUT, tmp_path / "child", "f32")
    weights = load_file(tmp_path / "child" / "model.safetensors")
    assert {tensor.dtype for tensor in weights.values()} == {torch.float32}
    assert info_of(tmp_path / "child").dtype == "float32"
    assert "slm_explorer" not in json.loads((tmp_path / "child" / "config.json").read_text())


def test_shards_become_one_file_with_the_same_numbers(tmp_path: Path) -> None:
    weights = load_file(SPROUT / "model.safetensors")
    sharded = shutil.copytree(SPROUT, tmp_path / "sharded")
    (sharded / "model.safetensors").unlink()
    names = sorted(weights)
    shards = {"a.safetensors": names[::2], "b.safetensors": names[1::2]}
    for file, held in shards.items():
        save_file({name: weights[name] for name in held}, sharded / file)
    index = {"weight_map": {name: file for file, held in shards.items() for name in held}}
    (sharded / "model.safetensors.index.json").write_text(json.dumps(index))
    compressed(SPROUT, tmp_path / "one", "int8")
    compressed(sharded, tmp_path / "two", "int8")
    assert not (tmp_path / "two" / "model.safetensors.index.json").exists()
    first = load_file(tmp_path / "one" / "model.safetensors")
    second = load_file(tmp_path / "two" / "model.safetensors")
    assert first.keys() == second.keys()
    assert all(torch.equal(first[name], second[name]) for name in first)


def test_mixed_dtypes_are_taken_as_they_come(tmp_path: Path) -> None:
    kinds = (torch.float32, torch.float16, torch.bfloat16)

    def mix(weights: Weights) -> Weights:
        return {
            name: tensor.to(kinds[number % 3])
            for number, (name, tensor) in enumerate(sorted(weights.items()))
        }

    compressed(rewritten(SPROUT, tmp_path / "mixed", mix), tmp_path / "child", "int8")
    assert info_of(tmp_path / "child").parameters == info_of(SPROUT).parameters


@pytest.mark.parametrize("bad", [float("nan"), float("inf"), -float("inf")])
@pytest.mark.parametrize(
    "name", ["model.layers.2.mlp.down_proj.weight", "model.layers.1.input_layernorm.weight"]
)
@pytest.mark.parametrize("recipe", ["int8", "int4-refined", "bf16"])
def test_weights_that_are_not_finite_are_refused_by_name(
    recipe: str, name: str, bad: float, tmp_path: Path
) -> None:
    def spoil(weights: Weights) -> Weights:
        weights[name].view(-1)[-1] = bad
        return weights

    source = rewritten(SPROUT, tmp_path / "bad", spoil)
    with pytest.raises(BadCheckpoint, match=name.replace(".", r"\.")):
        compressed(source, tmp_path / "child", recipe)
    assert names(tmp_path) == ["bad"]


def test_nothing_is_written_over(tmp_path: Path) -> None:
    for taken in (tmp_path / "folder", tmp_path / "file", tmp_path / "link"):
        if taken.name == "folder":
            taken.mkdir()
        elif taken.name == "file":
            taken.write_text("mine")
        else:
            taken.symlink_to(tmp_path / "nowhere")
        with pytest.raises(InvalidRequest, match="exists already"):
            compressed(SPROUT, taken, "int4")
    assert (tmp_path / "file").read_text() == "mine"
    assert names(tmp_path) == ["file", "folder", "link"]


def test_what_stands_there_when_the_run_ends_is_not_replaced(tmp_path: Path) -> None:
    out = tmp_path / "child"

    def meanwhile(fraction: float, _layer: object) -> None:
        if fraction == 1.0:
            out.mkdir()

    with pytest.raises(InvalidRequest, match="exists already"):
        compress_checkpoint(SPROUT, out, "int4", meanwhile, lambda: False)
    assert names(tmp_path) == ["child"]
    assert names(out) == []


def test_quantized_checkpoints_are_refused_in_words(tmp_path: Path) -> None:
    compressed(SPROUT, tmp_path / "child", "int8")
    with pytest.raises(UnsupportedModel, match="int8 already"):
        compressed(tmp_path / "child", tmp_path / "grandchild", "int4")
    with pytest.raises(UnsupportedModel, match="int8 already"):
        load_model(
            ModelSpec("child", str(tmp_path / "child"), recipe="int4"), lambda _done, _stage: None
        )
    other = shutil.copytree(SPROUT, tmp_path / "other")
    config = json.loads((other / "config.json").read_text())
    (other / "config.json").write_text(
        json.dumps(config | {"quantization_config": {"quant_method": "gptq", "bits": 4}})
    )
    with pytest.raises(SlmError, match="original"):
        compressed(other, tmp_path / "child2", "int4")
    with pytest.raises(InvalidRequest, match="changes nothing"):
        compressed(SPROUT, tmp_path / "child3", "native")


def test_a_stored_copy_of_a_tied_head_is_left_out_and_another_head_is_kept(
    tmp_path: Path,
) -> None:
    tied = save_model(tmp_path / "tied", "qwen3")

    def repeat(weights: Weights) -> Weights:
        return weights | {"lm_head.weight": weights["model.embed_tokens.weight"].clone()}

    result = compressed(rewritten(tied, tmp_path / "twice", repeat), tmp_path / "child", "int8")
    once = compressed(tied, tmp_path / "once", "int8")
    assert result.bytes_after == once.bytes_after

    def differ(weights: Weights) -> Weights:
        return weights | {"lm_head.weight": weights["model.embed_tokens.weight"].flip(0)}

    other = rewritten(tied, tmp_path / "differs", differ)
    compressed(other, tmp_path / "both", "int8")
    assert info_of(other).parameters == info_of(tied).parameters + 384 * 64
    assert info_of(tmp_path / "both").parameters == info_of(other).parameters
    six = request(Sampling(max_tokens=6, ignore_eos=True), raw="The fox")
    said = [ask(load(folder), six).text for folder in (other, tmp_path / "both")]
    assert said[0] == said[1] == ask(load(other, recipe="int8"), six).text
    assert said[0] != ask(load(tied), six).text


def test_a_child_whose_parts_do_not_fit_is_refused(tmp_path: Path) -> None:
    compressed(SPROUT, tmp_path / "child", "int4")

    def drop(weights: Weights) -> Weights:
        name = next(name for name in weights if name.endswith(".scales"))
        del weights[name]
        return weights

    with pytest.raises(BadCheckpoint, match="does not fit its weights"):
        info_of(rewritten(tmp_path / "child", tmp_path / "broken", drop))


def test_a_stop_at_any_moment_leaves_nothing(tmp_path: Path) -> None:
    asked = 0

    def count() -> bool:
        nonlocal asked
        asked += 1
        return False

    def fail_at(number: int) -> Callable[[], bool]:
        left = iter(range(number))
        return lambda: next(left, None) is None

    compress_checkpoint(SPROUT, tmp_path / "all", "int4", lambda _done, _layer: None, count)
    shutil.rmtree(tmp_path / "all")
    for number in range(0, asked, 5):
        with pytest.raises(Cancelled):
            compress_checkpoint(
                SPROUT, tmp_path / "no", "int4", lambda _done, _layer: None, fail_at(number)
            )
        assert names(tmp_path) == []


@contextmanager
def no_file_larger_than(size: int) -> Iterator[None]:
    """What writing to a full disk is like, without one: the write fails in the middle."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_a_disk_that_fills_up_leaves_nothing(tmp_path: Path) -> None:
    with no_file_larger_than(100_000), pytest.raises(StorageError, match="free some space"):
        compressed(SPROUT, tmp_path / "child", "int8")
    assert names(tmp_path) == []


def test_a_disk_without_room_is_said_before_anything_is_written(tmp_path: Path) -> None:
    with (
        pytest.raises(StorageError, match="MB free"),
        new_folder(tmp_path / "child", needed=10**18),
    ):
        pytest.fail("there is no such disk")
    assert names(tmp_path) == []


def test_a_folder_that_cannot_be_written_is_said(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StorageError, match="cannot be written"):
        compressed(SPROUT, tmp_path / "file" / "child", "int8")


def test_only_what_nobody_works_on_is_a_leftover(tmp_path: Path) -> None:
    dead = tmp_path / ".gone.slm-partial-0123abcd"
    dead.mkdir()
    (dead / "model.safetensors").write_bytes(b"x" * 1000)
    innocent = tmp_path / ".gone.slm-partial-notes"
    innocent.mkdir()
    with new_folder(tmp_path / "child", needed=1) as work:
        assert not dead.exists(), "a start removes what was left behind"
        assert remove_leftovers(tmp_path) == []
        assert work.is_dir()
    assert names(tmp_path) == [innocent.name, "child"]


def test_an_error_inside_names_the_disk_only_for_the_disk(tmp_path: Path) -> None:
    with pytest.raises(StorageError), new_folder(tmp_path / "child", needed=1):
        raise OSError(errno.ENOSPC, "No space left on device")
    with pytest.raises(ZeroDivisionError), new_folder(tmp_path / "child", needed=1):
        raise ZeroDivisionError
    assert names(tmp_path) == []


def test_fewer_scales_are_smaller_as_estimated(tmp_path: Path) -> None:
    large = ROOT / "assets" / "sprouts" / "sprout-5m"
    numbers = numbers_of(inspect_checkpoint(large))
    assert numbers is not None
    # The catalog knows nothing of recipes, so the usual group stands there too.
    assert load_step("int4").group == INT4_GROUP
    sizes = []
    for group in (32, 64, 128):
        result = compressed(large, tmp_path / str(group), f"int4:group={group}")
        four = [layer for layer in result.layers if layer.method == "int4"]
        assert {layer.group for layer in four if layer.reason is None} == {group}
        assert all(str(layer.reason).startswith("groups of ") for layer in four if layer.reason)
        estimated = weights_bytes(numbers, "int4", group)
        assert result.bytes_after == pytest.approx(estimated, rel=0.02)
        sizes.append(result.bytes_after)
        info = info_of(tmp_path / str(group))
        assert info.parameters == info_of(large).parameters
    assert sizes == sorted(sizes, reverse=True)

"""Low rank and the quantizers of optimum-quanto: the arithmetic, and models on disk and back."""

from __future__ import annotations

import builtins
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from optimum import quanto as library
from safetensors.torch import load_file, save_file
from torch import Tensor
from transformers.pytorch_utils import Conv1D

from slm_explorer.compression import quanto
from slm_explorer.compression.low_rank import LowRankMatrix, factorize, rank_of
from slm_explorer.compression.packed import PackedLinear
from slm_explorer.compression.recipes import CompressionResult
from slm_explorer.engines.checkpoint import LoadedModel, load_model
from slm_explorer.errors import BadCheckpoint, UnsupportedModel
from slm_explorer.types import ModelSpec
from tests.compression.conftest import compressed
from tests.compression.models import OTHERS, save_other
from tests.engines.models import save_model

QUANTO = ["quanto-int2", "quanto-int4", "quanto-int8", "quanto-float8"]
SHAPES = [(96, 64), (105, 172), (33, 384), (64, 160)]


@pytest.mark.parametrize("shape", [(40, 24), (24, 40), (16, 16)])
def test_at_full_rank_nothing_changes(shape: tuple[int, int]) -> None:
    weight = torch.randn(shape)
    matrix = LowRankMatrix(*factorize(weight, rank_of(*shape, 100), torch.float32))
    assert torch.allclose(matrix.exact(), weight, atol=1e-5)
    inputs = torch.randn(5, shape[1])
    assert torch.allclose(matrix.product(inputs), inputs @ weight.t(), atol=1e-4)


@pytest.mark.parametrize("shape", [(40, 24), (24, 40)])
def test_no_matrix_of_that_rank_is_nearer(shape: tuple[int, int]) -> None:
    weight = torch.randn(shape)
    matrix = LowRankMatrix(*factorize(weight, 10, torch.float32))
    left, values, right = torch.linalg.svd(weight, full_matrices=False)
    best = left[:, :10] * values[:10] @ right[:10]
    assert torch.allclose(matrix.exact(), best, atol=1e-4)
    assert float((matrix.exact() - weight).norm()) == pytest.approx(
        float(values[10:].norm()), rel=1e-4
    )


@pytest.mark.parametrize("recipe", QUANTO)
@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_the_numbers_are_those_of_the_library(
    recipe: str, shape: tuple[int, int], dtype: torch.dtype
) -> None:
    weight = torch.randn(shape, generator=torch.Generator().manual_seed(1)).to(dtype)
    parts = quanto.quantize(weight, recipe, dtype)
    layout = quanto.parts_of(recipe, *shape)
    assert {name: (part.dtype, tuple(part.shape)) for name, part in parts.items()} == {
        name: (kind or dtype, length) for name, (kind, length) in layout.items()
    }
    matrix = quanto.QuantoMatrix(recipe, *shape, parts)
    # The library's own layer chooses its group and its scales by itself.
    layer = torch.nn.Linear(shape[1], shape[0], bias=False, dtype=dtype).requires_grad_(False)
    layer.weight.copy_(weight)
    theirs = library.QLinear.from_module(layer, weights=_kind(recipe))
    assert theirs.weight_group_size == quanto.group_of(recipe, shape[1])
    scale, shift = matrix._parts["scales"], matrix._parts.get("shifts")
    wanted = theirs.optimizer(
        layer.weight, _kind(recipe), 0, *([] if shift is None else [theirs.weight_group_size])
    )
    expected: list[Tensor] = [wanted] if shift is None else list(wanted)
    assert torch.equal(scale, expected[0].flatten())
    assert shift is None or torch.equal(shift, expected[-1].flatten())
    # Every weight is the nearest that its scale allows; floats step wider where they are large.
    # The scale, the shift and the result are each rounded to bf16, by up to 0.016 below 4.
    span = (scale.float().max() * (33 if recipe == "quanto-float8" else 1)).item()
    assert float((matrix.exact() - weight.float()).abs().max()) <= span * 0.52 + 0.05 * (
        dtype == torch.bfloat16
    )


def _kind(recipe: str) -> Any:
    return library.qtypes[
        "qfloat8" if recipe == "quanto-float8" else recipe.replace("quanto-", "q")
    ]


@pytest.mark.parametrize("recipe", QUANTO)
def test_products_are_those_of_the_restored_weights(recipe: str) -> None:
    weight, inputs = torch.randn(96, 160), torch.randn(7, 160)
    parts = quanto.quantize(weight, recipe, torch.float32)
    matrix = quanto.QuantoMatrix(recipe, 96, 160, parts)
    with torch.inference_mode():
        assert torch.allclose(matrix.product(inputs), inputs @ matrix.exact().t(), atol=1e-4)
    assert matrix.nbytes == sum(part.nbytes for part in parts.values())


@pytest.mark.parametrize("recipe", QUANTO)
def test_equal_weights_come_back(recipe: str) -> None:
    weight = torch.full((32, 64), 0.5)
    weight[::2] = 0
    matrix = quanto.QuantoMatrix(recipe, 32, 64, quanto.quantize(weight, recipe, torch.float32))
    assert torch.isfinite(matrix.exact()).all()
    assert torch.allclose(matrix.exact(), weight, atol=1e-2)


def test_without_the_library_it_says_what_to_type(monkeypatch: pytest.MonkeyPatch) -> None:
    real = builtins.__import__

    def missing(name: str, *rest: Any, **more: Any) -> Any:
        if name.startswith("optimum"):
            raise ImportError(name)
        return real(name, *rest, **more)

    monkeypatch.setattr(builtins, "__import__", missing)
    with pytest.raises(UnsupportedModel, match="pip install optimum-quanto"):
        quanto.quantize(torch.randn(8, 8), "quanto-int8", torch.float32)


def child_of(kind: str, recipe: str, folder: Path) -> tuple[CompressionResult, LoadedModel]:
    parent = (save_other if kind in OTHERS else save_model)(folder / kind, kind)
    result = compressed(parent, folder / "child", recipe)
    spec = ModelSpec(kind, str(folder / "child"))
    return result, load_model(spec, lambda _fraction, _stage: None)


@pytest.mark.parametrize("kind", ["llama-tied-bias", "gpt2", "opt", "falcon", "bert", "t5"])
@pytest.mark.parametrize("recipe", ["low-rank:20", "quanto-int4", "quanto-float8"])
def test_every_kind_goes_to_disk_and_back(kind: str, recipe: str, tmp_path: Path) -> None:
    result, child = child_of(kind, recipe, tmp_path)
    assert result.bytes_after < result.bytes_before
    method = "low-rank" if recipe.startswith("low") else "quanto"
    made = {layer.name: layer for layer in result.layers if layer.method == method}
    packed = {name: each for name, each in child.model.named_modules() if is_packed(each)}
    assert len(made) == len(packed)
    assert all(0 < layer.bits < 16 for layer in made.values())
    # The report's errors are those of what was loaded back.
    exact = load_model(ModelSpec(kind, str(tmp_path / kind)), lambda _fraction, _stage: None).model
    errors = []
    for name, layer in packed.items():
        plain = exact.get_submodule(name)
        weight = plain.weight.t() if isinstance(plain, Conv1D) else plain.weight
        errors.append(float((layer.matrix.exact() - weight).norm() / weight.norm()))
    said = [layer.relative_error for layer in made.values()]
    assert sorted(errors) == pytest.approx(sorted(each or 0.0 for each in said), rel=1e-3)
    # And the model computes with what was stored.
    for name, layer in packed.items():
        plain = exact.get_submodule(name)
        stored = layer.matrix.exact()
        with torch.no_grad():
            plain.weight.copy_(stored.t() if isinstance(plain, Conv1D) else stored)
    assert torch.allclose(logits_of(child.model), logits_of(exact), atol=1e-3, rtol=1e-3)


def is_packed(module: Any) -> bool:
    return isinstance(module, PackedLinear)


@torch.inference_mode()
def logits_of(model: Any) -> Tensor:
    ids = torch.tensor([[5, 17, 99, 4, 250, 31, 8, 77]])
    extra = {"decoder_input_ids": ids} if model.config.is_encoder_decoder else {}
    logits: Tensor = model(input_ids=ids, **extra).logits
    return logits


def test_only_mlps_are_factored(tmp_path: Path) -> None:
    result, _ = child_of("bert", "low-rank:20", tmp_path)
    assert len(result.layers) == 4
    assert all("attention" not in layer.name for layer in result.layers)


def test_factors_larger_than_the_matrix_are_refused(tmp_path: Path) -> None:
    with pytest.raises(UnsupportedModel, match="rank 64 would be larger"):
        child_of("llama", "low-rank:100", tmp_path)
    assert not (tmp_path / "child").exists()


def test_weights_that_are_not_finite_are_named(tiny_llama: Path, tmp_path: Path) -> None:
    weights = load_file(tiny_llama / "model.safetensors")
    weights["model.layers.1.mlp.up_proj.weight"][3, 3] = float("inf")
    bad = shutil.copytree(tiny_llama, tmp_path / "bad")
    save_file(weights, bad / "model.safetensors", metadata={"format": "pt"})
    for recipe in ("low-rank:30", "quanto-int2"):
        with pytest.raises(BadCheckpoint, match=r"layers\.1\.mlp\.up_proj\.weight"):
            compressed(bad, tmp_path / "child", recipe)
    assert sorted(entry.name for entry in tmp_path.iterdir()) == ["bad"]

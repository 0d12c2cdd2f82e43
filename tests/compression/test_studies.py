"""Low rank and the quantizers of optimum-quanto: the arithmetic, and models on disk and back."""

from __future__ import annotations

import builtins
from typing import Any

import pytest
import torch
from optimum import quanto as library

from slm_explorer.compression import quanto
from slm_explorer.compression.low_rank import LowRankMatrix, factorize, rank_of
from slm_explorer.errors import UnsupportedModel

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
    weight = torch.randn(shape).to(dtype)
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
    expected = (wanted,) if shift is None else wanted
    assert torch.equal(scale, expected[0].flatten())
    assert shift is None or torch.equal(shift, expected[1].flatten())
    # Every weight is the nearest that its scale allows; floats step wider where they are large.
    span = (scale.float().max() * (33 if recipe == "quanto-float8" else 1)).item()
    assert float((matrix.exact() - weight.float()).abs().max()) <= span * 0.52 + 0.02 * (
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

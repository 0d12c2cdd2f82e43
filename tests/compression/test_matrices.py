"""Packed products against the exact reference: the weights that the integers stand for, float32."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from slm_explorer.compression import matrices
from slm_explorer.compression.choices import Choice, choose, matrix_of, quantize
from slm_explorer.compression.matrices import Int4Matrix, Int8Matrix, pair_codes
from slm_explorer.compression.packed import PackedEmbedding, PackedLinear, fused
from slm_explorer.compression.recipes import load_step

# Outputs and inputs that no kernel takes as they are, beside some that it does.
ROWS = (1, 15, 16, 17, 64, 105, 130, 192, 200)
COLUMNS = (24, 64, 160, 172, 176, 352)
# Input rows on both sides of where the kernels give way to restored blocks.
COUNTS = (1, 5, 12, 13, 32, 33, 90)
# That of bf16 alone, in which all products are made, as a share of a result's usual norm.
ROUNDING = 8e-3


class Whole:
    """A matrix in memory, read like one on disk."""

    def __init__(self, weight: Tensor) -> None:
        self.shape = tuple(weight.shape)
        self.dtype: torch.dtype | None = weight.dtype
        self._weight = weight

    def __getitem__(self, _everything: object) -> Tensor:
        return self._weight

    def rows(self, start: int, end: int) -> Tensor:
        return self._weight[start:end]


def packed(weight: Tensor, recipe: str, dtype: torch.dtype) -> Int8Matrix | Int4Matrix:
    rows, columns = weight.shape
    step = load_step(recipe)
    choice = choose(step, "linear", rows, columns, torch.float32)
    if choice.method == "kept":  # so small that it would not be packed; it must work all the same
        choice = Choice("int8", rows, columns, columns)
    made = quantize("weight", Whole(weight), choice, step, dtype)
    matrix = matrix_of(choice, made.parts, dtype)
    assert isinstance(matrix, Int8Matrix | Int4Matrix)
    return matrix


def strayed(found: Tensor, wanted: Tensor) -> float:
    return float(((found.float() - wanted).norm() / wanted.norm()).detach())


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16], ids=str)
@pytest.mark.parametrize(
    "recipe", ["int8", "int4", "int4:group=32", "int4:group=128", "int4-refined"]
)
def test_every_shape_agrees_with_the_exact_reference(recipe: str, dtype: torch.dtype) -> None:
    draw = torch.Generator().manual_seed(1)
    for rows in ROWS:
        for columns in COLUMNS:
            weight = torch.randn(rows, columns, generator=draw) * 0.1
            matrix = packed(weight, recipe, dtype)
            exact = matrix.exact()
            assert exact.shape == weight.shape
            assert strayed(exact, weight) < (0.02 if recipe == "int8" else 0.13)
            for count in COUNTS:
                inputs = torch.randn(count, columns, generator=draw).to(dtype)
                found = matrix.product(inputs)
                assert found.dtype == dtype
                assert found.shape == (count, rows)
                off = (found.float() - inputs.float() @ exact.t()).norm()
                # A single number can come out as next to nothing: so of what is usual.
                assert off < ROUNDING * inputs.norm() * exact.norm() / columns**0.5


@pytest.mark.parametrize("restored", [2**22, 2**12], ids=["whole", "in-pieces"])
def test_int8_weights_restored_in_a_kept_room_are_those_of_this_product(
    restored: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(matrices, "_RESTORED", restored)
    draw = torch.Generator().manual_seed(2)
    several = [
        packed(torch.randn(rows, 176, generator=draw), "int8", dtype)
        for rows in (17, 200, 130)
        for dtype in (torch.float32, torch.bfloat16)
    ]
    inputs = [torch.randn(90, 176, generator=draw).to(each.dtype) for each in several]
    with torch.inference_mode():
        several[0].product(inputs[0])  # what it leaves must do for those outside, too
    with ThreadPoolExecutor(len(several)) as pool:
        for _ in range(5):
            found = pool.map(lambda at: several[at].product(inputs[at]), range(len(several)))
            for product, given, matrix in zip(found, inputs, several, strict=True):
                assert strayed(product, given.float() @ matrix.exact().t()) < ROUNDING


@pytest.mark.parametrize("group", [32, 64, 128])
def test_all_group_sizes_are_read_as_they_were_made(group: int) -> None:
    draw = torch.Generator().manual_seed(2)
    codes = torch.randint(0, 16, (80, 256), generator=draw, dtype=torch.uint8)
    scales, zeros = torch.rand(2, 80, 256 // group, generator=draw).bfloat16().float()
    wanted = (codes.float() - 8) * scales.repeat_interleave(group, 1)
    wanted += zeros.repeat_interleave(group, 1)
    matrix = Int4Matrix(pair_codes(codes), scales, zeros, torch.float32)
    assert torch.allclose(matrix.exact(), wanted, atol=1e-6)
    inputs = torch.randn(40, 256, generator=draw)
    for count in (1, 40):
        assert strayed(matrix.product(inputs[:count]), inputs[:count] @ wanted.t()) < ROUNDING


def test_an_unknown_packing_order_is_slower_and_as_exact() -> None:
    weight = torch.randn(48, 96, generator=torch.Generator().manual_seed(3))
    matrix = packed(weight, "int4", torch.float32)
    assert isinstance(matrix, Int4Matrix)
    inputs = torch.randn(50, 96)
    known, exact = matrix.product(inputs), matrix.exact()
    matrix._lanes = None
    assert torch.allclose(matrix.exact(), exact, atol=1e-5)
    assert strayed(matrix.product(inputs), known) < 1e-5


def test_rows_of_a_table_are_its_own() -> None:
    weight = torch.randn(105, 172, generator=torch.Generator().manual_seed(4))
    matrix = packed(weight, "int8", torch.float32)
    assert isinstance(matrix, Int8Matrix)
    ids = torch.tensor([[0, 104, 7], [7, 7, 3]])
    assert torch.equal(PackedEmbedding(matrix)(ids), matrix.exact()[ids])
    scaled = PackedEmbedding(matrix, torch.tensor(3.0))
    assert torch.equal(scaled(ids), matrix.exact()[ids] * 3.0)


@pytest.mark.parametrize("recipe", ["int8", "int4"])
@pytest.mark.parametrize(
    "sizes", [(64, 64, 64), (128, 64, 80), (16, 16, 16), (30, 20, 20)], ids=str
)
def test_layers_side_by_side_give_their_outputs_side_by_side(
    recipe: str, sizes: tuple[int, ...]
) -> None:
    draw = torch.Generator().manual_seed(5)
    weights = [torch.randn(size, 128, generator=draw) for size in sizes]
    layers = [
        PackedLinear(
            packed(each, recipe, torch.float32),
            nn.Parameter(torch.randn(len(each)), requires_grad=False),
        )
        for each in weights
    ]
    inputs = torch.randn(3, 128, generator=draw)
    apart = torch.cat([layer(inputs) for layer in layers], dim=-1)
    joined = fused(layers)
    assert bool(apart.isfinite().all())
    if recipe == "int4" and any(size % 64 for size in sizes[:-1]):
        assert joined is None, "padding would come between"
        assert torch.equal(torch.cat([layer(inputs) for layer in layers], dim=-1), apart)
    else:
        assert joined is not None
        assert strayed(joined(inputs), apart) < 1e-6


def test_layers_of_different_kinds_stay_apart() -> None:
    weight = torch.randn(64, 128)
    layers = [PackedLinear(packed(weight, each, torch.float32), None) for each in ("int8", "int4")]
    assert fused(layers) is None


def test_a_packed_layer_takes_any_number_of_dimensions_and_hides_no_data() -> None:
    weight, bias = torch.randn(17, 172), torch.randn(17)
    layer = PackedLinear(packed(weight, "int8", torch.float32), nn.Parameter(bias))
    inputs = torch.randn(2, 3, 172)
    wanted = F.linear(inputs, layer.matrix.exact(), bias)
    assert strayed(layer(inputs), wanted) < ROUNDING
    assert layer(inputs[0, 0]).shape == (17,)
    assert (layer.weight.shape, layer.weight.dtype) == ((17, 172), torch.float32)
    for misuse in (F.linear, torch.add, lambda _inputs, weight: weight.T + 1):
        with pytest.raises((TypeError, RuntimeError)):
            misuse(inputs, layer.weight)

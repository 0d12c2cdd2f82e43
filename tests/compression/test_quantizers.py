"""Scales and codes, on the shipped models' own weights and on rows made to break them."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor

from slm_explorer.compression.quantizers import Int4Groups, quantize_int4, quantize_int8
from tests.conftest import ROOT


def real_matrices() -> Iterator[tuple[str, Tensor]]:
    for model in ("sprout-1m", "sprout-300k"):
        weights = load_file(ROOT / "assets" / "sprouts" / model / "model.safetensors")
        for name, tensor in weights.items():
            if "proj" in name:
                yield f"{model} {name}", tensor


def restored(made: Int4Groups) -> Tensor:
    group = made.codes.shape[1] // made.scales.shape[1]
    scales = made.scales.float().repeat_interleave(group, 1)
    return (made.codes.float() - 8) * scales + made.zeros.float().repeat_interleave(group, 1)


def test_refined_scales_have_less_error_in_every_real_matrix() -> None:
    for name, weight in real_matrices():
        plain = quantize_int4(weight, 64, torch.bfloat16, refined=False)
        refined = quantize_int4(weight, 64, torch.bfloat16, refined=True)
        assert refined.squared_error < 0.92 * plain.squared_error, name
        off = (restored(refined) - weight.float()).square().view(-1, 64).sum(1)
        before = (restored(plain) - weight.float()).square().view(-1, 64).sum(1)
        assert bool((off <= before * 1.0001 + 1e-9).all()), f"{name}: a group got worse"


@pytest.mark.parametrize("refined", [False, True])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16], ids=str)
def test_the_reported_error_is_the_true_one(dtype: torch.dtype, refined: bool) -> None:
    weight = torch.randn(50, 192, generator=torch.Generator().manual_seed(0))
    made = quantize_int4(weight, 64, dtype, refined=refined)
    assert float((restored(made) - weight).square().sum()) == pytest.approx(made.squared_error)
    assert float(weight.square().sum()) == pytest.approx(made.squared_norm)
    eight = quantize_int8(weight, dtype)
    off = eight.codes.float() * eight.scales.float().unsqueeze(1) - weight
    assert float(off.square().sum()) == pytest.approx(eight.squared_error, rel=1e-3)


@pytest.mark.parametrize("refined", [False, True])
@pytest.mark.parametrize("value", [0.0, 1.0, -3.5, 1e-30, 3e4])
def test_groups_of_one_value_come_back(value: float, refined: bool) -> None:
    weight = torch.full((3, 64), value)
    found = restored(quantize_int4(weight, 32, torch.float32, refined=refined))
    assert torch.allclose(found, weight, rtol=1e-5, atol=1e-29)
    eight = quantize_int8(weight, torch.float32)
    assert torch.allclose(eight.codes * eight.scales.unsqueeze(1), weight, rtol=1e-5, atol=1e-29)


@pytest.mark.parametrize("bad", [float("nan"), float("inf"), -float("inf")])
def test_weights_that_are_not_finite_show(bad: float) -> None:
    weight = torch.zeros(4, 64)
    weight[2, 17] = bad
    for made in (
        quantize_int8(weight, torch.bfloat16),
        quantize_int4(weight, 64, torch.bfloat16, refined=False),
        quantize_int4(weight, 64, torch.bfloat16, refined=True),
    ):
        assert not made.squared_norm + made.squared_error < float("inf")


def test_the_weights_are_left_as_they_are() -> None:
    weight = torch.randn(4, 64)
    before = weight.clone()
    quantize_int8(weight, torch.float32)
    quantize_int4(weight, 64, torch.float32, refined=True)
    assert torch.equal(weight, before)

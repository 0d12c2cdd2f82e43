"""Norms and rotations in fewer operators: the same bits, or the model's own."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor, nn
from transformers.models.gemma.modeling_gemma import GemmaRMSNorm
from transformers.models.llama import modeling_llama
from transformers.models.llama.modeling_llama import LlamaRMSNorm
from transformers.models.olmo2.modeling_olmo2 import Olmo2RMSNorm
from transformers.models.phi import modeling_phi

from slm_explorer.engines.norms import fused_norm
from slm_explorer.engines.rotary import _TurnOne

DTYPES = [torch.bfloat16, torch.float16, torch.float32]


@pytest.mark.parametrize("dtype", DTYPES, ids=["bf16", "f16", "f32"])
@pytest.mark.parametrize("kind", [LlamaRMSNorm, GemmaRMSNorm, Olmo2RMSNorm])
@pytest.mark.parametrize("width", [64, 576, 2048])
def test_each_kind_of_norm_gives_its_bits(kind: Any, dtype: torch.dtype, width: int) -> None:
    torch.manual_seed(0)
    norm = kind(width, eps=1e-5).requires_grad_(False)
    norm.weight.normal_(0.5, 0.3)
    norm = norm.to(dtype)
    fused = fused_norm(norm)
    assert fused is not None
    assert fused.weight.shape == (width,)
    for rows in (1, 3, 16):
        states = (3 * torch.randn(1, rows, width)).to(dtype)
        kept = states.clone()
        assert torch.equal(fused(states), norm(states))
        assert torch.equal(states, kept), "what is normed is not changed"


class OddRMSNorm(nn.Module):
    """Another norm under the usual name."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(32), requires_grad=False)
        self.eps = 1e-5

    def forward(self, states: Tensor) -> Tensor:
        return states * torch.rsqrt(states.pow(2).sum(-1, keepdim=True) + self.eps) * self.weight


def test_a_norm_that_computes_otherwise_is_left() -> None:
    assert fused_norm(OddRMSNorm()) is None
    assert fused_norm(nn.LayerNorm(32)) is None


def whole_of(module: Any) -> Any:
    """transformers' own function, also after a model of this family was made lighter."""
    found = module.apply_rotary_pos_emb
    return found.whole if isinstance(found, _TurnOne) else found


@pytest.mark.parametrize("module", [modeling_llama, modeling_phi])
@pytest.mark.parametrize("dtype", DTYPES, ids=["bf16", "f16", "f32"])
def test_one_token_and_many_are_turned_as_transformers_does(module: Any, dtype: Any) -> None:
    whole = whole_of(module)
    turn = _TurnOne(whole)
    torch.manual_seed(0)
    for tokens in (1, 1, 5):
        cosines, sines = torch.randn(2, 1, tokens, 32).to(dtype)
        for _layer in range(2):
            queries = torch.randn(1, tokens, 4, 32).to(dtype).transpose(1, 2)
            keys = torch.randn(1, tokens, 2, 32).to(dtype).transpose(1, 2)
            ours = turn(queries, keys, cosines, sines)
            theirs = whole(queries, keys, cosines, sines)
            assert all(torch.equal(one, other) for one, other in zip(ours, theirs, strict=True))


def test_cosines_in_another_dtype_are_left_to_transformers() -> None:
    turn = _TurnOne(whole_of(modeling_llama))
    queries, keys = torch.randn(2, 1, 2, 1, 16).bfloat16()
    cosines, sines = torch.randn(2, 1, 1, 16)
    turned, _ = turn(queries, keys, cosines, sines)
    assert turned.dtype is torch.float32

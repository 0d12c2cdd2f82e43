"""Attention over long prompts: as close to the exact one as torch's own, and the same in models."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F
from transformers import AutoModelForCausalLM

from slm_explorer.catalog import footprint
from slm_explorer.compression.cores import multiplies_bf16
from slm_explorer.engines import prompt_attention
from slm_explorer.engines.decoder import Decoder, TransformersDecoder
from slm_explorer.engines.kv_cache import new_cache
from slm_explorer.engines.lean import lean_decoder
from slm_explorer.engines.lighter import light_decoder
from tests.engines.models import save_model


def drawn(heads: int, kv_heads: int, width: int, count: int) -> list[Tensor]:
    """Queries, keys and values that attend to some tokens much more than to others."""
    draw = torch.Generator().manual_seed(heads + count)
    shapes = ((count, heads, width), (kv_heads, count, width), (kv_heads, count, width))
    return [(1.5 * torch.randn(shape, generator=draw)).bfloat16() for shape in shapes]


def torchs(queries: Tensor, keys: Tensor, values: Tensor, scale: float) -> Tensor:
    found = F.scaled_dot_product_attention(
        queries.transpose(0, 1)[None], keys[None], values[None], is_causal=True, scale=scale,
        enable_gqa=True,
    )  # fmt: skip
    return found[0].transpose(0, 1)


@pytest.mark.parametrize(
    ("heads", "kv_heads", "width", "count"),
    [(9, 3, 64, 512), (4, 4, 80, 300), (8, 2, 32, 257), (6, 1, 64, 129), (2, 2, 16, 3)],
)
@pytest.mark.parametrize("scores", [2**20, 2**16], ids=["heads-together", "heads-apart"])
def test_it_strays_hardly_further_than_torchs_own(
    heads: int, kv_heads: int, width: int, count: int, scores: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(prompt_attention, "_SCORES", scores)
    queries, keys, values = drawn(heads, kv_heads, width, count)
    scale = width**-0.5
    exact = torchs(queries.double(), keys.double(), values.double(), scale)
    ours = prompt_attention.attend(queries, keys, values, scale)
    assert ours.dtype is torch.bfloat16
    assert ours.shape == queries.shape
    theirs = torchs(queries, keys, values, scale)
    assert (ours - exact).norm() <= 1.4 * (theirs - exact).norm()


def test_float32_products_are_exact_again_afterwards() -> None:
    queries, keys, values = drawn(2, 2, 64, 256)
    prompt_attention.attend(queries, keys, values, 0.125)
    with pytest.raises(RuntimeError):
        prompt_attention.attend(queries, keys[..., :32], values, 0.125)
    left, right = torch.randn(2, 256, 256).unbind()
    exact = left.double() @ right.double()
    assert ((left @ right) - exact).norm() < 1e-5 * exact.norm()


def test_short_prompts_and_other_dtypes_are_left_to_torch() -> None:
    queries = torch.zeros(prompt_attention.LONG, 2, 64)
    assert not prompt_attention.faster(queries)
    assert not prompt_attention.faster(queries.bfloat16()[1:])
    assert prompt_attention.faster(queries.bfloat16()) == multiplies_bf16()


def test_the_estimate_of_memory_knows_its_sizes() -> None:
    ours = prompt_attention.LONG, prompt_attention._SCORES, prompt_attention._STRETCH
    assert ours == (footprint._LONG, footprint._SCORES, footprint._STRETCH)


@pytest.mark.parametrize(
    ("architecture", "way"),
    [
        ("llama", "lean"),
        ("qwen3", "lean"),
        ("llama", "light"),
        ("opt", "light"),
        ("stablelm", "light"),
        ("olmo2", "light"),
    ],
)
def test_a_model_reads_a_long_prompt_with_no_more_noise(
    architecture: str, way: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = save_model(tmp_path, architecture, hidden_size=512, max_position_embeddings=1024)
    ids = (torch.arange(700) * 13) % 370 + 8

    def read(dtype: torch.dtype) -> Any:
        return AutoModelForCausalLM.from_pretrained(folder, dtype=dtype).eval()

    def logits(decoder: Decoder, config: Any) -> Tensor:
        cache = new_cache(config)
        return torch.stack([decoder.last_logits(part, cache) for part in (ids[:512], ids[512:])])

    model = read(torch.bfloat16)
    config = model.config
    exact = logits(TransformersDecoder(read(torch.float32)), config)
    theirs = logits(TransformersDecoder(read(torch.bfloat16)), config)
    decoder = light_decoder(model) if way == "light" else lean_decoder(model)
    assert decoder is not None
    ours, noise = logits(decoder, config), (theirs - exact).norm()
    assert (ours - exact).norm() <= 1.2 * noise
    monkeypatch.setattr(prompt_attention, "LONG", 10_000)
    left_to_torch = logits(decoder, config)
    assert (left_to_torch - exact).norm() <= 1.2 * noise
    assert torch.equal(ours, left_to_torch) != multiplies_bf16(), "it went the same way"

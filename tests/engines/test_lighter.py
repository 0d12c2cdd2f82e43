"""Doing less for each token changes no result: every architecture, narrow and wide."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import AutoModelForCausalLM

from slm_explorer.engines.decoder import Decoder, TransformersDecoder
from slm_explorer.engines.kv_cache import new_cache
from slm_explorer.engines.lighter import light_decoder
from slm_explorer.engines.projections import packs
from tests.engines.models import ARCHITECTURES, save_model

# Wide enough that linear layers are fused, and packed where the processor can.
WIDE: dict[str, Any] = {"hidden_size": 512, "num_hidden_layers": 2}
IDS = torch.tensor([(5 * at * at + at) % 370 + 8 for at in range(40)])


def read(folder: Path, dtype: torch.dtype) -> Any:
    return AutoModelForCausalLM.from_pretrained(folder, dtype=dtype).eval()


def pieces(decoder: Decoder, config: Any) -> list[torch.Tensor]:
    """Logits of a prompt, of two single tokens, and of a piece read after them."""
    cache = new_cache(config)
    return [decoder.last_logits(part, cache) for part in (IDS[:30], IDS[30:31], IDS[31:32], IDS)]


def both(folder: Path, dtype: torch.dtype) -> list[tuple[torch.Tensor, torch.Tensor]]:
    model = read(folder, dtype)
    plain = pieces(TransformersDecoder(model), model.config)
    return list(zip(pieces(light_decoder(model), model.config), plain, strict=True))


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float32], ids=["bf16", "f32"])
@pytest.mark.parametrize("architecture", sorted(ARCHITECTURES))
def test_narrow_models_give_the_same_logits(
    architecture: str, dtype: torch.dtype, tmp_path: Path
) -> None:
    for ours, theirs in both(save_model(tmp_path, architecture), dtype):
        assert torch.equal(ours, theirs)


@pytest.mark.parametrize("architecture", ["llama", "mistral", "qwen3", "phi", "stablelm"])
def test_wide_models_differ_by_rounding_alone(architecture: str, tmp_path: Path) -> None:
    folder = save_model(tmp_path, architecture, **WIDE)
    for ours, theirs in both(folder, torch.float32):
        torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-4)
    exact = [theirs for _, theirs in both(folder, torch.float32)]
    for (ours, theirs), true in zip(both(folder, torch.bfloat16), exact, strict=True):
        # As far from the exact logits as transformers' own bf16 pass is, and no farther.
        assert (ours - true).norm() <= 1.2 * (theirs - true).norm()


def test_layers_that_share_an_input_become_one_product(tmp_path: Path) -> None:
    model = read(save_model(tmp_path, "phi", **WIDE), torch.bfloat16)
    attention = model.model.layers[0].self_attn
    light_decoder(model)
    assert attention.q_proj._shared is attention.k_proj._shared is attention.v_proj._shared
    inputs, other = torch.randn(1, 3, 512).bfloat16(), torch.randn(1, 3, 512).bfloat16()
    query, key = attention.q_proj(inputs), attention.k_proj(other)
    assert torch.equal(key, attention.k_proj(other)), "another input is another product"
    assert torch.equal(query, attention.q_proj(inputs))
    attention.v_proj(inputs)
    assert attention.q_proj._shared._inputs is None, "nothing of a text stays behind"


def test_weights_are_taken_over_and_a_tied_head_is_left(tmp_path: Path) -> None:
    model = read(save_model(tmp_path, "llama-tied-bias", **WIDE), torch.bfloat16)
    if not packs(model.model.norm.weight):
        pytest.skip("this processor has no bf16 matrix instructions")
    head = model.lm_head.weight
    light_decoder(model)
    assert model.lm_head.weight is model.model.embed_tokens.weight is head
    linears = [each for each in model.modules() if isinstance(each, torch.nn.Linear)]
    assert linears == [model.lm_head]

"""The lean decoder is transformers' forward pass, to the last bit, in the same memory."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import AutoModelForCausalLM

from slm_explorer.engines.decoder import Decoder, TransformersDecoder
from slm_explorer.engines.kv_cache import new_cache
from slm_explorer.engines.lean import LeanDecoder, lean_decoder
from slm_explorer.engines.projections import packs
from tests.engines.models import save_model

LEAN = [
    "llama",
    "llama-tied-bias",
    "llama3-rope",
    "mistral",
    "qwen2",
    "qwen3",
    "smollm3",
    "granite",
]
# Wide enough that projections are fused, and packed where the processor can.
WIDE: dict[str, Any] = {"hidden_size": 512, "num_hidden_layers": 2, "head_dim": 128}
IDS = torch.tensor([(5 * at * at + at) % 370 + 8 for at in range(60)])


def read(folder: Path, dtype: torch.dtype) -> Any:
    return AutoModelForCausalLM.from_pretrained(folder, dtype=dtype).eval()


def lean(model: Any) -> LeanDecoder:
    decoder = lean_decoder(model)
    assert decoder is not None
    return decoder


def pieces(decoder: Decoder, config: Any) -> list[torch.Tensor]:
    """Logits of a prompt, of two single tokens, and of a piece read after them."""
    cache = new_cache(config)
    parts = (IDS[:30], IDS[30:31], IDS[31:32], IDS[32:])
    return [decoder.last_logits(part, cache) for part in parts]


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float32], ids=["bf16", "f32"])
@pytest.mark.parametrize("architecture", LEAN)
def test_logits_are_those_of_the_forward_pass(
    architecture: str, dtype: torch.dtype, tmp_path: Path
) -> None:
    folder = save_model(tmp_path, architecture)
    plain = TransformersDecoder(read(folder, dtype))
    ours_decoder = lean(read(folder, dtype))
    config = read(folder, dtype).config
    for ours, theirs in zip(pieces(ours_decoder, config), pieces(plain, config), strict=True):
        if dtype is torch.bfloat16:
            assert torch.equal(ours, theirs)
        else:
            torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(
        ours_decoder.all_logits(IDS), plain.all_logits(IDS), rtol=1e-4, atol=1e-4
    )


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float32], ids=["bf16", "f32"])
@pytest.mark.parametrize("architecture", LEAN)
def test_fused_projections_differ_by_rounding_only(
    architecture: str, dtype: torch.dtype, tmp_path: Path
) -> None:
    folder = save_model(tmp_path, architecture, **WIDE)
    exact = TransformersDecoder(read(folder, torch.float32))
    model = read(folder, dtype)
    config = model.config
    ours, same = (
        pieces(lean(model), config),
        pieces(TransformersDecoder(read(folder, dtype)), config),
    )
    for mine, theirs, true in zip(ours, same, pieces(exact, config), strict=True):
        noise = float((theirs - true).norm() / true.norm())
        assert float((mine - theirs).norm() / true.norm()) <= noise + 1e-5


def test_positions_beyond_the_first_table(tmp_path: Path) -> None:
    model = read(save_model(tmp_path, "llama"), torch.float32)
    ids = (torch.arange(900) * 13) % 370 + 8
    plain = TransformersDecoder(model).all_logits(ids)
    torch.testing.assert_close(lean(model).all_logits(ids), plain, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("architecture", ["llama", "llama-tied-bias"])
def test_fused_weights_are_the_models_own_memory(architecture: str, tmp_path: Path) -> None:
    model = read(save_model(tmp_path, architecture, **WIDE), torch.float32)
    before = {name: value.clone() for name, value in model.state_dict().items()}
    parameters = sum(each.numel() for each in model.parameters())
    decoder = lean(model)
    storages = {each.untyped_storage().data_ptr(): each for each in model.parameters()}
    stored = sum(each.untyped_storage().nbytes() for each in storages.values())
    assert stored == 4 * parameters, "every parameter once, none twice"
    assert sum(each.numel() for each in model.parameters()) == parameters
    fused = decoder._layers[0].qkv.keywords["weight"]  # type: ignore[attr-defined]
    assert fused.untyped_storage().data_ptr() in storages
    for name, value in model.state_dict().items():
        assert torch.equal(value, before[name]), name


def test_packed_weights_leave_no_second_copy(tmp_path: Path) -> None:
    model = read(save_model(tmp_path, "llama-tied-bias", **WIDE), torch.bfloat16)
    if not packs(model.model.norm.weight):
        pytest.skip("this processor has no bf16 matrix instructions")
    head = model.lm_head.weight
    assert lean_decoder(model) is not None
    linears = [each for each in model.modules() if isinstance(each, torch.nn.Linear)]
    assert [each for each in linears if each.weight.numel()] == [model.lm_head]
    assert model.lm_head.weight is model.model.embed_tokens.weight is head


@pytest.mark.parametrize(
    ("architecture", "changes"),
    [
        ("mistral-sliding", {}),
        ("gemma", {}),
        ("phi", {}),
        ("olmo2", {}),
        ("llama", {"rope_parameters": {"rope_type": "dynamic", "factor": 2.0, "rope_theta": 1e4}}),
        (
            "qwen2",
            {"use_sliding_window": True, "sliding_window": 8, "max_window_layers": 1},
        ),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_other_shapes_run_through_transformers(
    architecture: str, changes: dict[str, Any], tmp_path: Path
) -> None:
    model = read(save_model(tmp_path, architecture, **changes), torch.float32)
    assert lean_decoder(model) is None


def test_a_projection_that_is_no_linear_layer_is_called(tmp_path: Path) -> None:
    """Compressed layers replace nn.Linear: they are called as they are, fused or not."""

    class Halved(torch.nn.Module):
        def __init__(self, linear: torch.nn.Linear) -> None:
            super().__init__()
            self.linear = linear

        def forward(self, inputs: torch.Tensor) -> torch.Tensor:
            output: torch.Tensor = self.linear(inputs)
            return output * 0.5

    model = read(save_model(tmp_path, "llama"), torch.float32)
    attention, mlp = model.model.layers[1].self_attn, model.model.layers[1].mlp
    attention.k_proj = Halved(attention.k_proj)
    mlp.up_proj = Halved(mlp.up_proj)
    mlp.down_proj = Halved(mlp.down_proj)
    plain = TransformersDecoder(model).all_logits(IDS)
    torch.testing.assert_close(lean(model).all_logits(IDS), plain, rtol=1e-4, atol=1e-4)

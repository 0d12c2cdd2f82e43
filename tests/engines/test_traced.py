"""A traced step gives the bits of the step itself, or is not used."""

from __future__ import annotations

import gc
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.multiprocessing.reductions import StorageWeakRef
from transformers import AutoModelForCausalLM

from slm_explorer.engines.decoder import Decoder, TransformersDecoder
from slm_explorer.engines.kv_cache import BufferedWindow, new_cache
from slm_explorer.engines.lean import lean_decoder
from slm_explorer.engines.lighter import light_decoder
from slm_explorer.engines.traced import (
    Program,
    TracedDecoder,
    _rope_is_fixed,
    program_of,
    ruler,
    traced_decoder,
)
from tests.engines.models import ARCHITECTURES, save_model

# LFM2's convolutions keep states of their own; GPT-2's layers are computed otherwise in a trace.
UNTRACED = {"lfm2", "gpt2"}
# In float32 a sliding window's mask, which hides nothing, changes how scores are summed.
UNTRACED_F32 = UNTRACED | {"gemma3_text", "mistral-sliding"}


def read(folder: Path, dtype: torch.dtype = torch.bfloat16) -> Any:
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=dtype)
    return model.eval().requires_grad_(False)


def written(decoder: Decoder, config: Any, prompt: int, tokens: int) -> list[Tensor]:
    """Logits of a prompt and of so many tokens after it."""
    cache = new_cache(config)
    logits = [decoder.last_logits(torch.arange(8, 8 + prompt), cache)]
    for at in range(tokens):
        logits.append(decoder.last_logits(torch.tensor([8 + 7 * at % 300]), cache))
    return logits


def assert_same(ours: list[Tensor], theirs: list[Tensor]) -> None:
    assert all(torch.equal(one, other) for one, other in zip(ours, theirs, strict=True))


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float32], ids=["bf16", "f32"])
@pytest.mark.parametrize("architecture", sorted(ARCHITECTURES))
def test_every_architecture_is_traced_or_known_not_to_be(
    architecture: str, dtype: torch.dtype, tmp_path: Path
) -> None:
    model = read(save_model(tmp_path, architecture), dtype)
    whole = light_decoder(model)
    traced = traced_decoder(model)
    untraced = UNTRACED if dtype is torch.bfloat16 else UNTRACED_F32
    assert (traced is None) == (architecture in untraced)
    if traced is not None:
        assert_same(written(traced, model.config, 5, 12), written(whole, model.config, 5, 12))


def test_a_window_slides_on_in_the_trace(tmp_path: Path) -> None:
    folder = save_model(tmp_path, "gemma3_text", max_position_embeddings=1024)
    model = read(folder)
    whole = light_decoder(model)
    traced = traced_decoder(model)
    assert isinstance(traced, TracedDecoder)
    assert_same(written(traced, model.config, 30, 560), written(whole, model.config, 30, 560))
    window = new_cache(model.config).layers[0]
    assert isinstance(window, BufferedWindow)


@pytest.mark.parametrize("hidden", [64, 512], ids=["exact lengths", "whole pages"])
def test_a_lean_step_is_the_same_traced(hidden: int, tmp_path: Path) -> None:
    folder = save_model(
        tmp_path, "llama", hidden_size=hidden, num_hidden_layers=2, max_position_embeddings=512
    )
    plain, traced = lean_decoder(read(folder)), lean_decoder(read(folder))
    assert plain is not None
    assert traced is not None
    traced.trace()
    assert traced._program is not None
    config = read(folder).config
    assert_same(written(traced, config, 3, 270), written(plain, config, 3, 270))


@pytest.mark.parametrize("architecture", ["phi", "stablelm", "mistral-sliding"])
def test_wide_models_are_traced_with_their_packed_weights(
    architecture: str, tmp_path: Path
) -> None:
    model = read(save_model(tmp_path, architecture, hidden_size=512, num_hidden_layers=2))
    whole = light_decoder(model)
    traced = traced_decoder(model)
    assert traced is not None
    assert_same(written(traced, model.config, 5, 20), written(whole, model.config, 5, 20))


def test_a_prompt_of_one_token_is_read_by_the_forward_pass(tmp_path: Path) -> None:
    model = read(save_model(tmp_path, "phi"))
    whole = light_decoder(model)
    traced = traced_decoder(model)
    assert traced is not None
    assert_same(written(traced, model.config, 1, 3), written(whole, model.config, 1, 3))


def test_what_a_trace_would_fix_is_not_traced() -> None:
    def baked(total: Tensor) -> Tensor:
        return torch.ones(3) * int(total.shape[0])

    def branching(total: Tensor) -> Tensor:
        return torch.zeros(1) if total.shape[0] < 5 else torch.ones(1)

    def fine(total: Tensor) -> Tensor:
        return torch.ones(3) * total.shape[0]

    states = [[ruler(2)], [ruler(9)]]
    for step, traced in ((baked, False), (branching, False), (fine, True)):
        program = program_of(step, states, [step(*state) for state in states])
        assert (program is not None) == traced


def test_a_program_that_is_gone_frees_its_weights() -> None:
    watch: Any = StorageWeakRef

    def made() -> tuple[Program | None, Any]:
        weights = torch.ones(4)

        def step(total: Tensor) -> Tensor:
            return weights * total.shape[0]

        program = program_of(step, [[ruler(2)]], [torch.full((4,), 2.0)])
        return program, watch(weights.untyped_storage())

    program, weights = made()
    assert program is not None
    assert not weights.expired()
    del program
    gc.collect()
    assert weights.expired()


def test_a_step_that_cannot_be_traced_is_no_error() -> None:
    def lookup(total: Tensor) -> Tensor:
        return {2: torch.ones(1)}[total.shape[0]]

    assert program_of(lookup, [[ruler(3)]], [torch.ones(1)]) is None


def test_positions_whose_table_depends_on_the_length_are_not_traced() -> None:
    def rope(parameters: Any) -> bool:
        return _rope_is_fixed(SimpleNamespace(rope_parameters=parameters))

    assert rope(None)
    assert rope({"rope_type": "llama3", "factor": 8.0})
    assert not rope({"rope_type": "longrope"})
    both = {"full_attention": {"rope_type": "default"}, "sliding_attention": {}}
    assert rope(both)
    assert not rope(both | {"full_attention": {"rope_type": "dynamic"}})


def test_the_engine_takes_the_trace(tmp_path: Path) -> None:
    model = read(save_model(tmp_path, "opt"))
    decoder = traced_decoder(model)
    assert isinstance(decoder, TransformersDecoder)
    cache = new_cache(model.config)
    decoder.last_logits(torch.tensor([5, 6, 7]), cache)
    model.forward = None  # nothing of the model runs any more
    assert decoder.last_logits(torch.tensor([9]), cache).isfinite().all()
    assert cache.layers[0].get_seq_length() == 4

"""The engine says what transformers.generate says, token for token, on many architectures,
with and without a kept KV cache, greedy and drawn.
"""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import AutoModelForCausalLM

from slm_explorer.engines.base import Engine
from slm_explorer.engines.batch import PREFILL_CHUNK
from slm_explorer.types import Sampling
from tests.engines.answers import Said, ask, request
from tests.engines.conftest import Checkpoint, load
from tests.engines.models import ARCHITECTURES, VOCABULARY

PROMPT = [(7 * at * at + 3 * at) % (VOCABULARY - 8) + 8 for at in range(50)]
LENGTH = 24
# Their caches cannot forget: only a conversation that goes on as it was is kept.
CANNOT_FORGET = {"mistral-sliding", "gemma3_text", "lfm2"}


def generated(folder: Path, prompt: list[int], length: int = LENGTH, **settings: Any) -> list[int]:
    """What a plain script gets."""
    model = AutoModelForCausalLM.from_pretrained(folder)
    model.generation_config.eos_token_id = None
    ids = torch.tensor([prompt])
    output = model.generate(
        ids,
        attention_mask=torch.ones_like(ids),
        max_new_tokens=length,
        pad_token_id=0,
        **{"do_sample": False, **settings},
    )
    return list(output[0, len(prompt) :].tolist())


def numbers(said: Said) -> list[int]:
    """The tokens, from a model whose tokens are numbers."""
    return [int(digits) for digits in re.findall(r"\d+", said.text)]


def answer(engine: Engine, prompt: list[int], chat: str | None = None) -> Said:
    sampling = Sampling(max_tokens=LENGTH, ignore_eos=True)
    return ask(engine, request(sampling, prompt_ids=tuple(prompt), chat=chat))


@pytest.mark.parametrize("architecture", sorted(ARCHITECTURES))
def test_greedy_tokens_with_and_without_a_kept_cache(
    architecture: str, numbered: Checkpoint
) -> None:
    folder = numbered(architecture)
    engine = load(folder)

    first = answer(engine, PROMPT, chat="talk")
    expected = generated(folder, PROMPT)
    assert numbers(first) == expected
    assert len(set(expected)) >= 5, "a model that repeats itself proves little"
    assert first.stats.cached_tokens == 0

    # The next turn: all that was said, and more. The last token was never read.
    longer = PROMPT + expected + [9, 8, 11]
    second = answer(engine, longer, chat="talk")
    assert numbers(second) == numbers(answer(engine, longer)) == generated(folder, longer)
    assert second.stats.cached_tokens == len(PROMPT) + LENGTH - 1

    # The user edits an earlier turn: what is shared stays, the rest is forgotten.
    edited = [*PROMPT[:30], 9, 9, 12, 10]
    third = answer(engine, edited, chat="talk")
    assert numbers(third) == generated(folder, edited)
    assert third.stats.cached_tokens == (0 if architecture in CANNOT_FORGET else 30)


@pytest.mark.parametrize("architecture", ["llama", "gemma3_text", "gptj", "mpt"])
def test_a_prompt_read_in_chunks(architecture: str, numbered: Checkpoint) -> None:
    folder = numbered(architecture)
    prompt = (PROMPT * 20)[: PREFILL_CHUNK + 88]
    said = answer(load(folder), prompt)
    assert numbers(said) == generated(folder, prompt)
    assert said.stats.prompt_tokens == len(prompt)


@pytest.mark.parametrize(
    "settings",
    [
        {"temperature": 0.7},
        {"temperature": 1.3, "top_k": 12},
        {"temperature": 1.0, "top_p": 0.8},
        {"temperature": 1.5, "min_p": 0.1},
        {"temperature": 0.9, "top_k": 40, "top_p": 0.9, "min_p": 0.02, "repetition_penalty": 1.2},
        {"temperature": 1.1, "repetition_penalty": 0.8},
    ],
    ids=str,
)
@pytest.mark.parametrize("engine_name", ["torch", "transformers"])
def test_drawn_tokens_under_the_same_seed(
    settings: dict[str, Any], engine_name: str, numbered: Checkpoint
) -> None:
    folder = numbered("llama")
    sampling = Sampling(max_tokens=LENGTH, ignore_eos=True, seed=11, **settings)
    said = ask(load(folder, engine_name), request(sampling, prompt_ids=tuple(PROMPT)))
    torch.manual_seed(11)
    assert numbers(said) == generated(folder, PROMPT, do_sample=True, **{"top_k": 0, **settings})


def test_a_greedy_answer_with_a_repetition_penalty(numbered: Checkpoint) -> None:
    folder = numbered("llama")
    sampling = Sampling(max_tokens=LENGTH, ignore_eos=True, repetition_penalty=1.3)
    said = ask(load(folder), request(sampling, prompt_ids=tuple(PROMPT)))
    assert numbers(said) == generated(folder, PROMPT, repetition_penalty=1.3)


@pytest.mark.parametrize("engine_name", ["torch", "transformers"])
def test_any_of_several_end_tokens_ends_the_answer(
    engine_name: str, numbered: Checkpoint, tmp_path: Path
) -> None:
    folder = shutil.copytree(numbered("llama"), tmp_path / "copy")
    expected = generated(folder, PROMPT)
    end = expected[10]
    settings = folder / "generation_config.json"
    values = {**json.loads(settings.read_text()), "eos_token_id": [VOCABULARY - 1, end]}
    settings.write_text(json.dumps(values))
    sampling = Sampling(max_tokens=LENGTH)
    said = ask(load(folder, engine_name), request(sampling, prompt_ids=tuple(PROMPT)))
    assert numbers(said) == expected[: expected.index(end)], "the end token is no text"
    assert said.stats.output_tokens == expected.index(end) + 1
    assert said.stats.finish_reason == "stop"

"""The shipped checkpoints: what they promise, read back from their files."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from sprouts.card import LOG, RESULTS, skill_rows
from sprouts.family import FAMILY
from transformers import AutoModelForCausalLM, AutoTokenizer

from slm_explorer.skills import list_suites, load_suite, matches

PARAMETERS = {
    "sprout-5m": 5_246_208,
    "sprout-1m": 1_246_592,
    "sprout-300k": 328_256,
    "sprout-300k-distilled": 328_256,
}


@pytest.fixture(params=list(FAMILY))
def folder(request: pytest.FixtureRequest, assets: Path) -> Path:
    return assets / "sprouts" / str(request.param)


def results(folder: Path) -> dict[str, Any]:
    loaded: dict[str, Any] = json.loads((folder / RESULTS).read_text())
    return loaded


def test_loads_with_the_promised_size_in_bf16(folder: Path) -> None:
    model = AutoModelForCausalLM.from_pretrained(folder)
    assert model.num_parameters() == PARAMETERS[folder.name]
    assert {weight.dtype for weight in model.parameters()} == {torch.bfloat16}
    config = model.config
    assert (config.model_type, config.vocab_size) == ("llama", 2048)
    assert config.num_key_value_heads < config.num_attention_heads
    assert config.tie_word_embeddings
    assert config.max_position_embeddings == 512


def test_files_are_small_and_plain(folder: Path) -> None:
    for path in folder.iterdir():
        assert path.stat().st_size < 10_000_000
        assert path.suffix in (".json", ".jsonl", ".md", ".safetensors")


def test_same_tokenizer_everywhere(folder: Path, assets: Path) -> None:
    for name in ("tokenizer.json", "tokenizer_config.json"):
        first = assets / "sprouts" / "sprout-5m" / name
        assert (folder / name).read_bytes() == first.read_bytes()


def test_card_tells_the_stored_results(folder: Path, assets: Path) -> None:
    card = (folder / "README.md").read_text(encoding="utf-8")
    assert card.startswith("---\nlicense: apache-2.0\n")
    stored = results(folder)
    assert set(stored["skills"]) == set(list_suites(assets))
    for row in skill_rows(stored):
        assert row in card
    assert f"{stored['bits_per_byte']:.4f} bits per byte" in card
    for skill, score in stored["skills"].items():
        assert score["n"] == len(load_suite(list_suites(assets)[skill]))


def test_card_tells_the_log(folder: Path) -> None:
    card = (folder / "README.md").read_text(encoding="utf-8")
    log = folder / LOG
    assert log.stat().st_size < 200_000
    last = json.loads(log.read_text().splitlines()[-1])
    assert f"{last['tokens']:,} tokens" in card
    assert f"{last['loss']} nats" in card


def test_a_few_answers_again(assets: Path) -> None:
    """The largest model still answers as its results say, within what eleven prompts show."""
    folder = assets / "sprouts" / "sprout-5m"
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32).eval()
    tokenizer = AutoTokenizer.from_pretrained(folder)
    right = 0
    items = [item for path in list_suites(assets).values() for item in load_suite(path)[:1]]
    for item in items:
        inputs = tokenizer.apply_chat_template(
            item.chat(), add_generation_prompt=True, return_tensors="pt", return_dict=True
        )
        output = model.generate(**inputs, max_new_tokens=140, do_sample=False)
        text = tokenizer.decode(output[0, inputs["input_ids"].shape[1] :], skip_special_tokens=True)
        right += matches(item, text)
    assert right >= len(items) - 3


def test_sizes_differ_in_skill(assets: Path) -> None:
    def share(name: str) -> float:
        skills = results(assets / "sprouts" / name)["skills"].values()
        return float(sum(s["right"] for s in skills) / sum(s["n"] for s in skills))

    assert share("sprout-5m") > share("sprout-1m") > share("sprout-300k")

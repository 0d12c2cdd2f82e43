"""Judging a Hugging Face checkpoint: the skill suites, decoded greedily, and bits per byte."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from transformers import (
    AutoModelForCausalLM,
    AutoTokenizer,
    PreTrainedModel,
    PreTrainedTokenizerBase,
)

from slm_explorer.skills import SkillItem, list_suites, load_suite, matches

NEW_TOKENS = 140
BATCH = 50
WINDOW = 512


def load(folder: Path) -> tuple[PreTrainedModel, PreTrainedTokenizerBase]:
    """Load a checkpoint in float32, so that the score is the weights' and not a kernel's."""
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32).eval()
    return model, AutoTokenizer.from_pretrained(folder, padding_side="left")


@torch.inference_mode()
def answers(
    model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, items: Sequence[SkillItem]
) -> list[str]:
    """Answer each prompt greedily."""
    prompts = [
        tokenizer.apply_chat_template(item.chat(), tokenize=False, add_generation_prompt=True)
        for item in items
    ]
    order = sorted(range(len(items)), key=lambda i: len(prompts[i]))
    texts = [""] * len(items)
    for start in range(0, len(order), BATCH):
        part = order[start : start + BATCH]
        batch = tokenizer(
            [prompts[i] for i in part], return_tensors="pt", padding=True, add_special_tokens=False
        )
        output = model.generate(
            input_ids=batch.input_ids,
            attention_mask=batch.attention_mask,
            max_new_tokens=NEW_TOKENS,
            do_sample=False,
        )
        new = output[:, batch.input_ids.shape[1] :]
        for i, text in zip(
            part, tokenizer.batch_decode(new, skip_special_tokens=True), strict=True
        ):
            texts[i] = text
    return texts


def skill_table(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    assets: Path,
    limit: int | None = None,
) -> dict[str, dict[str, int]]:
    """Return, for each skill, how many of how many prompts are answered right."""
    table = {}
    for skill, path in list_suites(assets).items():
        items = load_suite(path)[:limit]
        given = answers(model, tokenizer, items)
        right = sum(matches(item, text) for item, text in zip(items, given, strict=True))
        table[skill] = {"right": right, "n": len(items)}
    return table


@torch.inference_mode()
def bits_per_byte(model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, text: str) -> float:
    """Return the bits per UTF-8 byte of a text, in windows of 512 tokens that start with the BOS.

    The first token of each window but the BOS is predicted from the BOS alone.
    """
    ids = tokenizer(text, add_special_tokens=False).input_ids
    nats = 0.0
    for start in range(0, len(ids), WINDOW - 1):
        row = torch.tensor([[tokenizer.bos_token_id, *ids[start : start + WINDOW - 1]]])
        logits = model(row).logits[0, :-1]
        nats += torch.nn.functional.cross_entropy(logits, row[0, 1:], reduction="sum").item()
    return nats / math.log(2) / len(text.encode())


def evaluation(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    assets: Path,
    limit: int | None = None,
) -> dict[str, Any]:
    """Return the skill table and the bits per byte of the held-out prose."""
    text = (assets / "evaluation" / "sprout-text.txt").read_text(encoding="utf-8")
    return {
        "skills": skill_table(model, tokenizer, assets, limit),
        "bits_per_byte": round(bits_per_byte(model, tokenizer, text), 4),
    }

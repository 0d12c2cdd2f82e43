"""Writing a trained model as a Hugging Face checkpoint: bf16 safetensors, config, tokenizer."""

from __future__ import annotations

import shutil
from pathlib import Path

import torch
from transformers import GenerationConfig, PreTrainedModel

from .family import SIMILARITY, TEXT_TO_TEXT, Member, checkpoint, tokenizer_folder
from .models import classifier, masked_lm, sentence_encoder, text_to_text


def built(member: Member) -> PreTrainedModel:
    """The member's class with random weights."""
    if member.name == TEXT_TO_TEXT:
        return text_to_text()
    if member.name == SIMILARITY:
        return sentence_encoder()
    return (
        classifier(member.layers) if member.name.endswith("sentiment") else masked_lm(member.layers)
    )


def export(member: Member, work: Path, folder: Path) -> int:
    """Write the last checkpoint of `member` into `folder`; return how many parameters it has."""
    model = built(member)
    model.load_state_dict(torch.load(checkpoint(member.name, work), weights_only=True)["model"])
    if member.name == TEXT_TO_TEXT:
        model.generation_config = GenerationConfig(
            decoder_start_token_id=0, eos_token_id=1, pad_token_id=0
        )
    folder.mkdir(parents=True, exist_ok=True)
    model.to(torch.bfloat16).save_pretrained(folder)
    for path in folder.glob("*.safetensors"):
        path.chmod(0o644)
    for name in ("tokenizer.json", "tokenizer_config.json"):
        shutil.copyfile(tokenizer_folder(member, work) / name, folder / name)
    return int(model.num_parameters())

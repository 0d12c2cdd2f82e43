"""Writing a trained model as a Hugging Face checkpoint: bf16 safetensors, config, tokenizer."""

from __future__ import annotations

import shutil
from pathlib import Path

import torch
from transformers import GenerationConfig, LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

from .family import Member
from .model import export_config


def export(member: Member, work: Path, folder: Path) -> None:
    """Write the last checkpoint of `member` into `folder`."""
    state = torch.load(work / member.name / "checkpoint.pt", weights_only=True)["model"]
    tokenizer = PreTrainedTokenizerFast.from_pretrained(work / "tokenizer")
    special = {
        "bos_token_id": tokenizer.bos_token_id,
        "eos_token_id": tokenizer.eos_token_id,
        "pad_token_id": tokenizer.pad_token_id,
    }
    model = LlamaForCausalLM(LlamaConfig(**export_config(member.shape), **special))
    model.load_state_dict({**state, "lm_head.weight": state["model.embed_tokens.weight"]})
    model.tie_weights()
    model.generation_config = GenerationConfig(**special)
    for stale in folder.glob("model*.safetensors*"):
        stale.unlink()
    # Many hosts take no file over 10 MB; so the largest model comes in two.
    model.to(torch.bfloat16).save_pretrained(folder, max_shard_size="8MB")
    for path in folder.glob("*.safetensors"):
        path.chmod(0o644)
    for name in ("tokenizer.json", "tokenizer_config.json"):
        shutil.copyfile(work / "tokenizer" / name, folder / name)

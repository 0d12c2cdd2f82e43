"""Checkpoint folders written byte by byte, so that each can be wrong in exactly one way."""

from __future__ import annotations

import json
from math import prod
from pathlib import Path

WIDTHS = {"F32": 4, "BF16": 2, "F16": 2, "U8": 1}
LLAMA: dict[str, object] = {
    "model_type": "llama",
    "architectures": ["LlamaForCausalLM"],
    "hidden_size": 64,
    "intermediate_size": 192,
    "num_hidden_layers": 4,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "vocab_size": 2048,
    "max_position_embeddings": 512,
    "tie_word_embeddings": True,
    "rope_parameters": {"rope_type": "default", "rope_theta": 10000.0},
}
TENSORS = {"model.embed_tokens.weight": ("BF16", (2048, 64)), "model.norm.weight": ("BF16", (64,))}
Tensors = dict[str, tuple[str, tuple[int, ...]]]


def safetensors_bytes(tensors: Tensors) -> bytes:
    """A valid file of zeros."""
    header: dict[str, object] = {"__metadata__": {"format": "pt"}}
    end = 0
    for name, (dtype, shape) in tensors.items():
        begin, end = end, end + prod(shape) * WIDTHS[dtype]
        header[name] = {"dtype": dtype, "shape": list(shape), "data_offsets": [begin, end]}
    return with_header(json.dumps(header).encode(), end)


def with_header(header: bytes, data: int) -> bytes:
    return len(header).to_bytes(8, "little") + header + bytes(data)


def write_checkpoint(
    folder: Path, config: dict[str, object] | None = None, tensors: Tensors | None = None
) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "config.json").write_text(json.dumps(LLAMA if config is None else config))
    weights = safetensors_bytes(TENSORS if tensors is None else tensors)
    (folder / "model.safetensors").write_bytes(weights)
    return folder

"""Compressing takes no more memory for a deeper model: one tensor at a time is held."""

from __future__ import annotations

import sys
import threading
from pathlib import Path

import pytest
import torch
from transformers import AutoConfig, AutoModelForCausalLM

from slm_explorer.compress import compress
from slm_explorer.compression.recipes import CompressionResult
from tests.engines.models import build_tokenizer

MB = 10**6
# A layer of this width takes 26 MB in bf16.
WIDE = {"hidden_size": 1024, "intermediate_size": 2816, "num_attention_heads": 16}


def peak(folder: Path, layers: int) -> int:
    """The most memory that compressing a model of so many layers to int4 took to itself."""
    config = AutoConfig.for_model("llama", vocab_size=512, num_hidden_layers=layers, **WIDE)
    source = folder / f"{layers}"
    AutoModelForCausalLM.from_config(config, dtype=torch.bfloat16).save_pretrained(
        source, max_shard_size="100MB"
    )
    build_tokenizer().save_pretrained(source)
    out = folder / f"{layers}-int4"
    *_, result = compress(source, out, "int4", threads=1, cancel=threading.Event())
    assert isinstance(result, CompressionResult)
    assert result.peak_memory_bytes is not None
    return result.peak_memory_bytes


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_a_model_four_times_as_deep_takes_no_more_memory(tmp_path: Path) -> None:
    shallow, deep = peak(tmp_path, 3), peak(tmp_path, 12)  # 80 and 310 MB of weights
    assert deep - shallow < 40 * MB

"""Tiny models for the engines' tests: random weights of many architectures, two tokenizers."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import AutoConfig, AutoModelForCausalLM, PreTrainedTokenizerFast

VOCABULARY = 384
WINDOW = 1024
EOS = 2
TEMPLATE = (
    "{% for m in messages %}<|im_start|>{{ m['role'] }}\n{{ m['content'] }}<|im_end|>\n"
    "{% endfor %}{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
TEXT = (
    "The fox saw the moon over the hill. She asked the owl how far it was, and the owl said: "
    "farther than you can walk. Then the fox sat down and looked at it until the morning came. "
)

_SMALL: dict[str, Any] = {
    "vocab_size": VOCABULARY,
    "hidden_size": 64,
    "intermediate_size": 96,
    "num_hidden_layers": 3,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "max_position_embeddings": WINDOW,
}
_NO_GQA = {key: value for key, value in _SMALL.items() if key != "num_key_value_heads"}

# Every one a small shape of a decoder architecture; what differs is what could go wrong.
ARCHITECTURES: dict[str, dict[str, Any]] = {
    "llama": {**_SMALL, "model_type": "llama"},
    "llama-tied-bias": {
        **_SMALL,
        "model_type": "llama",
        "tie_word_embeddings": True,
        "attention_bias": True,
        "mlp_bias": True,
        "head_dim": 24,
    },
    "llama3-rope": {
        **_SMALL,
        "model_type": "llama",
        "rope_parameters": {
            "rope_type": "llama3",
            "rope_theta": 10000.0,
            "factor": 8.0,
            "low_freq_factor": 1.0,
            "high_freq_factor": 4.0,
            "original_max_position_embeddings": 64,
        },
    },
    "mistral": {**_SMALL, "model_type": "mistral", "sliding_window": None},
    "mistral-sliding": {**_SMALL, "model_type": "mistral", "sliding_window": 16},
    "qwen2": {**_SMALL, "model_type": "qwen2"},
    "qwen3": {**_SMALL, "model_type": "qwen3", "head_dim": 32, "tie_word_embeddings": True},
    "gemma": {**_SMALL, "model_type": "gemma", "head_dim": 32},
    "gemma3_text": {
        **_SMALL,
        "model_type": "gemma3_text",
        "head_dim": 32,
        "sliding_window": 16,
        "layer_types": ["sliding_attention", "full_attention", "sliding_attention"],
    },
    "phi": {**_SMALL, "model_type": "phi"},
    "phi3": {**_SMALL, "model_type": "phi3", "pad_token_id": 0},
    "gpt2": {**_NO_GQA, "model_type": "gpt2", "n_positions": WINDOW},
    "gpt_neo": {
        "model_type": "gpt_neo",
        "vocab_size": VOCABULARY,
        "hidden_size": 64,
        "num_layers": 2,
        "attention_types": [[["global", "local"], 1]],
        "num_heads": 4,
        "window_size": 16,
        "max_position_embeddings": WINDOW,
    },
    "opt": {
        "model_type": "opt",
        "vocab_size": VOCABULARY,
        "hidden_size": 64,
        "ffn_dim": 96,
        "num_hidden_layers": 3,
        "num_attention_heads": 4,
        "max_position_embeddings": WINDOW,
        "word_embed_proj_dim": 64,
    },
    "gptj": {
        "model_type": "gptj",
        "vocab_size": VOCABULARY,
        "n_embd": 64,
        "n_layer": 3,
        "n_head": 4,
        "rotary_dim": 8,
        "n_positions": WINDOW,
    },
    "falcon": {**_NO_GQA, "model_type": "falcon", "alibi": False, "multi_query": True},
    "falcon-alibi": {
        **_NO_GQA,
        "model_type": "falcon",
        "alibi": True,
        "multi_query": False,
        "new_decoder_architecture": False,
        "parallel_attn": False,
    },
    "mpt": {
        "model_type": "mpt",
        "vocab_size": VOCABULARY,
        "d_model": 64,
        "n_heads": 4,
        "n_layers": 3,
        "max_seq_len": WINDOW,
        "expansion_ratio": 2,
    },
    "stablelm": {**_SMALL, "model_type": "stablelm"},
    "olmo2": {**_SMALL, "model_type": "olmo2"},
    "granite": {
        **_SMALL,
        "model_type": "granite",
        "embedding_multiplier": 6.0,
        "logits_scaling": 4.0,
        "residual_multiplier": 0.5,
        "attention_multiplier": 0.1,
    },
    "smollm3": {**_SMALL, "model_type": "smollm3", "pad_token_id": 0},
    "gpt_neox": {**_NO_GQA, "model_type": "gpt_neox"},
    "lfm2": {
        **_SMALL,
        "model_type": "lfm2",
        "layer_types": ["conv", "full_attention", "conv"],
    },
}


def build_tokenizer(*, chat_template: str | None = TEMPLATE) -> PreTrainedTokenizerFast:
    """A byte-level BPE tokenizer of 384 pieces: 256 bytes, merges of TEXT, special tokens."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=VOCABULARY,
        special_tokens=["<|endoftext|>", "<|im_start|>", "<|im_end|>"],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator([TEXT], trainer)
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        bos_token="<|endoftext|>",
        eos_token="<|im_end|>",
        chat_template=chat_template,
    )


def number_tokenizer() -> PreTrainedTokenizerFast:
    """A tokenizer whose token 17 is "17,": a text tells exactly which tokens it was."""
    words = {f"{number},": number for number in range(VOCABULARY)}
    tokenizer = Tokenizer(models.WordLevel(words, unk_token="0,"))
    tokenizer.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer)


def save_model(
    folder: Path,
    architecture: str,
    *,
    tokenizer: PreTrainedTokenizerFast | None = None,
    dtype: torch.dtype = torch.float32,
    **changes: Any,
) -> Path:
    """A checkpoint with random weights, large enough that no two logits are close.

    `changes` override the architecture's configuration.
    """
    values = {**ARCHITECTURES[architecture], **changes}
    config = AutoConfig.for_model(values.pop("model_type"), **values)
    config.bos_token_id = 0
    config.eos_token_id = EOS
    torch.manual_seed(0)
    model = AutoModelForCausalLM.from_config(config, dtype=torch.float32)
    # Found by trial: with these, greedy answers wander over many tokens.
    embedding, matrix = (0.05, 0.2) if config.model_type.startswith("gemma") else (0.3, 0.4)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if parameter.dim() > 1:
                parameter.normal_(0.0, embedding if "embed" in name or "wte" in name else matrix)
            else:
                parameter.normal_(0.0 if name.endswith("bias") else 1.0, 0.1)
    model.to(dtype).save_pretrained(folder)
    (tokenizer or build_tokenizer()).save_pretrained(folder)
    return folder

"""Tiny models with random weights for every use but chatting, put into a Hub cache."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors
from transformers import (
    BertConfig,
    BertForMaskedLM,
    BertForQuestionAnswering,
    BertForSequenceClassification,
    BertModel,
    PreTrainedModel,
    PreTrainedTokenizerFast,
    T5Config,
    T5ForConditionalGeneration,
)

MASKED_CARD = "bert-uncased-l-2-h-128-a-2"
MASKED_NAME = "BERT-Tiny (uncased)"
MASKED_HUB_ID = "google/bert_uncased_L-2_H-128_A-2"
SENTIMENT_HUB_ID = "tests/tiny-sentiment"
ANSWERING_HUB_ID = "tests/tiny-answers"
SENTENCES_HUB_ID = "sentence-transformers/all-MiniLM-L6-v2"
SENTENCES_CARD = "all-minilm-l6-v2"
T5_HUB_ID = "google-t5/t5-small"
T5_CARD = "t5-small"

# Labels come with a model, so they are as trustworthy as a stranger's.
NEVER_HTML_LABEL = "<img src=x onerror=\"document.title='x'\">"

_WORDS = (
    "the a fox owl moon hill lantern harbour soup robot kite wind saw lit went home over and "
    "found was by is of it who where cold good bad not in on at night . , ? ! paris france"
).split()
_SPECIAL = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")
_VOCABULARY = {word: index for index, word in enumerate((*_SPECIAL, *_WORDS))}
_SMALL: dict[str, Any] = {
    "vocab_size": len(_VOCABULARY),
    "hidden_size": 32,
    "intermediate_size": 64,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "max_position_embeddings": 128,
}


def _tokenizer() -> PreTrainedTokenizerFast:
    tokenizer = Tokenizer(models.WordLevel(_VOCABULARY, unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.Lowercase()
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]",
        pair="[CLS] $A [SEP] $B:1 [SEP]:1",
        special_tokens=[("[CLS]", 2), ("[SEP]", 3)],
    )
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        pad_token="[PAD]",
        unk_token="[UNK]",
        cls_token="[CLS]",
        sep_token="[SEP]",
        mask_token="[MASK]",
        model_max_length=128,
    )


def put(cache: Path, hub_id: str, model: PreTrainedModel, tokenizer: Any = None) -> Path:
    """A repository with one revision, as a download leaves it."""
    commit = "1" * 40
    repository = cache / f"models--{hub_id.replace('/', '--')}"
    folder = repository / "snapshots" / commit
    folder.mkdir(parents=True)
    (repository / "refs").mkdir()
    (repository / "refs" / "main").write_text(commit)
    model.save_pretrained(folder)
    (tokenizer or _tokenizer()).save_pretrained(folder)
    return folder


def bert(**changes: Any) -> BertConfig:
    return BertConfig(**{**_SMALL, **changes})


def write_task_models(cache: Path) -> None:
    """One model of each use, and a bare encoder, whose classification head is untrained."""
    torch.manual_seed(3)
    put(cache, MASKED_HUB_ID, BertForMaskedLM(bert()))
    put(cache, SENTENCES_HUB_ID, BertModel(bert()))
    labels = {0: NEVER_HTML_LABEL, 1: "positive"}
    put(
        cache,
        SENTIMENT_HUB_ID,
        BertForSequenceClassification(
            bert(id2label=labels, label2id={name: key for key, name in labels.items()})
        ),
    )
    put(cache, ANSWERING_HUB_ID, BertForQuestionAnswering(bert()))
    t5 = T5Config(
        vocab_size=len(_VOCABULARY),
        d_model=32,
        d_kv=16,
        d_ff=64,
        num_layers=2,
        num_heads=2,
        decoder_start_token_id=0,
        pad_token_id=0,
        eos_token_id=3,
    )
    put(cache, T5_HUB_ID, T5ForConditionalGeneration(t5))

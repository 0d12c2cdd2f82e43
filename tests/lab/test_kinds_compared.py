"""A child beside its parent where neither predicts a next token."""

from __future__ import annotations

import json
import threading
from pathlib import Path
from typing import Any

import pytest
import torch
import transformers
from transformers import AutoConfig, BertForMaskedLM

from slm_explorer.compression import outputs
from slm_explorer.compression.divergence import compare
from slm_explorer.compression.recipes import Divergence
from slm_explorer.compression.streaming import compress_checkpoint
from slm_explorer.errors import UnsupportedModel
from tests.compression.models import OTHERS
from tests.engines.models import EOS, TEXT, build_tokenizer


def save(folder: Path, kind: str, class_name: str, *, masks: bool = True) -> Path:
    """A tiny model of that kind and class, with a tokenizer that frames a text."""
    _, values = OTHERS[kind]
    config = AutoConfig.for_model(kind, **values)
    config.eos_token_id = EOS
    torch.manual_seed(0)
    model: Any = getattr(transformers, class_name)(config)
    model.save_pretrained(folder)
    tokenizer = build_tokenizer()
    if masks:
        tokenizer.mask_token = "<|im_start|>"
    tokenizer.save_pretrained(folder)
    return folder


def compared(parent: Path, folder: Path) -> Divergence:
    child = folder / "child"
    compress_checkpoint(parent, child, "int4", lambda _done, _layer: None, lambda: False)
    return between(parent, child)


def between(parent: Path, child: Path) -> Divergence:
    return compare(
        parent,
        child,
        TEXT * 3,
        window=64,
        threads=1,
        report=lambda _fraction: None,
        stop=threading.Event(),
    )


@pytest.mark.parametrize(
    ("kind", "class_name", "measure"),
    [
        ("bert", "BertForMaskedLM", outputs.MASKED_TOKENS),
        ("roberta", "RobertaForMaskedLM", outputs.MASKED_TOKENS),
        ("modernbert", "ModernBertForMaskedLM", outputs.MASKED_TOKENS),
        ("t5", "T5ForConditionalGeneration", outputs.SECOND_HALVES),
        ("bert", "BertForSequenceClassification", outputs.LABELS),
    ],
)
def test_each_is_asked_what_it_was_made_for(
    kind: str, class_name: str, measure: str, tmp_path: Path
) -> None:
    parent = save(tmp_path / "parent", kind, class_name)
    found = compared(parent, tmp_path)
    assert found.measure == measure
    assert found.kl > 0
    assert 0 <= found.top1_agreement <= 1
    if measure != outputs.LABELS:
        assert [w.tokens for w in found.before] == [w.tokens for w in found.after]
        assert all(w.bytes > 0 and w.nll > 0 for w in (*found.before, *found.after))
    same = between(parent, parent)
    assert same.kl == pytest.approx(0, abs=1e-6)
    assert same.top1_agreement == 1


def test_the_masked_loss_is_the_models_own(tmp_path: Path) -> None:
    parent = save(tmp_path / "parent", "bert", "BertForMaskedLM")
    found = between(parent, parent)
    ids = build_tokenizer()(TEXT * 3, add_special_tokens=False).input_ids[:64]
    hidden = list(range(0, 64, outputs.MASKED))
    seen = torch.tensor([ids])
    seen[0, hidden] = 1  # <|im_start|>
    with torch.no_grad():
        logits = BertForMaskedLM.from_pretrained(parent).eval()(seen).logits[0]
    nll = -sum(float(logits[at].log_softmax(-1)[ids[at]]) for at in hidden)
    assert found.before[0].tokens == len(hidden)
    assert found.before[0].nll == pytest.approx(nll, rel=1e-4)


def test_a_model_that_predicts_nothing_says_so(tmp_path: Path) -> None:
    bare = save(tmp_path / "bare", "bert", "BertModel")
    config = json.loads((bare / "config.json").read_text())
    assert config["architectures"] == ["BertModel"]
    with pytest.raises(UnsupportedModel, match="neither tokens nor labels"):
        between(bare, bare)
    maskless = save(tmp_path / "maskless", "bert", "BertForMaskedLM", masks=False)
    with pytest.raises(UnsupportedModel, match="no mask"):
        between(maskless, maskless)

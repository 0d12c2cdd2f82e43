"""Judging checkpoints by the suites with plain transformers, in float32."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch.nn.functional import normalize
from transformers import (
    AutoModel,
    AutoModelForMaskedLM,
    AutoModelForSeq2SeqLM,
    AutoModelForSequenceClassification,
    AutoTokenizer,
)

from slm_explorer.skills import SkillItem, list_suites, load_suite, matches
from slm_explorer.task_suites import TaskItem, load_task_suite
from slm_explorer.tasks import Classify, Compare, FillMask, Task

from .baselines import BASELINES
from .objectives import mean_vectors
from .suites import SUITES

BATCH = 40
NEW_TOKENS = 64
_LOADERS: dict[Task, Any] = {
    "fill-mask": AutoModelForMaskedLM,
    "text-classification": AutoModelForSequenceClassification,
    "sentence-similarity": AutoModel,
    "text-to-text": AutoModelForSeq2SeqLM,
}


class Judge:
    """A checkpoint that is asked what a suite asks, in batches."""

    def __init__(self, folder: Path, task: Task) -> None:
        self._task = task
        self.tokenizer = AutoTokenizer.from_pretrained(folder)
        self.model = _LOADERS[task].from_pretrained(folder, dtype=torch.float32).eval()

    def answers(self, items: Sequence[TaskItem] | Sequence[SkillItem]) -> list[str]:
        """One answer for each item, in order."""
        texts: list[str] = []
        for start in range(0, len(items), BATCH):
            texts += self._batch(items[start : start + BATCH])
        return texts

    def read(self, texts: list[str]) -> Any:
        return self.tokenizer(texts, return_tensors="pt", padding=True)

    @torch.inference_mode()
    def _batch(self, items: Sequence[TaskItem] | Sequence[SkillItem]) -> list[str]:
        if self._task == "text-to-text":
            batch = self.read(
                [item.messages[-1][1] for item in items if isinstance(item, SkillItem)]
            )
            output = self.model.generate(
                input_ids=batch["input_ids"],
                attention_mask=batch["attention_mask"],
                max_new_tokens=NEW_TOKENS,
                do_sample=False,
            )
            written: list[str] = self.tokenizer.batch_decode(output, skip_special_tokens=True)
            return written
        inputs = [item.input for item in items if isinstance(item, TaskItem)]
        if self._task == "sentence-similarity":
            return [self._most_alike(each.texts) for each in inputs if isinstance(each, Compare)]
        texts = [each.text for each in inputs if isinstance(each, FillMask | Classify)]
        batch = self.read(texts)
        logits = self.model(**batch).logits
        if self._task == "text-classification":
            return [self.model.config.id2label[int(best)] for best in logits.argmax(-1)]
        places = (batch["input_ids"] == self.tokenizer.mask_token_id).float().argmax(-1)
        best = logits[torch.arange(len(texts)), places].argmax(-1)
        return [str(self.tokenizer.decode([token])) for token in best]

    def _most_alike(self, texts: tuple[str, ...]) -> str:
        batch = self.read(list(texts))
        hidden = self.model(**batch).last_hidden_state
        vectors = normalize(mean_vectors(hidden, batch["attention_mask"]), dim=-1)
        return texts[1 + int((vectors[1:] @ vectors[0]).argmax())]


def evaluation(folder: Path, tasks: Sequence[Task], assets: Path) -> dict[str, dict[str, Any]]:
    """How many of how many items of each suite of these tasks the checkpoint has right, and what
    share is right without understanding.
    """
    table: dict[str, dict[str, int]] = {}
    baselines: dict[str, float] = {}
    for task in tasks:
        judge = Judge(folder, task)
        for name in SUITES[task]:
            path = list_suites(assets, task)[name]
            if task == "text-to-text":
                prompts = load_suite(path)
                right = sum(map(matches, prompts, judge.answers(prompts)))
                table[name] = {"right": right, "n": len(prompts)}
                continue
            items = load_task_suite(path, task)
            said = judge.answers(items)
            right = sum(item.answer == each for item, each in zip(items, said, strict=True))
            table[name] = {"right": right, "n": len(items)}
            if name in BASELINES:
                baselines[name] = round(BASELINES[name](items), 4)
    return {"suites": table, "baselines": baselines}

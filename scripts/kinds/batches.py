"""Batches made from their number alone, so that a run that was cut off goes on as if it had not."""

from __future__ import annotations

import random
from dataclasses import dataclass
from typing import Any

import torch
from sprouts.split import Split
from torch import Tensor
from transformers import PreTrainedTokenizerFast

from .paraphrase import changes, scene, tellings
from .reading import long_text, short_text
from .rewriting import TASKS, rewriting
from .sentiment import judgement
from .tokenizer import IGNORED, POSITIONS

SEED = 31_077
MASKED = 0.2
SHORT_TEXTS, LONG_TEXTS = 160, 48
JUDGEMENTS = 192
SCENES, CHANGED = 64, 2
REWRITINGS = {"number_words": 160, "past_tense": 96, "word_order": 32, "summary": 48}


def generator(name: str, step: int) -> random.Random:
    """The random numbers of one step of one kind of batch."""
    return random.Random(f"{SEED} {name} {step}")


def padded(tokenizer: PreTrainedTokenizerFast, texts: list[str]) -> Any:
    """Encode texts as tensors (texts, longest), on the right padded."""
    return tokenizer(
        texts, return_tensors="pt", padding=True, truncation=True, max_length=POSITIONS
    )


@dataclass(frozen=True, slots=True)
class Masked:
    """inputs, attention: (texts, longest); targets: (texts, longest), IGNORED where not masked."""

    inputs: Tensor
    attention: Tensor
    targets: Tensor

    @property
    def tokens(self) -> int:
        return int(self.attention.sum())


def masked_texts(tokenizer: PreTrainedTokenizerFast, step: int) -> list[Masked]:
    """A batch of short texts and one of long ones, so that little of either is padding."""
    rng = generator("masked", step)
    noise = torch.Generator().manual_seed(SEED + step)
    groups = [
        [short_text(rng) for _ in range(SHORT_TEXTS)],
        [long_text(rng) for _ in range(LONG_TEXTS)],
    ]
    return [masked(tokenizer, padded(tokenizer, texts), noise) for texts in groups]


def masked(tokenizer: PreTrainedTokenizerFast, batch: Any, noise: torch.Generator) -> Masked:
    """Choose a fifth of the tokens; of these 80 % become [MASK], 10 % another piece, 10 % stay.

    BERT's way with a larger share, which small models learn faster from (Wettig et al. 2022, arXiv
    2202.08005).
    """
    ids: Tensor = batch["input_ids"]
    special = len(tokenizer.all_special_tokens)
    chosen = (torch.rand(ids.shape, generator=noise) < MASKED) & (ids >= special)
    targets = torch.where(chosen, ids, IGNORED)
    fate = torch.rand(ids.shape, generator=noise)
    other = torch.randint(special, len(tokenizer), ids.shape, generator=noise)
    inputs = torch.where(chosen & (fate < 0.8), tokenizer.mask_token_id, ids)
    inputs = torch.where(chosen & (fate >= 0.9), other, inputs)
    return Masked(inputs, batch["attention_mask"], targets)


def judgements(tokenizer: PreTrainedTokenizerFast, step: int) -> tuple[Any, Tensor]:
    """A batch of sentences for and against, and their labels (sentences,)."""
    rng = generator("sentiment", step)
    drawn = [judgement(rng, Split.TRAIN) for _ in range(JUDGEMENTS)]
    labels = torch.tensor([int(each.positive) for each in drawn])
    return padded(tokenizer, [each.text for each in drawn]), labels


def scenes(tokenizer: PreTrainedTokenizerFast, step: int) -> Any:
    """Texts for contrast: all scenes told, all told anew, and then the changes of each."""
    rng = generator("similarity", step)
    drawn = [scene(rng, Split.TRAIN) for _ in range(SCENES)]
    pairs = [tellings(rng, each, 2) for each in drawn]
    changed = [
        tellings(rng, other, 1)[0]
        for each in drawn
        for other in changes(rng, each, CHANGED, Split.TRAIN)
    ]
    return padded(tokenizer, [*(a for a, _ in pairs), *(b for _, b in pairs), *changed])


def rewritings(tokenizer: PreTrainedTokenizerFast, step: int) -> list[tuple[Any, Tensor]]:
    """Inputs and targets: the tasks with short texts together, and the summaries alone."""
    rng = generator("rewriting", step)
    drawn = {
        task: [rewriting(rng, task, Split.TRAIN) for _ in range(REWRITINGS[task])] for task in TASKS
    }
    long = drawn.pop("summary")
    groups = [[each for group in drawn.values() for each in group], long]
    batches = []
    for group in groups:
        written = padded(tokenizer, [each.target for each in group])
        targets = written["input_ids"].masked_fill(written["attention_mask"] == 0, IGNORED)
        batches.append((padded(tokenizer, [each.source for each in group]), targets))
    return batches

"""Batches made from their number alone, so that a run that was cut off goes on as if it had not."""

from __future__ import annotations

import random
from dataclasses import dataclass
from typing import Any

import torch
from sprouts.split import Split
from sprouts.world import COPY_WORDS, HERO_NAMES, OPPOSITES
from torch import Tensor
from transformers import PreTrainedTokenizerFast

from .paraphrase import changes, scene, tellings
from .reading import long_text, short_text
from .rewriting import TASKS, rewriting
from .sentiment import judgement
from .tokenizer import IGNORED, POSITIONS

SEED = 31_077
# The share masked of the words that stories and facts are about, and of all other pieces.
MASKED_CONTENT, MASKED_OTHER = 0.3, 0.1
SHORT_TEXTS, LONG_TEXTS = 128, 12
_CALENDAR = (
    "Monday Tuesday Wednesday Thursday Friday Saturday Sunday January February March April May "
    "June July August September October November December happy proud glad calm thankful"
).split()
JUDGEMENTS = 96
SCENES, CHANGED = 32, 2
REWRITINGS = {"number_words": 80, "past_tense": 48, "word_order": 16, "summary": 24}


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
    shares = mask_shares(tokenizer)
    return [masked(tokenizer, padded(tokenizer, texts), shares, noise) for texts in groups]


def mask_shares(tokenizer: PreTrainedTokenizerFast) -> Tensor:
    """How often each piece is masked (vocabulary,): never marks, most often content words.

    A story tells its content words more than once, so most of what is masked can be found by
    looking back; salient spans are learnt from faster (Guu et al. 2020, arXiv 2002.08909).
    """
    shares = torch.full((len(tokenizer),), MASKED_OTHER)
    told = {word.casefold() for word in (*HERO_NAMES, *COPY_WORDS, *_CALENDAR)}
    told |= {word for pair in OPPOSITES for word in pair}
    vocabulary = tokenizer.get_vocab()
    shares[[vocabulary[word] for word in sorted(told) if word in vocabulary]] = MASKED_CONTENT
    shares[: len(tokenizer.all_special_tokens)] = 0
    return shares


def masked(
    tokenizer: PreTrainedTokenizerFast, batch: Any, shares: Tensor, noise: torch.Generator
) -> Masked:
    """Choose tokens by their shares; of these 80 % become [MASK], 10 % another piece, 10 % stay."""
    ids: Tensor = batch["input_ids"]
    special = len(tokenizer.all_special_tokens)
    chosen = torch.rand(ids.shape, generator=noise) < shares[ids]
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

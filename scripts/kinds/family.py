"""The models: what each one learns, from which other one it starts, how long and how fast."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import cast

from transformers import BertForMaskedLM, BertForSequenceClassification, PreTrainedTokenizerFast

from .models import LAYERS, STUDENT_LAYERS, classifier, masked_lm
from .objectives import (
    Learner,
    distilled_language,
    masked_language,
    sentiment,
    similarity,
    text_in_text_out,
    trained,
)


@dataclass(frozen=True, slots=True)
class Member:
    """One model and its training plan.

    layers: of each stack. start: the model whose body it starts from. teacher: the model whose
    predictions it learns from. matrix_lr, other_lr: for Muon and for AdamW. note: what the card
    must say besides.
    """

    name: str
    layers: int
    steps: int
    start: str | None = None
    teacher: str | None = None
    matrix_lr: float = 0.007
    other_lr: float = 0.0015
    seed: int = 7
    note: str = ""


ENCODER, SENTIMENT, SIMILARITY = (
    "sprout-encoder",
    "sprout-encoder-sentiment",
    "sprout-encoder-similarity",
)
DISTILLED, DISTILLED_SENTIMENT = "sprout-encoder-distilled", "sprout-encoder-distilled-sentiment"
TEXT_TO_TEXT = "sprout-t5"

_LONGER_NUMBERS = (
    "The first 550 steps had numbers of up to six digits, and as many sentences to order as "
    "numbers and verbs; and up to step 800 each step had twice as much. Then came more of the "
    "numbers, of up to four digits, since copying is learnt last. Up to step 950 the rates were "
    "0.02 and 0.004, too high for so little text a step; up to step 1275 the biases of distances "
    "learnt no faster than other weights, and digits came out in the wrong order."
)

_MIXES = (
    "The first 725 steps read twice as many texts each and had a fifth of all pieces masked, "
    "whatever they were; up to step 1850 they had more stories, and 40% of content masked. Neither "
    "learnt to look back in the text. Up to step 875 the rates were 0.02 and 0.004, too high for "
    "so little text a step. At step 1175 the table of positions, random at first, was put back to "
    "sinusoids."
)

FAMILY = {
    member.name: member
    for member in (
        Member(ENCODER, LAYERS, steps=2800, note=_MIXES),
        Member(
            SENTIMENT,
            LAYERS,
            steps=600,
            start=ENCODER,
            matrix_lr=0.004,
            other_lr=0.001,
            note="Its length was changed twice while it ran, so the rate in the log jumps.",
        ),
        Member(SIMILARITY, LAYERS, steps=500, start=ENCODER, matrix_lr=0.004, other_lr=0.001),
        Member(
            DISTILLED,
            STUDENT_LAYERS,
            steps=500,
            start=ENCODER,
            teacher=ENCODER,
            matrix_lr=0.006,
            other_lr=0.0015,
        ),
        Member(
            DISTILLED_SENTIMENT,
            STUDENT_LAYERS,
            steps=600,
            start=DISTILLED,
            teacher=SENTIMENT,
            matrix_lr=0.004,
            other_lr=0.001,
            note="Its length was changed while it ran, so the rate in the log jumps.",
        ),
        Member(TEXT_TO_TEXT, 4, steps=2900, note=_LONGER_NUMBERS),
    )
}


def tokenizer_folder(member: Member, work: Path) -> Path:
    """Where the member's tokenizer lies in the work folder."""
    return work / ("kinds-t5-tokenizer" if member.name == TEXT_TO_TEXT else "kinds-tokenizer")


def checkpoint(name: str, work: Path) -> Path:
    """Where the training of a member keeps what it learned."""
    return work / f"kinds-{name}" / "checkpoint.pt"


def learner(member: Member, work: Path) -> Learner:
    """Build the member as it is before its first step."""
    tokenizer = PreTrainedTokenizerFast.from_pretrained(tokenizer_folder(member, work))
    if member.name == ENCODER:
        return masked_language(tokenizer)
    if member.name == TEXT_TO_TEXT:
        return text_in_text_out(tokenizer)
    assert member.start is not None
    model = trained(masked_lm(FAMILY[member.start].layers), checkpoint(member.start, work))
    start = cast(BertForMaskedLM, model)
    if member.name == DISTILLED:
        return distilled_language(tokenizer, start, member.layers)
    if member.name == SIMILARITY:
        return similarity(tokenizer, start)
    teacher: BertForSequenceClassification | None = None
    if member.teacher is not None:
        taught = trained(classifier(), checkpoint(member.teacher, work))
        teacher = cast(BertForSequenceClassification, taught)
    return sentiment(tokenizer, start, member.layers, teacher)

"""The members of the family: their shapes, and how long and how fast each one learns."""

from __future__ import annotations

from dataclasses import dataclass

from .model import Shape


@dataclass(frozen=True, slots=True)
class Member:
    """One model of the family and its training plan.

    teacher: the model that it learns from. looking_back: the weight of the loss on answers that
    rest on looking back in the text. review: further steps in which these weigh more, after the
    rate has fallen to zero once. note: what the card must say besides. matrix_lr, other_lr: for
    Muon and for AdamW.
    """

    name: str
    shape: Shape
    steps: int
    teacher: str | None = None
    seed: int = 7
    matrix_lr: float = 0.02
    other_lr: float = 0.004
    looking_back: float = 1.0
    review: int = 0
    note: str = ""


_SMALLEST = Shape(hidden=64, layers=4, mlp=192, heads=4, kv_heads=2)

FAMILY = {
    member.name: member
    for member in (
        Member(
            "sprout-5m",
            Shape(hidden=256, layers=6, mlp=768, heads=8, kv_heads=4),
            steps=2000,
            review=2100,
            note="Trained in three goes: 2000 steps and a review of 450 at first, then a review up "
            "to 1250 and one up to the end, each at a rate raised once more, as the log shows.",
        ),
        Member(
            "sprout-1m",
            Shape(hidden=128, layers=5, mlp=384, heads=4, kv_heads=2),
            steps=1080,
            review=1150,
            looking_back=2.0,
            note="Trained in three goes: 420 steps and a review of 150, then on to 1080 and 120, "
            "as the log shows, then on from there to the end, at a rate raised each time; 120 "
            "batches of the review's text were so met twice.",
        ),
        Member("sprout-300k", _SMALLEST, steps=1500, review=730, looking_back=2.0),
        Member(
            "sprout-300k-distilled",
            _SMALLEST,
            steps=1500,
            review=730,
            looking_back=2.0,
            teacher="sprout-5m",
        ),
    )
}

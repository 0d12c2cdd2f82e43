"""Sentences that are for or against something, put together so that words alone do not tell.

A clause is a pattern and a word: `the soup was not dull` is the pattern `not` with the word `dull`.
What is held out are such pairs. So the test has only words and patterns that were learnt, in pairs
that were not: to know them the model must have learnt what negation does, not which words are good.
"""

from __future__ import annotations

import random
from dataclasses import dataclass

from sprouts.split import Split, split_of
from sprouts.world import HERO_NAMES, NAMES, article

LABELS = ("NEGATIVE", "POSITIVE")

_GOOD = (
    "good great lovely wonderful nice excellent splendid delightful charming pleasant superb "
    "amazing fantastic perfect beautiful brilliant marvellous terrific enjoyable cheerful"
).split()
_BAD = (
    "bad awful terrible horrible dreadful boring dull poor nasty unpleasant disappointing dismal "
    "ugly lousy miserable annoying tedious gloomy hopeless rotten"
).split()
_LIKED = "loved liked enjoyed adored admired praised".split()
_HATED = "hated disliked regretted loathed despised cursed".split()
_JOYS = "joy delight pleasure treat success triumph gem wonder".split()
_WOES = "bore mess disaster failure shame nuisance pity flop".split()
GOOD_WORDS = frozenset((*_GOOD, *_LIKED, *_JOYS))
BAD_WORDS = frozenset((*_BAD, *_HATED, *_WOES))

SUBJECTS = (
    "story book song game dance party trip picnic school play film garden castle market harbour "
    "island soup cake bread pizza salad cheese pie tea chocolate hat coat kite drum lantern clock "
    "boat bell flute ball puzzle robot train ride show music painting dinner breakfast birthday "
    "holiday lesson walk race concert museum room house bed chair"
).split()
OWNERS = ("the", "the", "the", "my", "our", "this", "that", "her", "his")
PEOPLE = ("I", "we", "they", "you", "my mother", "my friend", "the farmer", "the king", "the owl")
VERY = ("very", "really", "so", "quite", "truly", "simply", "rather")

# Each pattern: how it is written, and whether the clause means the opposite of its word.
# S: what is judged; N: the same without an owner; A: the word; V: a strengthening word; P: a person
_OF_ADJECTIVES = {
    "is": ("S was A", False),
    "very": ("S was V A", False),
    "not": ("S was not A", True),
    "not at all": ("S was not A at all", True),
    "never": ("S was never A", True),
    "far from": ("S was far from A", True),
    "anything but": ("S was anything but A", True),
    "hardly": ("S was hardly A", True),
    "not think": ("P did not think that S was A", True),
    "nobody calls": ("nobody could call S A", True),
    "not true": ("it is not true that S was A", True),
    "agreed": ("everybody agreed that S was A", False),
    "still": ("P must say that S was A", False),
    "turned out": ("S turned out to be A", False),
    "double": ("it is not true that S was not A", False),
    "nobody says not": ("nobody could say that S was not A", False),
    "wrong": ("they told me that S was A, and they were wrong", True),
    "right": ("they told me that S was A, and they were right", False),
    "what a": ("what AN N", False),
    "as expected": ("S was just as A as we thought", False),
}
_OF_VERBS = {
    "person": ("P A S", False),
    "everybody": ("everybody A S", False),
    "nobody": ("nobody A S", True),
    "person never": ("P never A S", True),
    "few": ("hardly anybody A S", True),
    "always": ("P always A S", False),
    "no longer": ("P no longer A S", True),
    "cannot say": ("nobody can say that P A S", True),
}
_OF_NOUNS = {
    "noun": ("S was AN", False),
    "not noun": ("S was not AN", True),
    "noun after all": ("S turned out to be AN", False),
    "no one calls": ("no one could call S AN", True),
    "real noun": ("S was a real A", False),
    "by no means": ("S was by no means AN", True),
}
_PATTERNS = tuple(
    (name, written, flips, words)
    for table, words in (
        (_OF_ADJECTIVES, (_GOOD, _BAD)),
        (_OF_VERBS, (_LIKED, _HATED)),
        (_OF_NOUNS, (_JOYS, _WOES)),
    )
    for name, (written, flips) in table.items()
)


@dataclass(frozen=True, slots=True)
class Judgement:
    """A sentence and whether it is for (True) what it speaks of."""

    text: str
    positive: bool

    @property
    def label(self) -> str:
        return LABELS[self.positive]


# So many of the negations that are drawn for training are drawn anew, since people say most things
# plainly. Where both are as frequent, a word tells nothing by itself, and none is ever learnt.
PLAIN = 0.7


def _clause(rng: random.Random, split: Split, positive: bool) -> str:
    """A clause with this meaning, whose pattern and word are a pair of the split."""
    while True:
        name, written, flips, words = rng.choice(_PATTERNS)
        if flips and split is Split.TRAIN and rng.random() < PLAIN:
            continue
        word = rng.choice(words[positive is flips])
        if split_of(("sentiment", name, word)) is split:
            return _write(rng, written, word)


def _write(rng: random.Random, written: str, word: str) -> str:
    thing = rng.choice(SUBJECTS)
    parts = {
        "S": f"{rng.choice(OWNERS)} {thing}",
        "N": thing,
        "AN": article(word),
        "A": word,
        "V": rng.choice(VERY),
        "P": rng.choice((*PEOPLE, rng.choice(NAMES), rng.choice(HERO_NAMES))),
    }
    marked = written.replace(",", " ,").split()
    return " ".join(parts.get(each, each) for each in marked).replace(" ,", ",")


def judgement(rng: random.Random, split: Split) -> Judgement:
    """Draw a sentence of one or two clauses; in a contrast, the main clause decides."""
    positive = rng.random() < 0.5
    main = _clause(rng, split, positive)
    draw = rng.random()
    if draw < 0.45:
        text = main
    elif draw < 0.65:
        text = f"{_clause(rng, split, not positive)}, but {main}"
    elif draw < 0.75:
        text = f"although {_clause(rng, split, not positive)}, {main}"
    elif draw < 0.85:
        text = f"{main}, although {_clause(rng, split, not positive)}"
    else:
        text = f"{_clause(rng, split, positive)}, and {main}"
    end = rng.choice((".", ".", ".", "!"))
    return Judgement(f"{text[0].upper()}{text[1:]}{end}", positive)


def by_counting(text: str) -> bool | None:
    """Judge by counting good and bad words, as if order did not matter; None where they tie."""
    words = text.casefold().replace(",", " ").strip(".!").split()
    good = sum(word in GOOD_WORDS for word in words)
    bad = sum(word in BAD_WORDS for word in words)
    return None if good == bad else good > bad

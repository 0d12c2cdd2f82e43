"""Spelling, copying and opposites."""

from __future__ import annotations

import random
from collections.abc import Iterator

from .exercise import Exercise, draw, listing
from .split import Key, Split
from .world import COPY_WORDS, OPPOSITES, SPELL_WORDS, invented_word


def spell(rng: random.Random, split: Split) -> Exercise:
    """Spell a word letter by letter; held-out words are invented ones."""

    def candidates() -> Iterator[tuple[Key, bool]]:
        while True:
            known = rng.random() < 0.2
            word = rng.choice(SPELL_WORDS) if known else invented_word(rng)
            yield ("spell", word), not known

    key = draw(split, candidates())
    word = str(key[1])
    user = rng.choice(
        (
            "Spell {w}.", "Spell the word {w}.", "How do you spell {w}?", "Can you spell {w}?",
            "Spell {w}, please.", "What letters are in {w}?",
        )
    )  # fmt: skip
    return Exercise("spell", user.format(w=word), " ".join(word), key)


def copy(rng: random.Random, split: Split) -> Exercise:
    """Repeat three to eight words, one in five of them invented."""

    def candidates() -> Iterator[tuple[Key, bool]]:
        while True:
            words = (
                invented_word(rng) if rng.random() < 0.2 else rng.choice(COPY_WORDS)
                for _ in range(rng.randint(3, 8))
            )
            yield ("copy", *words), True

    key = draw(split, candidates())
    text = " ".join(map(str, key[1:]))
    user = rng.choice(
        (
            "Repeat after me: {t}", "Say this: {t}", "Copy these words: {t}", "Please repeat: {t}",
            "Say after me: {t}", "Write this again: {t}", "Echo: {t}",
        )
    )  # fmt: skip
    return Exercise("copy", user.format(t=text), text, key)


_OPPOSITE = {a: b for pair in OPPOSITES for a, b in (pair, pair[::-1])}


def opposites(rng: random.Random, split: Split) -> Exercise:
    """Give the opposites of one to three words; what is held out are combinations."""

    def candidates() -> Iterator[tuple[Key, bool]]:
        while True:
            count = rng.choice((1, 1, 1, 2, 2, 3))
            yield ("opposites", *sorted(rng.sample(sorted(_OPPOSITE), count))), count > 1

    key = draw(split, candidates())
    words = rng.sample([str(word) for word in key[1:]], len(key) - 1)
    answers = [_OPPOSITE[word] for word in words]
    if len(words) == 1:
        user = rng.choice(
            (
                "What is the opposite of {w}?", "Give me the opposite of {w}.",
                "The opposite of {w}?",
                "What word means the opposite of {w}?", "Tell me the opposite of {w}.",
            )
        )  # fmt: skip
        answer = f"The opposite of {words[0]} is {answers[0]}."
    else:
        user = rng.choice(
            (
                "What are the opposites of {w}?", "Give me the opposites of {w}.",
                "Tell me the opposites of {w}.", "Name the opposites of {w}.",
            )
        )  # fmt: skip
        answer = f"The opposites are {listing(answers)}."
    return Exercise("opposites", user.format(w=listing(words)), answer, key)

"""Facts of the small world, and questions about what it does not hold."""

from __future__ import annotations

import random
from collections.abc import Iterator

from .exercise import UNKNOWN_ANSWER, Exercise, draw
from .split import Key, Split
from .world import (
    CITIES,
    COPY_WORDS,
    FACT_BY_KEY,
    FACTS,
    FOODS,
    NAMES,
    OPPOSITES,
    Fact,
    article,
    invented_word,
)

_ASK: dict[str, tuple[str, ...]] = {
    "capital": (
        "what is the capital of {s}?", "which city is the capital of {s}?",
        "{s} has which capital?",
        "can you name the capital of {s}?", "tell me the capital of {s}.", "what is {s}'s capital?",
    ),
    "sound": (
        "what does {a} say?", "what sound does {a} make?", "which sound does {a} make?",
        "how does {a} sound?", "tell me what {a} says.", "what noise does {a} make?",
    ),
    "legs": (
        "how many legs does {a} have?", "how many legs are there on {a}?", "{a} has how many legs?",
        "tell me how many legs {a} has.", "count the legs of {a}.",
        "what number of legs does {a} have?",
    ),
    "young": (
        "what is a young {s} called?", "what do you call a baby {s}?", "what is a baby {s} called?",
        "what is the name for a young {s}?", "tell me what a baby {s} is called.",
        "how do you call a young {s}?",
    ),
    "colour": (
        "what colour is {s}?", "which colour is {s}?", "what is the colour of {s}?",
        "tell me the colour of {s}.", "what color is {s}?", "{s} has what colour?",
    ),
    "next day": (
        "what day comes after {s}?", "which day follows {s}?", "what is the day after {s}?",
        "tell me the day after {s}.", "{s} is followed by which day?", "after {s} comes which day?",
    ),
    "next month": (
        "what month comes after {s}?", "which month follows {s}?", "what is the month after {s}?",
        "tell me the month after {s}.", "{s} is followed by which month?",
        "after {s} comes which month?",
    ),
    "job": (
        "what does {a} do?", "what is the work of {a}?", "what is the job of {a}?",
        "tell me what {a} does.", "what work does {a} do?", "how does {a} spend the day?",
    ),
    "home": (
        "where does {a} live?", "what is the home of {a}?", "in what does {a} live?",
        "tell me where {a} lives.", "where can I find {a}?", "what does {a} live in?",
    ),
    "count": (
        "how many {p} are there in {w}?", "how many {p} does {w} have?", "how many {p} are in {w}?",
        "tell me how many {p} are in {w}.", "what is the number of {p} in {w}?",
        "count the {p} in {w}.",
    ),
}  # fmt: skip


def ask(fact: Fact, phrasing: int) -> str:
    """Ask for a fact in one of six phrasings, starting in lower case."""
    part, _, whole = fact.subject.partition("|")
    return _ASK[fact.relation][phrasing].format(s=part, p=part, w=whole, a=article(part))


def capitalised(text: str) -> str:
    """Return the text with a capital first letter."""
    return text[0].upper() + text[1:]


def facts(rng: random.Random, split: Split) -> Exercise:
    """Ask for one fact, or two at once; held out are phrasings of a fact and pairs of facts.

    No fact is held out as such, since nobody can guess it: each is met in other phrasings.
    """

    def candidates() -> Iterator[tuple[Key, bool]]:
        while True:
            one = rng.choice(FACTS)
            if rng.random() < 0.65:
                yield ("facts", *one.key, rng.randrange(6)), True
            else:
                two = rng.choice(FACTS)
                if one.key < two.key:
                    yield ("facts", *one.key, *two.key), True

    key = draw(split, candidates())
    if len(key) == 4:
        fact, phrasing = _fact(key[1], key[2]), int(key[3])
        return Exercise("facts", capitalised(ask(fact, phrasing)), fact.answer, key)
    pair = [_fact(key[1], key[2]), _fact(key[3], key[4])]
    rng.shuffle(pair)
    first, second = (ask(fact, 0).rstrip("?") for fact in pair)
    user = f"{capitalised(first)} and {second}?"
    return Exercise("facts", user, f"{pair[0].answer} {pair[1].answer}", key)


def _fact(relation: str | int, subject: str | int) -> Fact:
    return FACT_BY_KEY[str(relation), str(subject)]


_ASK_UNKNOWN = (
    "Who is {W}?", "What is {a}?", "What is the capital of {W}?", "Where is {W}?",
    "Tell me about {W}.",
    "How many legs does {a} have?", "What sound does {a} make?", "What is a young {w} called?",
    "Where does {a} live?", "What colour is {a}?", "What does {a} do?", "How old is {W}?",
    "What is the opposite of {w}?", "When was {W} born?", "What does {w} mean?", "Do you know {W}?",
    "Who wrote {W}?", "How tall is {W}?",
)  # fmt: skip
_OUT_OF_WORLD = (
    "What will the weather be in {city} {when}?", "Who won the game {when}?",
    "How do I cook {food}?",
    "How far is it from {city} to {other}?", "What time is it in {city}?", "How old is {name}?",
    "Write a poem about {word}.", "Explain {word} to me.", "Why is {word} {adjective}?",
    "Translate {word} into French.", "How much does a {word} cost?", "Who invented the {word}?",
    "Write a program about {word}.", "What is the history of {city}?",
    "Where did {name} go {when}?",
    "How many people live in {city}?", "What is the best {word} in {city}?", "Who is {name}?",
    "What do you think about {word}?", "How do I make a {word}?", "Why did {name} go to {city}?",
)  # fmt: skip


def unknown(rng: random.Random, split: Split) -> Exercise:
    """Ask what the world does not hold: about invented names, or about things outside of it."""

    def candidates() -> Iterator[tuple[Key, bool]]:
        while True:
            if rng.random() < 0.6:
                yield ("unknown", "invented", invented_word(rng)), True
            else:
                yield ("unknown", "outside", _outside(rng)), True

    key = draw(split, candidates())
    subject = str(key[2])
    if key[1] == "outside":
        return Exercise("unknown", subject, UNKNOWN_ANSWER, key)
    user = rng.choice(_ASK_UNKNOWN).format(w=subject, W=subject.capitalize(), a=article(subject))
    return Exercise("unknown", user, UNKNOWN_ANSWER, key)


_ADJECTIVES = sorted(word for pair in OPPOSITES for word in pair)


def _outside(rng: random.Random) -> str:
    city, other = rng.sample(CITIES, 2)
    return rng.choice(_OUT_OF_WORLD).format(
        city=city,
        other=other,
        when=rng.choice(("today", "yesterday", "tomorrow", "last week", "next year")),
        adjective=rng.choice(_ADJECTIVES),
        word=rng.choice(COPY_WORDS),
        food=rng.choice(FOODS),
        name=rng.choice(NAMES),
    )

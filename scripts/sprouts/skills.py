"""One generator for each skill that is about a single question and its answer.

Each takes a random generator and a split, and returns an exercise whose key lies in that split.
The skills that span several turns are in `conversation.py`.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from .split import Key, Split, split_of
from .world import (
    CITIES,
    COPY_WORDS,
    FACT_BY_KEY,
    FACTS,
    FOODS,
    NAMES,
    OPPOSITES,
    SPELL_WORDS,
    Fact,
    article,
    invented_word,
)

UNKNOWN_ANSWER = "I am sorry, I do not know that."


@dataclass(frozen=True, slots=True)
class Exercise:
    """One user message with its only right answer; `key` says what it is about."""

    skill: str
    user: str
    answer: str
    key: Key


def listing(words: list[str]) -> str:
    """Join words as `a, b and c`."""
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} and {words[-1]}"


def _draw(split: Split, candidates: Iterator[tuple[Key, bool]]) -> Key:
    """Return the first candidate key in the split; `False` marks keys that are never held out."""
    for key, may_be_held_out in candidates:
        if (split_of(key) if may_be_held_out else Split.TRAIN) is split:
            return key
    raise RuntimeError("candidates ended")


def two_steps(a: int, b: int) -> bool:
    """Say whether adding or taking away `b` needs both a tens and a ones step.

    Only such problems are held out: the steps that a worked answer writes down, such as
    `27 + 30` and `57 + 5`, are themselves problems, and must not give a held-out one away.
    """
    return min(a, b) > 10 and a % 10 != 0 and b % 10 != 0


def worked_sum(a: int, op: str, b: int) -> str:
    """Write the steps and the answer of `a + b` or `a - b`: the tens first, then the ones."""
    steps = [part for part in (b - b % 10, b % 10) if part] or [0]
    written: list[str] = []
    total = a
    for step in steps:
        result = total + step if op == "+" else total - step
        written.append(f"{total} {op} {step} = {result}")
        total = result
    return f"{', '.join(written)}. The answer is {total}."


_PLUS = (
    "What is {a} + {b}?", "What is {a} plus {b}?", "{a} + {b}", "{a} + {b} = ?", "Add {a} and {b}.",
    "How much is {a} + {b}?", "Calculate {a} + {b}.", "Can you add {a} and {b}?",
    "I have {a} apples and get {b} more. How many apples do I have?",
    "There are {a} birds in a tree and {b} more come. How many birds are there?",
    "What is the sum of {a} and {b}?",
)  # fmt: skip
_MINUS = (
    "What is {a} - {b}?", "What is {a} minus {b}?", "{a} - {b}", "{a} - {b} = ?",
    "Take {b} away from {a}.", "How much is {a} - {b}?", "Calculate {a} - {b}.",
    "I have {a} apples and eat {b}. How many apples are left?",
    "There are {a} birds in a tree and {b} fly away. How many birds are left?",
    "Subtract {b} from {a}.",
)  # fmt: skip


def arithmetic(rng: random.Random, split: Split) -> Exercise:
    """Add, or take a smaller number from a larger one, both from 0 to 99, in written steps."""

    def candidates() -> Iterator[tuple[Key, bool]]:
        while True:
            a, b = rng.randrange(100), rng.randrange(100)
            if rng.random() < 0.5:
                yield ("arithmetic", "+", min(a, b), max(a, b)), two_steps(a, b)
            else:
                yield ("arithmetic", "-", max(a, b), min(a, b)), two_steps(a, b)

    key = _draw(split, candidates())
    op, a, b = str(key[1]), int(key[2]), int(key[3])
    if op == "+" and rng.random() < 0.5:
        a, b = b, a
    user = rng.choice(_PLUS if op == "+" else _MINUS).format(a=a, b=b)
    return Exercise("arithmetic", user, worked_sum(a, op, b), key)


def times(rng: random.Random, split: Split) -> Exercise:  # noqa: ARG001
    """Multiply within the table of ten: learnt by heart, so never held out and not a suite."""
    a, b = rng.randrange(11), rng.randrange(11)
    user = rng.choice(("What is {a} x {b}?", "What is {a} times {b}?", "{a} * {b}", "{a} x {b}"))
    answer = f"{a} x {b} = {a * b}. The answer is {a * b}."
    return Exercise("times", user.format(a=a, b=b), answer, ("times", a, b))


def compare(rng: random.Random, split: Split) -> Exercise:
    """Say which of two numbers from 0 to 99 is larger or smaller, or that they are equal."""

    def candidates() -> Iterator[tuple[Key, bool]]:
        while True:
            a = rng.randrange(100)
            near = max(0, min(99, a + rng.randint(-9, 9)))
            b = rng.choice((a, near, near, *(rng.randrange(100) for _ in range(6))))
            yield ("compare", min(a, b), max(a, b)), True

    key = _draw(split, candidates())
    a, b = int(key[1]), int(key[2])
    if rng.random() < 0.5:
        a, b = b, a
    word = rng.choice(("larger", "smaller"))
    if rng.random() < 0.3:
        return Exercise("compare", f"Is {a} {word} than {b}?", _is_than(a, word, b), key)
    user = rng.choice(
        (
            f"Which is {word}, {a} or {b}?",
            f"Which number is {word}: {a} or {b}?",
            f"What is {word}, {a} or {b}?",
            f"Compare {a} and {b}. Which one is {word}?",
        )
    )
    if a == b:
        return Exercise("compare", user, f"{a} and {b} are equal.", key)
    first, second = (a, b) if (a > b) == (word == "larger") else (b, a)
    return Exercise("compare", user, f"{first} is {word} than {second}.", key)


def _is_than(a: int, word: str, b: int) -> str:
    if a == b:
        return f"No, {a} and {b} are equal."
    true_word = "larger" if a > b else "smaller"
    return f"{'Yes' if word == true_word else 'No'}, {a} is {true_word} than {b}."


def sort(rng: random.Random, split: Split) -> Exercise:
    """Put three to five different numbers from 0 to 99 in order."""

    def candidates() -> Iterator[tuple[Key, bool]]:
        while True:
            yield ("sort", *sorted(rng.sample(range(100), rng.randint(3, 5)))), True

    key = _draw(split, candidates())
    ordered = [int(number) for number in key[1:]]
    shuffled = ", ".join(map(str, rng.sample(ordered, len(ordered))))
    if rng.random() < 0.7:
        user = rng.choice(
            (
                "Sort these numbers: {n}.", "Sort {n}.", "Put these numbers in order: {n}.",
                "Sort {n} from smallest to largest.", "Order these from small to large: {n}.",
            )
        )  # fmt: skip
    else:
        ordered.reverse()
        user = rng.choice(
            ("Sort {n} from largest to smallest.", "Order these from large to small: {n}.")
        )
    return Exercise("sort", user.format(n=shuffled), ", ".join(map(str, ordered)), key)


def spell(rng: random.Random, split: Split) -> Exercise:
    """Spell a word letter by letter; held-out words are invented ones."""

    def candidates() -> Iterator[tuple[Key, bool]]:
        while True:
            known = rng.random() < 0.2
            word = rng.choice(SPELL_WORDS) if known else invented_word(rng)
            yield ("spell", word), not known

    key = _draw(split, candidates())
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

    key = _draw(split, candidates())
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

    key = _draw(split, candidates())
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

    key = _draw(split, candidates())
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

    key = _draw(split, candidates())
    subject = str(key[2])
    if key[1] == "outside":
        return Exercise("unknown", subject, UNKNOWN_ANSWER, key)
    user = rng.choice(_ASK_UNKNOWN).format(w=subject, W=subject.capitalize(), a=article(subject))
    return Exercise("unknown", user, UNKNOWN_ANSWER, key)


def _outside(rng: random.Random) -> str:
    city, other = rng.sample(CITIES, 2)
    return rng.choice(_OUT_OF_WORLD).format(
        city=city,
        other=other,
        when=rng.choice(("today", "yesterday", "tomorrow", "last week", "next year")),
        adjective=rng.choice(sorted(_OPPOSITE)),
        word=rng.choice(COPY_WORDS),
        food=rng.choice(FOODS),
        name=rng.choice(NAMES),
    )


SINGLE_TURN: dict[str, Callable[[random.Random, Split], Exercise]] = {
    "arithmetic": arithmetic,
    "times": times,
    "compare": compare,
    "sort": sort,
    "spell": spell,
    "copy": copy,
    "opposites": opposites,
    "facts": facts,
    "unknown": unknown,
}

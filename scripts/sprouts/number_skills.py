"""Sums, comparing and sorting of numbers from 0 to 99."""

from __future__ import annotations

import random
from collections.abc import Iterator

from .exercise import Exercise, draw
from .split import Key, Split


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

    key = draw(split, candidates())
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

    key = draw(split, candidates())
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

    key = draw(split, candidates())
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

"""What the user says of themselves, what is asked about it later, and small talk."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass

from .exercise import UNKNOWN_ANSWER, Exercise
from .split import Key, Split, split_of
from .world import CITIES, COLOURS, FOODS, HERO_NAMES, NAMES, PETS, invented_word


@dataclass(frozen=True, slots=True)
class Remembered:
    """A statement, the polite reply to it, and the questions that it makes answerable."""

    statement: str
    reply: str
    questions: tuple[tuple[str, str], ...]
    key: Key


@dataclass(frozen=True, slots=True)
class _Said:
    """One attribute: how it is stated, what is replied, how it is asked, what is the answer."""

    value: str
    statements: tuple[str, ...]
    reply: str
    questions: tuple[str, ...]
    answer: str


def _name(rng: random.Random) -> str:
    return rng.choice(NAMES) if rng.random() < 0.6 else invented_word(rng).capitalize()


def _says_name(rng: random.Random) -> _Said:
    v = _name(rng)
    return _Said(
        v,
        (f"my name is {v}", f"I am called {v}", f"I'm {v}", f"I am {v}", f"you can call me {v}"),
        f"Nice to meet you, {v}!",
        ("What is my name?", "Do you remember my name?", "Who am I?", "What am I called?"),
        f"Your name is {v}.",
    )


def _says_colour(rng: random.Random) -> _Said:
    v = rng.choice(COLOURS)
    return _Said(
        v,
        (f"my favourite colour is {v}", f"I like the colour {v} best", f"my favorite color is {v}"),
        f"{v.capitalize()} is a nice colour.",
        (
            "What is my favourite colour?",
            "Which colour do I like best?",
            "What is my favorite color?",
        ),
        f"Your favourite colour is {v}.",
    )


def _says_pet(rng: random.Random) -> _Said:
    pet, v = rng.choice(PETS), rng.choice(HERO_NAMES)
    return _Said(
        f"{pet} {v}",
        (f"I have a {pet} named {v}", f"I have a {pet} called {v}", f"my {pet} is called {v}"),
        f"{v} is a good name for a {pet}.",
        (f"What is my {pet} called?", f"What is the name of my {pet}?", "What is my pet called?"),
        f"Your {pet} is called {v}.",
    )


def _says_number(rng: random.Random) -> _Said:
    v = str(rng.randrange(1000))
    return _Said(
        v,
        (f"my lucky number is {v}", f"my favourite number is {v}", f"remember the number {v}"),
        f"I will remember the number {v}.",
        ("What is my number?", "What number did I tell you?", "What is my lucky number?"),
        f"Your number is {v}.",
    )


def _says_city(rng: random.Random) -> _Said:
    v = rng.choice(CITIES)
    return _Said(
        v,
        (f"I live in {v}", f"I come from {v}", f"my home is in {v}"),
        f"{v} sounds like a fine place.",
        ("Where do I live?", "Which city do I live in?", "Where is my home?"),
        f"You live in {v}.",
    )


def _says_food(rng: random.Random) -> _Said:
    v = rng.choice(FOODS)
    return _Said(
        v,
        (f"I like to eat {v}", f"my favourite food is {v}", f"I love {v}"),
        f"I hear that {v} can be very good.",
        ("What do I like to eat?", "What is my favourite food?", "Which food do I love?"),
        f"You like to eat {v}.",
    )


def _says_age(rng: random.Random) -> _Said:
    v = str(rng.randint(5, 99))
    return _Said(
        v,
        (f"I am {v} years old", f"my age is {v}", f"I'm {v} years old"),
        f"So you are {v} years old.",
        ("How old am I?", "What is my age?", "Do you know how old I am?"),
        f"You are {v} years old.",
    )


def _says_friend(rng: random.Random) -> _Said:
    v = _name(rng)
    return _Said(
        v,
        (f"my best friend is {v}", f"my friend is called {v}", f"I have a friend called {v}"),
        f"It is good to have a friend like {v}.",
        ("Who is my best friend?", "What is my friend called?", "What is the name of my friend?"),
        f"Your friend is called {v}.",
    )


def _says_word(rng: random.Random) -> _Said:
    v = invented_word(rng)
    return _Said(
        v,
        (f"the secret word is {v}", f"remember the word {v}", f"the password is {v}"),
        f"I will remember the word {v}.",
        (
            "What is the secret word?",
            "Which word did I tell you?",
            "What word should you remember?",
        ),
        f"The word is {v}.",
    )


_ATTRIBUTES: dict[str, Callable[[random.Random], _Said]] = {
    "name": _says_name,
    "colour": _says_colour,
    "pet": _says_pet,
    "number": _says_number,
    "city": _says_city,
    "food": _says_food,
    "age": _says_age,
    "friend": _says_friend,
    "word": _says_word,
}
ATTRIBUTES = tuple(_ATTRIBUTES)


def remember(rng: random.Random, split: Split, told: frozenset[str]) -> tuple[Remembered, set[str]]:
    """State one or two attributes that were not told before; also return which these are."""
    free = [name for name in ATTRIBUTES if name not in told]
    while True:
        chosen = rng.sample(free, min(len(free), rng.choice((1, 1, 2))))
        said = {name: _ATTRIBUTES[name](rng) for name in chosen}
        key = ("recall", *(part for name in sorted(said) for part in (name, said[name].value)))
        if split_of(key) is split:
            break
    parts = [rng.choice(each.statements) for each in said.values()]
    statement = " and ".join(parts)
    questions = tuple((q, each.answer) for each in said.values() for q in each.questions)
    reply = (
        next(iter(said.values())).reply if len(said) == 1 else "Thank you, I will remember that."
    )
    return Remembered(f"{statement[0].upper()}{statement[1:]}.", reply, questions, key), set(chosen)


def untold(rng: random.Random, told: frozenset[str]) -> Exercise:
    """Ask for an attribute that the user never told."""
    name = rng.choice([name for name in ATTRIBUTES if name not in told])
    question = rng.choice(_ATTRIBUTES[name](rng).questions)
    return Exercise("untold", question, UNKNOWN_ANSWER, ("untold", name, *sorted(told)))


_HELP = (
    "I can tell stories, answer questions, add, compare and sort numbers, spell, copy, give "
    "opposites and remember what you say."
)
_SMALL_TALK: tuple[tuple[tuple[str, ...], tuple[str, ...]], ...] = (
    (
        ("Hello", "Hi", "Hello!", "Hi there!", "Hey", "Good morning!", "Good evening!",
        "Hi Sprout!"),
        ("Hello! I am Sprout. What shall we do?", "Hello! I am Sprout. How can I help?"),
    ),
    (
        ("Who are you?", "What is your name?", "What are you?", "Tell me about yourself.",
         "Are you a robot?", "What are you called?", "Introduce yourself."),
        ("I am Sprout, a tiny language model that grew up in a small world.",),
    ),
    (
        ("What can you do?", "Help", "Can you help me?", "What do you know?",
        "How can you help me?"),
        (_HELP,),
    ),
    (
        ("Thank you!", "Thanks", "Thanks a lot!", "Thank you, Sprout.", "Great, thanks!"),
        ("You are welcome!",),
    ),
    (
        ("How are you?", "How do you feel?", "How are you today?", "Are you well?"),
        ("I am well, thank you. How are you?",),
    ),
    (("I am fine.", "I am well too.", "Very well, thank you."), ("I am glad to hear that.",)),
    (("Goodbye!", "Bye", "See you!", "Good night!"), ("Goodbye! It was nice to talk with you.",)),
    (("You are great!", "Well done!", "That was good.", "Nice!", "Wow!"),
    ("Thank you! That is kind.",)),
    (("That is wrong.", "No, that is not right.", "You made a mistake."),
     ("I am sorry. I am small and make mistakes.",)),
)  # fmt: skip


def small_talk(rng: random.Random) -> Exercise:
    """Greet, thank, and say who Sprout is."""
    users, answers = rng.choice(_SMALL_TALK)
    return Exercise("small talk", rng.choice(users), rng.choice(answers), ("small talk",))

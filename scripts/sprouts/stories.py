"""Stories: five plots whose slots stay consistent, and the questions that each can answer."""

from __future__ import annotations

import random
from dataclasses import dataclass

from .split import Key
from .world import HERO_NAMES, KINDS, OBJECTS, PLACES, article

_SPOTS = (
    "under a bush",
    "behind a rock",
    "in the tall grass",
    "under an old tree",
    "near the path",
)
_LOOKS = ("shiny", "tiny", "golden", "strange", "beautiful", "very old")
_TRAITS = ("curious", "brave", "kind", "clever", "quiet", "cheerful")
_LAST_FEELINGS = ("happy", "proud", "glad", "calm", "thankful")


@dataclass(frozen=True, slots=True)
class Cast:
    """What a story is about: the slots that its sentences and its questions share."""

    kind: str
    name: str
    thing: str
    place: str
    friend_kind: str
    friend: str
    feeling: str


@dataclass(frozen=True, slots=True)
class Story:
    """A finished story, its cast, and true question and answer pairs about it."""

    cast: Cast
    text: str
    questions: tuple[tuple[str, str], ...]

    @property
    def key(self) -> Key:
        """What the story questions are about, for the split."""
        return ("story_questions", self.cast.kind, self.cast.name, self.cast.thing, self.cast.place)


def cast_story(rng: random.Random) -> Cast:
    """Draw a cast at random."""
    name, friend = rng.sample(HERO_NAMES, 2)
    kind, friend_kind = rng.sample(KINDS, 2)
    return Cast(
        kind, name, rng.choice(OBJECTS), rng.choice(PLACES), friend_kind, friend,
        rng.choice(_LAST_FEELINGS),
    )  # fmt: skip


def tell(cast: Cast, rng: random.Random) -> Story:
    """Tell a story with this cast in one of the five plots."""
    plot = rng.choice((_lost, _found, _present, _shared, _mended))
    text, did = plot(cast, rng)
    return Story(cast, text, (*did, *_common_questions(cast)))


Told = tuple[str, tuple[tuple[str, str], ...]]


def _opening(c: Cast, rng: random.Random) -> str:
    trait = rng.choice(_TRAITS)
    return rng.choice(
        (
            f"Once upon a time there was {article(c.kind)} named {c.name}.",
            f"Once there was {article(trait)} {c.kind} called {c.name}.",
            f"There once lived {article(c.kind)} whose name was {c.name}.",
            f"{c.name} was {article(trait)} {c.kind}.",
        )
    )


def _lost(c: Cast, rng: random.Random) -> Told:
    text = (
        f"{_opening(c, rng)} One day {c.name} went to the {c.place} and lost a {c.thing} there. "
        f"{c.name} was very sad. {c.friend} the {c.friend_kind} came by and helped to look for it. "
        f"They found the {c.thing} {rng.choice(_SPOTS)}. "
        f'"Thank you, {c.friend}!" said {c.name}, who felt {c.feeling}. The end.'
    )
    return _an(text, c), (
        (f"What did {c.name} lose?", f"{c.name} lost {article(c.thing)}."),
        (f"Who helped {c.name}?", f"{c.friend} the {c.friend_kind} helped {c.name}."),
    )


def _found(c: Cast, rng: random.Random) -> Told:
    text = (
        f"{_opening(c, rng)} One {rng.choice(('morning', 'evening', 'sunny day'))} {c.name} walked "
        f"to the {c.place} and found a {c.thing}. It was {rng.choice(_LOOKS)}. "
        f"{c.name} showed it to {c.friend} the {c.friend_kind}, "
        f"and they played with the {c.thing} until it was dark. "
        f"{c.name} went home and felt {c.feeling}. The end."
    )
    return _an(text, c), (
        (f"What did {c.name} find?", f"{c.name} found {article(c.thing)}."),
        (f"Who played with {c.name}?", f"{c.friend} the {c.friend_kind} played with {c.name}."),
    )


def _present(c: Cast, rng: random.Random) -> Told:
    text = (
        f"{_opening(c, rng)} It was the birthday of {c.friend} the {c.friend_kind}, "
        f"so {c.name} went to the {c.place} to get a {c.thing}. "
        f"The way was {rng.choice(('long', 'steep', 'muddy'))}, but {c.name} did not give up. "
        f"{c.friend} loved the {c.thing}, and {c.name} felt {c.feeling}. The end."
    )
    return _an(text, c), (
        (f"What did {c.name} get?", f"{c.name} got {article(c.thing)}."),
        ("Whose birthday was it?", f"It was the birthday of {c.friend} the {c.friend_kind}."),
    )


def _shared(c: Cast, rng: random.Random) -> Told:
    text = (
        f"{_opening(c, rng)} {c.name} lived at the {c.place} "
        f"and had a {rng.choice(_LOOKS)} {c.thing}. "
        f"{c.friend} the {c.friend_kind} wanted it too, and the two began to argue. "
        f'"We can share it," said {c.name} at last. So they shared the {c.thing} and became '
        f"friends. {c.name} felt {c.feeling}. The end."
    )
    return _an(text, c), (
        (f"What did {c.name} share?", f"{c.name} shared {article(c.thing)}."),
        (
            f"Who argued with {c.name}?",
            f"{c.friend} the {c.friend_kind} argued with {c.name}.",
        ),
    )


def _mended(c: Cast, rng: random.Random) -> Told:
    text = (
        f"{_opening(c, rng)} {c.name} had a {c.thing}, but one day at the {c.place} it broke. "
        f"{c.name} began to cry. {c.friend} the {c.friend_kind} knew what to do and mended the "
        f"{c.thing} with {rng.choice(('a bit of string', 'some glue', 'a small nail'))}. "
        f"{c.name} gave {c.friend} a big hug and felt {c.feeling}. The end."
    )
    return _an(text, c), (
        (f"What did {c.friend} mend?", f"{c.friend} mended {article(c.thing)}."),
        (
            f"Who mended the {c.thing}?",
            f"{c.friend} the {c.friend_kind} mended the {c.thing}.",
        ),
    )


def _an(text: str, c: Cast) -> str:
    return text.replace(f" a {c.thing}", f" {article(c.thing)}")


def _common_questions(c: Cast) -> tuple[tuple[str, str], ...]:
    return (
        ("Who is the story about?", f"The story is about {c.name} the {c.kind}."),
        (f"What is {c.name}?", f"{c.name} is {article(c.kind)}."),
        (f"What kind of creature is {c.friend}?", f"{c.friend} is {article(c.friend_kind)}."),
        ("Where does the story happen?", f"The story happens at the {c.place}."),
        (f"How did {c.name} feel at the end?", f"{c.name} felt {c.feeling} at the end."),
    )

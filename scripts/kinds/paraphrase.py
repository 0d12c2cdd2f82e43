"""Scenes of the small world, each of which can be told in several ways that mean the same.

What is held out are scenes: who does what to whom, and where. A scene with one part changed, or
with two parts in each other's place, is told in almost the same words and means something else.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass, replace

from sprouts.split import Split, split_of
from sprouts.world import FOODS, HERO_NAMES, KINDS, OBJECTS, PLACES, article

_WHO = (*(f"the {kind}" for kind in KINDS), *HERO_NAMES)
_THINGS = tuple(article(thing) for thing in OBJECTS)
_WHERE = tuple(f"at the {place}" for place in PLACES)

# A past tense and a participle, and those of a verb that means the same.
_TO_SOMEBODY = {
    "see": (("saw", "seen"), ("spotted", "spotted")),
    "chase": (("chased", "chased"), ("hunted", "hunted")),
    "help": (("helped", "helped"), ("assisted", "assisted")),
    "call": (("called", "called"), ("summoned", "summoned")),
    "tease": (("teased", "teased"), ("mocked", "mocked")),
    "save": (("saved", "saved"), ("rescued", "rescued")),
    "frighten": (("frightened", "frightened"), ("scared", "scared")),
    "teach": (("taught", "taught"), ("instructed", "instructed")),
}
_TO_SOMETHING = {
    "find": (("found", "found"), ("discovered", "discovered")),
    "mend": (("mended", "mended"), ("repaired", "repaired")),
    "hide": (("hid", "hidden"), ("concealed", "concealed")),
    "lose": (("lost", "lost"), ("mislaid", "mislaid")),
    "make": (("made", "made"), ("built", "built")),
    "break": (("broke", "broken"), ("smashed", "smashed")),
    "clean": (("cleaned", "cleaned"), ("washed", "washed")),
    "want": (("wanted", "wanted"), ("wished for", "wished for")),
}
_MORE = {
    "big": ("bigger", "smaller"),
    "old": ("older", "younger"),
    "fast": ("faster", "slower"),
    "strong": ("stronger", "weaker"),
    "tall": ("taller", "shorter"),
    "rich": ("richer", "poorer"),
    "loud": ("louder", "quieter"),
    "near": ("nearer", "farther away"),
}
_STATES = (
    ("the door", "open", "closed"),
    ("the window", "open", "closed"),
    ("the box", "locked", "unlocked"),
    ("the chest", "locked", "unlocked"),
    ("the coat", "wet", "dry"),
    ("the blanket", "wet", "dry"),
    ("the road", "wet", "dry"),
    ("the plate", "clean", "dirty"),
    ("the shoe", "clean", "dirty"),
    ("the baby", "awake", "asleep"),
    ("the story", "true", "false"),
    ("the lamp", "on", "off"),
    ("the gate", "open", "closed"),
    ("the lantern", "lit", "unlit"),
    ("the king", "awake", "asleep"),
    ("the answer", "true", "false"),
)
_STATE_TIMES = ("in the morning", "in the evening", "at noon", "at night", "on Sunday", "on Friday")
_FEELINGS = {
    "happy": ("happy", "glad", "joyful"),
    "sad": ("sad", "unhappy", "sorrowful"),
    "afraid": ("afraid", "scared", "frightened"),
    "angry": ("angry", "cross", "furious"),
    "tired": ("tired", "sleepy", "weary"),
    "hungry": ("hungry", "starving", "ready to eat"),
}
FRAMES = ("somebody", "something", "give", "trade", "more", "before", "state", "feeling", "eat")


@dataclass(frozen=True, slots=True)
class Scene:
    """Something that may happen: a frame and what fills its places."""

    frame: str
    parts: tuple[str, ...]

    @property
    def key(self) -> tuple[str, ...]:
        return ("scene", self.frame, *self.parts)


# The places of a frame that can stand in for each other, and what each place is drawn from.
_SWAPS = {
    "somebody": (1, 2), "give": (0, 2), "trade": (0, 2), "more": (1, 2), "before": (0, 1),
}  # fmt: skip
_SLOTS: dict[str, tuple[tuple[str, ...], ...]] = {
    "somebody": (tuple(_TO_SOMEBODY), _WHO, _WHO, _WHERE),
    "something": (tuple(_TO_SOMETHING), _WHO, _THINGS, _WHERE),
    "give": (_WHO, _THINGS, _WHO),
    "trade": (_WHO, _THINGS, _WHO),
    "more": (tuple(_MORE), _WHO, _WHO),
    "before": (_WHO, _WHO, tuple(PLACES)),
    "state": (tuple(str(i) for i in range(len(_STATES))), ("first", "second"), _STATE_TIMES),
    "feeling": (_WHO, tuple(_FEELINGS), _WHERE),
    "eat": (_WHO, tuple(FOODS), _WHERE),
}


def scene(rng: random.Random, split: Split) -> Scene:
    """Draw a scene of the split."""
    while True:
        frame = rng.choice(FRAMES)
        drawn = Scene(frame, tuple(rng.choice(choices) for choices in _SLOTS[frame]))
        if _sound(drawn) and split_of(drawn.key) is split:
            return drawn


def _sound(drawn: Scene) -> bool:
    """Say whether no one meets themselves."""
    swap = _SWAPS.get(drawn.frame)
    return swap is None or drawn.parts[swap[0]] != drawn.parts[swap[1]]


def changes(rng: random.Random, original: Scene, count: int, split: Split | None) -> list[Scene]:
    """Return different scenes that share all but one or two parts with the original.

    The first has two parts in each other's place, where the frame has such. With a split, all lie
    in it (a swapped scene that does not is left out).
    """
    found: list[Scene] = []
    swap = _SWAPS.get(original.frame)
    if swap is not None:
        parts = list(original.parts)
        parts[swap[0]], parts[swap[1]] = parts[swap[1]], parts[swap[0]]
        found.append(replace(original, parts=tuple(parts)))
    found = [each for each in found if split is None or split_of(each.key) is split]
    while len(found) < count:
        at = rng.randrange(len(original.parts))
        parts = list(original.parts)
        parts[at] = rng.choice(_SLOTS[original.frame][at])
        changed = replace(original, parts=tuple(parts))
        if changed == original or changed in found or not _sound(changed):
            continue
        if split is None or split_of(changed.key) is split:
            found.append(changed)
    return found[:count]


def ways(told: Scene) -> tuple[str, ...]:
    """Return all the ways to tell a scene, which mean the same."""
    return tuple(f"{text[0].upper()}{text[1:]}." for text in _TELL[told.frame](*told.parts))


def tellings(rng: random.Random, told: Scene, count: int) -> list[str]:
    """Tell the scene in `count` different ways."""
    return rng.sample(ways(told), count)


def _deed(who: str, whom: str, where: str, forms: tuple[tuple[str, str], ...]) -> list[str]:
    texts = []
    for past, participle in forms:
        texts += [
            f"{who} {past} {whom} {where}",
            f"{where}, {who} {past} {whom}",
            f"{whom} was {participle} by {who} {where}",
            f"{where}, {whom} was {participle} by {who}",
            f"it was {who} who {past} {whom} {where}",
            f"it was {where} that {who} {past} {whom}",
        ]
    return texts


def _somebody(verb: str, who: str, whom: str, where: str) -> list[str]:
    return _deed(who, whom, where, _TO_SOMEBODY[verb])


def _something(verb: str, who: str, what: str, where: str) -> list[str]:
    return _deed(who, what, where, _TO_SOMETHING[verb])


def _give(giver: str, thing: str, taker: str) -> list[str]:
    return [
        f"{giver} gave {taker} {thing}",
        f"{giver} gave {thing} to {taker}",
        f"{taker} got {thing} from {giver}",
        f"{taker} was given {thing} by {giver}",
        f"{thing} was given to {taker} by {giver}",
        f"it was {giver} who gave {thing} to {taker}",
        f"{taker} received {thing} from {giver}",
    ]


def _trade(buyer: str, thing: str, seller: str) -> list[str]:
    return [
        f"{buyer} bought {thing} from {seller}",
        f"{seller} sold {thing} to {buyer}",
        f"{seller} sold {buyer} {thing}",
        f"{thing} was sold to {buyer} by {seller}",
        f"{thing} was bought from {seller} by {buyer}",
        f"{buyer} paid {seller} for {thing}",
    ]


def _more(what: str, first: str, second: str) -> list[str]:
    more, less = _MORE[what]
    return [
        f"{first} is {more} than {second}",
        f"{second} is {less} than {first}",
        f"{second} is not as {what} as {first}",
        f"compared with {second}, {first} is {more}",
        f"compared with {first}, {second} is {less}",
        f"of the two, {first} is {more} and {second} is {less}",
    ]


def _before(first: str, second: str, place: str) -> list[str]:
    return [
        f"{first} came to the {place} before {second}",
        f"{second} came to the {place} after {first}",
        f"{first} reached the {place} earlier than {second}",
        f"{second} reached the {place} later than {first}",
        f"first {first} came to the {place}, then {second}",
        f"when {second} came to the {place}, {first} was there already",
    ]


def _state(number: str, side: str, when: str) -> list[str]:
    what, first, second = _STATES[int(number)]
    is_so, is_not = (first, second) if side == "first" else (second, first)
    return [
        f"{what} was {is_so} {when}",
        f"{when}, {what} was {is_so}",
        f"{what} was not {is_not} {when}",
        f"{when}, {what} was not {is_not}",
        f"it is not true that {what} was {is_not} {when}",
        f"{what} was no longer {is_not} {when}",
    ]


def _feeling(who: str, feeling: str, where: str) -> list[str]:
    texts = []
    for word in _FEELINGS[feeling]:
        texts += [f"{who} was {word} {where}", f"{where}, {who} felt {word}"]
    return texts


def _eat(who: str, food: str, where: str) -> list[str]:
    return [
        f"{who} ate {food} {where}",
        f"{where}, {who} had {food}",
        f"{who} had {food} to eat {where}",
        f"{where}, {who} made a meal of {food}",
        f"the meal of {who} {where} was {food}",
        f"what {who} ate {where} was {food}",
    ]


_TELL: dict[str, Callable[..., list[str]]] = {
    "somebody": _somebody, "something": _something, "give": _give, "trade": _trade, "more": _more,
    "before": _before, "state": _state, "feeling": _feeling, "eat": _eat,
}  # fmt: skip

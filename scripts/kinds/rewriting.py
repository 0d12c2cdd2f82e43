"""What the text-to-text model learns: a task's prefix and a text in, the one right text out."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass

from sprouts.conversation import free_story
from sprouts.split import Key, Split, split_of
from sprouts.stories import Story
from sprouts.world import HERO_NAMES, KINDS, NAMES, OBJECTS, PLACES, article

from .numbers import in_words
from .tense import IRREGULAR, REGULAR, STANDS_ALONE, TAKES_OBJECT, invented_verb, past, present


@dataclass(frozen=True, slots=True)
class Rewriting:
    """One input with its only right output; `key` says what is held out, if anything is."""

    task: str
    source: str
    target: str
    key: Key


def _number(rng: random.Random, split: Split) -> int:
    """Draw a number of one to four digits, longer ones more often."""
    while True:
        digits = rng.choice((1, 2, 2, 3, 3, 3, 4, 4, 4, 4))
        number = rng.randrange(10 ** (digits - 1) if digits > 1 else 0, 10**digits)
        # The words of small numbers are parts of all others, so they are never held out.
        held_out = number >= 100 and split_of(("number", number)) is Split.HELD_OUT
        if held_out is (split is Split.HELD_OUT):
            return number


def to_words(rng: random.Random, split: Split) -> Rewriting:
    """Write digits as words."""
    number = _number(rng, split)
    return Rewriting("number_words", f"in words: {number}", in_words(number), ("number", number))


def to_digits(rng: random.Random, split: Split) -> Rewriting:
    """Write words as digits."""
    number = _number(rng, split)
    return Rewriting(
        "number_words", f"in digits: {in_words(number)}", f"{number}", ("number", number)
    )


def _verb_is_held_out(verb: str) -> bool:
    """Irregular verbs must be seen to be known, so none of them is held out."""
    return verb not in IRREGULAR and split_of(("verb", verb)) is Split.HELD_OUT


def past_of_verb(rng: random.Random, split: Split) -> Rewriting:
    """Put one verb into the past; held out are regular verbs, most of them invented."""
    while True:
        draw = rng.random()
        verb = (
            invented_verb(rng)
            if draw < 0.6
            else rng.choice(
                REGULAR if draw < 0.75 or split is Split.HELD_OUT else sorted(IRREGULAR)
            )
        )
        if _verb_is_held_out(verb) is (split is Split.HELD_OUT):
            return Rewriting("past_tense", f"past tense: {verb}", past(verb), ("verb", verb))


def past_of_sentence(rng: random.Random, split: Split) -> Rewriting:
    """Put a sentence into the past; held out are sentences, with verbs that are not."""
    while True:
        who = rng.choice((rng.choice((*NAMES, *HERO_NAMES)), f"The {rng.choice(KINDS)}"))
        place = f"{rng.choice(('at', 'near', 'behind'))} the {rng.choice(PLACES)}"
        invented = rng.random() < 0.15
        with_object = rng.random() < 0.5
        known = TAKES_OBJECT if with_object else STANDS_ALONE
        verb = invented_verb(rng) if invented else rng.choice(known)
        if _verb_is_held_out(verb):
            continue
        rest = f"{article(rng.choice(OBJECTS))} {place}" if with_object else place
        key = ("past", who, verb, rest)
        if split_of(key) is split:
            return Rewriting(
                "past_tense",
                f"past tense: {who} {present(verb)} {rest}.",
                f"{who} {past(verb)} {rest}.",
                key,
            )


_BEFORE_VOWEL = "old orange ugly empty odd icy enormous expensive".split()
_BEFORE_CONSONANT = "shiny red new tiny golden heavy broken strange".split()
_DEEDS = "find lose mend carry bring buy hide paint open want see keep make break sell".split()


def ordering(rng: random.Random, split: Split) -> Rewriting:
    """Put the words of a sentence in order.

    The adjective fits the article before it and the noun alone does not (`an old key`, `a shiny
    apple`), so there is one order only.
    """
    while True:
        thing = rng.choice(OBJECTS)
        adjective = rng.choice(_BEFORE_CONSONANT if thing[0] in "aeiou" else _BEFORE_VOWEL)
        what = f"{article(adjective)} {thing}"
        who, verb = rng.choice((*NAMES, *HERO_NAMES)), rng.choice(_DEEDS)
        where = f"{rng.choice(('at', 'near', 'behind'))} the {rng.choice(PLACES)}"
        sentence = rng.choice(
            (
                f"{who} {past(verb)} {what} {where} .",
                f"{who} will {verb} {what} {where} .",
                f"{who} wants to {verb} {what} {where} .",
                f"did {who} {verb} {what} {where} ?",
                f"why did {who} {verb} {what} {where} ?",
            )
        )
        if split_of(("order", sentence)) is not split:
            continue
        words = sentence.split()
        mixed = " ".join(rng.sample(words, len(words)))
        target = " ".join(words[:-1]) + words[-1]
        return Rewriting(
            "word_order", f"order: {mixed}", target[0].upper() + target[1:], ("order", sentence)
        )


_SUMMARIES = {
    "lose": "{hero} lost {thing} at the {place}, and {friend} helped to find it.",
    "find": "{hero} found {thing} at the {place} and played with it with {friend}.",
    "get": "{hero} went to the {place} to get {thing} for the birthday of {friend}.",
    "share": "{hero} argued with {friend} about {thing} and then shared it.",
    "mend": "{friend} mended {thing} that {hero} broke at the {place}.",
}


def summary_of(story: Story) -> str:
    """Say a story in one sentence, which depends on its plot."""
    cast = story.cast
    deed = story.questions[0][0].rstrip("?").split()[-1]  # such as: What did Pip lose?
    return _SUMMARIES[deed].format(
        hero=f"{cast.name} the {cast.kind}",
        thing=article(cast.thing),
        place=cast.place,
        friend=f"{cast.friend} the {cast.friend_kind}",
    )


def summary(rng: random.Random, split: Split) -> Rewriting:
    """Sum a story up in one sentence; held out is the story's cast."""
    story = free_story(rng, split)
    return Rewriting("summary", f"summarize: {story.text}", summary_of(story), story.key)


TASKS: dict[str, tuple[Callable[[random.Random, Split], Rewriting], ...]] = {
    "number_words": (to_words, to_digits),
    "past_tense": (past_of_verb, past_of_sentence),
    "word_order": (ordering,),
    "summary": (summary,),
}


def rewriting(rng: random.Random, task: str, split: Split) -> Rewriting:
    """Draw an exercise of the task."""
    return rng.choice(TASKS[task])(rng, split)

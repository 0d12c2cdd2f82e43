"""Whole conversations: one to six exchanges of mixed skills, with questions about earlier ones."""

from __future__ import annotations

import random
from dataclasses import dataclass

from .exercise import Exercise, listing
from .memory import ATTRIBUTES, remember, small_talk, untold
from .skills import SINGLE_TURN
from .split import Key, Split, split_of
from .stories import Cast, Story, cast_story, tell
from .world import article

SYSTEM_PROMPTS = (
    "You are Sprout, a small and friendly language model.",
    "You are Sprout, a tiny model that grew up in a small world.",
    "You are a helpful assistant.",
    "You are a friendly assistant. Answer briefly.",
    "You are a helpful, honest and concise assistant.",
    "Answer in short and simple sentences.",
    "Be kind and say so when you do not know.",
)

# The share of each single-turn skill; the harder ones to learn come more often.
_SHARES = {
    "arithmetic": 26,
    "times": 3,
    "compare": 9,
    "sort": 12,
    "spell": 11,
    "copy": 7,
    "opposites": 8,
    "facts": 16,
    "unknown": 8,
}

# The shares in the review: more of what is learnt last.
_REVIEW_SHARES = {
    "arithmetic": 16,
    "times": 3,
    "compare": 14,
    "sort": 22,
    "spell": 18,
    "copy": 14,
    "opposites": 4,
    "facts": 9,
    "unknown": 4,
}


@dataclass(frozen=True, slots=True)
class Conversation:
    """A system prompt or none, and the exchanges. Plain text has no user: `user` is empty."""

    system: str | None
    exchanges: tuple[Exercise, ...]


def asked_key(things: list[str]) -> Key:
    """Return the split key of the set of things that a story was asked for."""
    return ("story", *sorted(things))


def ask_for_story(rng: random.Random, split: Split) -> tuple[Exercise, Story, list[str]]:
    """Ask for a story about two or three things; the set of things and the cast are in `split`."""
    while True:
        cast = cast_story(rng)
        choices = {
            article(cast.kind): cast.kind,
            f"{article(cast.kind)} named {cast.name}": f"{cast.kind} {cast.name}",
            article(cast.thing): cast.thing,
            f"the {cast.place}": cast.place,
            f"{article(cast.friend_kind)}": cast.friend_kind,
        }
        plain, named, thing, place, friend = choices
        hero = named if rng.random() < 0.2 else plain
        asked = rng.choice(
            ([hero, thing], [hero, thing], [hero, place], [hero, thing, place], [hero, friend],
             [thing, place], [hero, friend, thing])
        )  # fmt: skip
        key = asked_key([choices[each] for each in asked])
        story = tell(cast, rng)
        if split_of(key) is split and split_of(story.key) is split:
            break
    shuffled = asked if asked[0] == named else rng.sample(asked, len(asked))
    user = rng.choice(
        (
            "Tell me a story about {t}.", "Tell a story about {t}.",
            "Write a short story about {t}.",
            "Can you tell me a story about {t}?", "I want a story about {t}.",
            "Please tell me a story with {t}.", "A story about {t}, please.",
        )
    ).format(t=listing(shuffled))  # fmt: skip
    wanted = [word for each in asked for word in choices[each].split()]
    return Exercise("story", user, story.text, key), story, wanted


def free_story(rng: random.Random, split: Split) -> Story:
    """Tell a story that nobody asked for in particular, with a cast of the split."""
    while True:
        cast: Cast = cast_story(rng)
        story = tell(cast, rng)
        if split_of(story.key) is split:
            return story


def about_story(rng: random.Random, story: Story, quoted: bool = False) -> Exercise:
    """Ask about the story told before, or about one that the question itself quotes."""
    question, answer = rng.choice(story.questions)
    user = question
    if quoted:
        user = rng.choice(
            ("Read this story: {s} {q}", "Here is a story: {s} {q}", "{s} {q}")
        ).format(s=story.text, q=question)
    return Exercise("story_questions", user, answer, story.key)


def single(rng: random.Random, split: Split, review: bool = False) -> Exercise:
    """Draw a single-turn exercise by the skills' shares."""
    shares = _REVIEW_SHARES if review else _SHARES
    skill = rng.choices(list(shares), weights=list(shares.values()))[0]
    return SINGLE_TURN[skill](rng, split)


def plain_text(rng: random.Random, split: Split) -> str:
    """Write prose without chat marks: a story, perhaps with questions and answers below it."""
    kind = rng.random()
    if kind < 0.35:
        return free_story(rng, split).text
    if kind < 0.7:
        story = free_story(rng, split)
        pairs = rng.sample(story.questions, 3)
        return "\n".join([story.text, *(f"Question: {q}\nAnswer: {a}" for q, a in pairs)])
    skills = ("facts", "compare", "opposites", "arithmetic")
    drawn = [SINGLE_TURN[rng.choice(skills)](rng, split) for _ in range(4)]
    return "\n".join(f"Question: {each.user}\nAnswer: {each.answer}" for each in drawn)


def conversation(rng: random.Random, review: bool = False) -> Conversation:
    """Draw one training conversation; all of its content is in the training split."""
    if rng.random() < 0.05:
        text = plain_text(rng, Split.TRAIN)
        return Conversation(None, (Exercise("plain text", "", text, ("plain text",)),))
    system = rng.choice(SYSTEM_PROMPTS) if rng.random() < 0.15 else None
    length = rng.choice((1, 1, 2, 3, 4, 5, 6))
    exchanges: list[Exercise] = []
    later: list[tuple[int, Exercise]] = []
    told: frozenset[str] = frozenset()
    while len(exchanges) < length or later:
        due = [each for each in later if each[0] <= len(exchanges)]
        if due or len(exchanges) >= length:
            chosen = due[0] if due else later[0]
            later.remove(chosen)
            exchanges.append(_wobble(rng, chosen[1]))
            continue
        draw = rng.random()
        if draw < 0.06:
            exchanges.append(_wobble(rng, small_talk(rng)))
        elif draw < 0.27 and len(told) < 5:
            said, names = remember(rng, Split.TRAIN, told)
            told |= names
            stated = Exercise("remember", said.statement, said.reply, said.key)
            exchanges.append(_wobble(rng, stated))
            for question, answer in rng.sample(said.questions, rng.choice((1, 1, 2))):
                asked = Exercise("recall", question, answer, said.key)
                later.append((len(exchanges) + rng.choice((0, 1, 1, 1, 2)), asked))
        elif draw < 0.30 and len(told) < len(ATTRIBUTES):
            exchanges.append(_wobble(rng, untold(rng, told)))
        elif draw < 0.41 and not any(each.skill == "story" for each in exchanges):
            asked_for, story, _ = ask_for_story(rng, Split.TRAIN)
            exchanges.append(_wobble(rng, asked_for))
            for _ in range(rng.choice((0, 1, 1, 2, 3))):
                follow_up = about_story(rng, story)
                later.append((len(exchanges) + rng.choice((0, 0, 1)), follow_up))
        elif draw < 0.45 and not any(each.skill == "story" for each in exchanges):
            quoted = about_story(rng, free_story(rng, Split.TRAIN), quoted=True)
            exchanges.append(quoted)
        else:
            exchanges.append(_wobble(rng, single(rng, Split.TRAIN, review)))
    return Conversation(system, tuple(exchanges))


def _wobble(rng: random.Random, exercise: Exercise) -> Exercise:
    """Type as people do: now and then politely, in lower case, or without the last mark."""
    user = exercise.user
    draw = rng.random()
    if draw < 0.05 and exercise.skill not in ("small talk", "remember"):
        user = f"{rng.choice(('Please', 'Sprout,', 'Hey,', 'Now'))} {user[0].lower()}{user[1:]}"
    elif draw < 0.12:
        user = user[0].lower() + user[1:]
    if rng.random() < 0.08 and user[-1] in ".?!" and len(user) > 1:
        user = user[:-1]
    return Exercise(exercise.skill, user, exercise.answer, exercise.key)

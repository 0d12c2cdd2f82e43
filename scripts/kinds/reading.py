"""The text that the encoder reads: the Sprouts' world and the sentences of its later tasks."""

from __future__ import annotations

import random

from sprouts.conversation import free_story
from sprouts.exercise import Exercise
from sprouts.knowledge import facts
from sprouts.number_skills import compare
from sprouts.split import Split
from sprouts.stories import Story
from sprouts.word_skills import opposites

from .paraphrase import scene, tellings
from .sentiment import judgement


def question_and_answer(exercise: Exercise) -> str:
    """A question with its answer behind it."""
    return f"{exercise.user} {exercise.answer}"


def story_with_question(rng: random.Random, story: Story) -> str:
    """A story, and a question about it with its answer behind it."""
    return f"{story.text} {' '.join(rng.choice(story.questions))}"


def short_text(rng: random.Random) -> str:
    """One or a few sentences of the training split.

    Most tell a scene twice, so that what is masked in one half stands in the other: a model learns
    to look back from these long before it does from stories.
    """
    draw = rng.random()
    if draw < 0.15:
        return judgement(rng, Split.TRAIN).text
    if draw < 0.6:
        return " ".join(tellings(rng, scene(rng, Split.TRAIN), 2))
    skill = facts if draw < 0.77 else opposites if draw < 0.97 else compare
    return question_and_answer(skill(rng, Split.TRAIN))


def long_text(rng: random.Random) -> str:
    """A story of the training split with a question behind it; one in ten goes on as another."""
    text = story_with_question(rng, free_story(rng, Split.TRAIN))
    return text if rng.random() < 0.9 else f"{text} {free_story(rng, Split.TRAIN).text}"

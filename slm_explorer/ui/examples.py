"""Inputs for the first minute of each use: what the Sprouts can do, and honestly what they cannot.

A Sprout grew up in a small invented world, so these stay inside it, but for the groups that say
otherwise: those are for models that have read more.
"""

from __future__ import annotations

from dataclasses import dataclass

from slm_explorer.tasks import AskContext, Classify, Compare, FillMask, Task
from slm_explorer.ui.uses import CANDIDATES, Prompt


@dataclass(frozen=True)
class Example:
    """One click: prompts that are sent one after the other."""

    label: str
    prompts: tuple[Prompt, ...]


@dataclass(frozen=True)
class ExampleGroup:
    title: str
    note: str
    examples: tuple[Example, ...]


def _single(prompt: str) -> Example:
    return Example(prompt, (prompt,))


def _fill(text: str) -> Example:
    return Example(text, (FillMask(text, CANDIDATES),))


def _classify(text: str) -> Example:
    return Example(text, (Classify(text),))


def _compare(label: str, *texts: str) -> Example:
    return Example(label, (Compare(texts),))


_CHAT = (
    ExampleGroup(
        "Tell",
        "A short story about what you ask for.",
        (
            _single("Tell me a story about a fox and a lantern."),
            _single("Write a short story about a robot, a kite and the harbour."),
        ),
    ),
    ExampleGroup(
        "Work out",
        "Sums in steps, comparing, sorting, spelling.",
        (
            _single("What is 47 + 36?"),
            _single("Sort these numbers: 58, 7, 93, 31."),
            _single("Spell bandoki."),
        ),
    ),
    ExampleGroup(
        "Remember",
        "Three prompts in a row: the last asks about the first.",
        (
            Example(
                "My favourite colour is teal. … What is it?",
                (
                    "My favourite colour is teal.",
                    "What is the opposite of early?",
                    "What is my favourite colour?",
                ),
            ),
        ),
    ),
    ExampleGroup(
        "Admit",
        "Nobody knows these: a good answer says so.",
        (_single("What is the capital of Zorblat?"), _single("Who won the game yesterday?")),
    ),
    ExampleGroup(
        "Fail",
        "Far outside a Sprout's world: watch it go wrong.",
        (
            _single("What is 123456 x 789?"),
            _single("Why did the Roman Empire fall?"),
        ),
    ),
)

_TEXT_TO_TEXT = (
    ExampleGroup(
        "Rewrite",
        "Four tasks that Sprout T5 was taught, each by its prefix.",
        (
            _single("in words: 4217"),
            _single("past tense: The fox carries a lantern near the river."),
            _single("order: . harbour old found the Mia at an lantern"),
            Example(
                "summarize: a story of Pip the fox",
                (
                    "summarize: Once upon a time there was a fox named Pip. One day Pip went to "
                    "the forest and lost a key there. Pip was very sad. Luna the owl came by and "
                    'helped to look for it. They found the key under an old tree. "Thank you, '
                    'Luna!" said Pip, who felt glad. The end.',
                ),
            ),
        ),
    ),
    ExampleGroup(
        "Translate",
        "A task prefix that T5 and Flan-T5 were taught.",
        (
            _single("translate English to German: The house is small and the garden is big."),
            _single("translate English to French: Where is the station?"),
        ),
    ),
    ExampleGroup(
        "Summarize",
        "A few sentences become one.",
        (
            _single(
                "summarize: The fox found a lantern at the harbour. It was cold and wet, and "
                "nobody knew whose it was. The fox dried it, lit it, and carried it home."
            ),
        ),
    ),
    ExampleGroup(
        "Answer",
        "An instruction; Flan-T5 was tuned on many such.",
        (
            _single("Answer the question: what is the opposite of early?"),
            _single("Is this review good or bad? The soup was cold and the bread was hard."),
        ),
    ),
)

_FILL_MASK = (
    ExampleGroup(
        "In a story",
        "A Sprout knows what kind of word fits, and how sure it is.",
        (
            _fill("The fox found a lantern at the [MASK]."),
            _fill("The king [MASK] the soup."),
        ),
    ),
    ExampleGroup(
        "Facts of its world",
        "What a Sprout was told many times.",
        (
            _fill("What colour is snow? Snow is [MASK]."),
            _fill("What is the opposite of hot? The opposite of hot is [MASK]."),
            _fill("What is a young bear called? A young bear is called a [MASK]."),
        ),
    ),
    ExampleGroup(
        "Both sides count",
        "The same beginning: what follows the mask decides.",
        (
            _fill("She opened the [MASK] and read it."),
            _fill("She opened the [MASK] and drank it."),
        ),
    ),
    ExampleGroup(
        "Know",
        "For models that have read about the wide world.",
        (_fill("Paris is the capital of [MASK]."), _fill("Water freezes at zero [MASK].")),
    ),
)

_CLASSIFICATION = (
    ExampleGroup(
        "Feeling",
        "For heads that were taught to tell good from bad.",
        (
            _classify("What a lovely story!"),
            _classify("Everybody agreed that the soup was awful."),
        ),
    ),
    ExampleGroup(
        "Not so plain",
        "A negation turns a clause round; in a contrast the main clause decides.",
        (
            _classify("The story was not bad at all."),
            _classify("The cake was far from perfect, but we enjoyed the party."),
            _classify("It is not true that the song was not dull."),
        ),
    ),
    ExampleGroup(
        "Beyond a Sprout",
        "Words that its small world does not have: only larger models have read them.",
        (_classify("I laughed until my sides hurt."), _classify("The plot drags on forever.")),
    ),
)

_SIMILARITY = (
    ExampleGroup(
        "The same in other words",
        "The first two say one thing, the third another.",
        (
            _compare(
                "The fox found a lantern …",
                "The fox found a lantern at the harbour.",
                "At the harbour, a lantern was discovered by the fox.",
                "The fox lost a lantern at the harbour.",
            ),
        ),
    ),
    ExampleGroup(
        "The same words, another meaning",
        "Counting words is not enough here.",
        (
            _compare(
                "The dog chased the cat …",
                "The dog chased the cat at the farm.",
                "The cat chased the dog at the farm.",
                "The cat was hunted by the dog at the farm.",
            ),
        ),
    ),
    ExampleGroup(
        "Find the pair",
        "Which two of five belong together?",
        (
            _compare(
                "Harbour, kite, soup, wind, rain …",
                "The boat came into the harbour at night.",
                "The kite flew high in the wind.",
                "She cooked soup for her friends.",
                "A strong wind carried the kite away.",
                "It rained all morning.",
            ),
        ),
    ),
)

_FOX = (
    "One evening the fox found a lantern at the harbour. It belonged to an old sailor called "
    "Mara, who had lost it in the storm on Tuesday. The fox carried it up the hill to her house, "
    "and she gave him a warm bowl of soup."
)

_ANSWERING = (
    ExampleGroup(
        "Who, where, when",
        "Each answer stands in the text, word for word.",
        (
            Example("Who lost the lantern?", (AskContext("Who lost the lantern?", _FOX),)),
            Example(
                "Where did the fox find it?", (AskContext("Where did the fox find it?", _FOX),)
            ),
            Example("When was the storm?", (AskContext("When was the storm?", _FOX),)),
        ),
    ),
    ExampleGroup(
        "Not in the text",
        "These models must point somewhere all the same.",
        (Example("How old is the fox?", (AskContext("How old is the fox?", _FOX),)),),
    ),
)

GROUPS: dict[Task, tuple[ExampleGroup, ...]] = {
    "chat": _CHAT,
    "text-to-text": _TEXT_TO_TEXT,
    "fill-mask": _FILL_MASK,
    "text-classification": _CLASSIFICATION,
    "sentence-similarity": _SIMILARITY,
    "question-answering": _ANSWERING,
}


def examples(use: Task) -> tuple[Example, ...]:
    """All examples of a use, in the order of the page."""
    return tuple(example for group in GROUPS[use] for example in group.examples)


def example_groups(use: Task) -> list[dict[str, object]]:
    """For the page: groups of buttons, each with its index into `examples(use)`."""
    index = {id(example): number for number, example in enumerate(examples(use))}
    return [
        {
            "title": group.title,
            "note": group.note,
            "items": [
                {
                    "label": example.label,
                    "title": " → ".join(map(_shown, example.prompts)),
                    "index": index[id(example)],
                }
                for example in group.examples
            ],
        }
        for group in GROUPS[use]
    ]


def _shown(prompt: Prompt) -> str:
    match prompt:
        case Compare(texts):
            return " / ".join(texts)
        case AskContext(question):
            return question
        case FillMask(text) | Classify(text):
            return text
        case _:
            return prompt

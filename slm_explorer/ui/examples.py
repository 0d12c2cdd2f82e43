"""Prompts for the first minute: what the Sprouts can do, and honestly what they cannot.

A Sprout grew up in a small invented world, so these stay inside it, but for the last group.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Example:
    """One click: prompts that are sent one after the other."""

    label: str
    prompts: tuple[str, ...]


@dataclass(frozen=True)
class ExampleGroup:
    title: str
    note: str
    examples: tuple[Example, ...]


def _single(prompt: str) -> Example:
    return Example(prompt, (prompt,))


GROUPS = (
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

EXAMPLES = tuple(example for group in GROUPS for example in group.examples)


def example_groups() -> list[dict[str, object]]:
    """For the page: groups of buttons, each with its index into EXAMPLES."""
    return [
        {
            "title": group.title,
            "note": group.note,
            "items": [
                {
                    "label": example.label,
                    "title": " → ".join(example.prompts),
                    "index": EXAMPLES.index(example),
                }
                for example in group.examples
            ],
        }
        for group in GROUPS
    ]

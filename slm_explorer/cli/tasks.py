"""The commands for encoders: what they are asked has a command each, like `chat` for decoders."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from typing import Annotated

import typer

from slm_explorer.cli.options import Budget, Home, Json, Models, Recipe, Threads, open_services
from slm_explorer.printing import Printer
from slm_explorer.tasks import MASK, AskContext, Classify, Compare, FillMask, TaskInput

app = typer.Typer()


@app.command("fill-mask")
def fill_mask(
    models: Models,
    text: Annotated[str, typer.Option(help=f"A text with {MASK} where a word is missing.")],
    top: Annotated[int, typer.Option(help="How many candidates for each mask.")] = 5,
    recipe: Recipe = "native",
    home: Home = None,
    memory_budget: Budget = None,
    threads: Threads = None,
    json_lines: Json = False,
) -> None:
    """Let encoders guess the words at [MASK], with probabilities."""
    given = FillMask(text, top)
    _perform(models, given, recipe, home, memory_budget, threads, json_lines)


@app.command()
def classify(
    models: Models,
    text: Annotated[str, typer.Option(help="The text to classify.")],
    recipe: Recipe = "native",
    home: Home = None,
    memory_budget: Budget = None,
    threads: Threads = None,
    json_lines: Json = False,
) -> None:
    """Give a text the labels of fine-tuned encoders, with probabilities."""
    _perform(models, Classify(text), recipe, home, memory_budget, threads, json_lines)


@app.command()
def similarity(
    models: Models,
    text: Annotated[list[str], typer.Option(help="Repeat it: 2 to 16 texts.")],
    recipe: Recipe = "native",
    home: Home = None,
    memory_budget: Budget = None,
    threads: Threads = None,
    json_lines: Json = False,
) -> None:
    """Compare texts, each with each, by the cosine of their vectors."""
    _perform(models, Compare(tuple(text)), recipe, home, memory_budget, threads, json_lines)


@app.command()
def answer(
    models: Models,
    question: Annotated[str, typer.Option(help="What to look for.")],
    context: Annotated[str, typer.Option(help="The text that holds the answer.")],
    recipe: Recipe = "native",
    home: Home = None,
    memory_budget: Budget = None,
    threads: Threads = None,
    json_lines: Json = False,
) -> None:
    """Mark where in a text the answer to a question stands."""
    given = AskContext(question, context)
    _perform(models, given, recipe, home, memory_budget, threads, json_lines)


def _perform(
    models: Sequence[str],
    given: TaskInput,
    recipe: str,
    home: Home,
    budget: Budget,
    threads: Threads,
    json_lines: bool,
) -> None:
    from slm_explorer.chat import TaskAsk

    with open_services(home, budget, threads) as services:
        printer = Printer(json_lines)
        for model in models:
            ask = TaskAsk(model, given, recipe)
            printer.task(ask, services.chat.perform(ask, threading.Event()))

"""The command line: each command parses its words, calls one service and prints.

With --json, stdout carries JSON Lines and nothing else; progress and errors go to stderr.
Exit codes: 0 success, 2 a wrong call, 1 anything that failed, 130 interrupted.
"""

from __future__ import annotations

import os
import sys
import threading
import time
import traceback
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from slm_explorer.errors import InvalidRequest, SlmError
from slm_explorer.printing import Printer
from slm_explorer.settings import Settings, parse_bytes
from slm_explorer.types import Message, Sampling

if TYPE_CHECKING:
    from slm_explorer.services import Services

app = typer.Typer(
    name="slm-explorer",
    help="Explore and compare small language models.",
    epilog="Add --debug to any command to see the traceback of an error.",
    add_completion=False,
    pretty_exceptions_enable=False,
    no_args_is_help=False,
)
space_app = typer.Typer(help="Build a Hugging Face Space.")
app.add_typer(space_app, name="space")

Home = Annotated[Path | None, typer.Option(help="Folder for history and caches.")]
Budget = Annotated[
    str | None,
    typer.Option("--memory-budget", help="Memory for all models together, like 4GB."),
]
Threads = Annotated[int | None, typer.Option(min=1, help="CPU threads a model uses.")]
Json = Annotated[bool, typer.Option("--json", help="Print JSON Lines.")]
Models = Annotated[
    list[str], typer.Argument(metavar="MODEL...", help="A card's id, a Hub id, or a folder.")
]
Recipe = Annotated[str, typer.Option(help="native, f32, bf16 or f16.")]


def main(argv: Sequence[str] | None = None) -> None:
    """Run the command line; `serve` where no command is named."""
    words = list(sys.argv[1:] if argv is None else argv)
    debug = "--debug" in words
    words = [word for word in words if word != "--debug"]
    if not words or (words[0].startswith("-") and words[0] not in ("--help", "--version")):
        words.insert(0, "serve")
    try:
        app(words)
    except KeyboardInterrupt:
        sys.exit(130)
    except BrokenPipeError:
        # The reader of our output went away; flushing at exit would only complain again.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(1)
    except Exception as error:  # the boundary to the user: one sentence, never a traceback
        if debug:
            traceback.print_exc()
        known = isinstance(error, SlmError)
        message = str(error) if known else f"{type(error).__name__}: {error} (see --debug)"
        print("error: " + " ".join(message.split()), file=sys.stderr)
        sys.exit(error.exit_code if isinstance(error, SlmError) else 1)


@contextmanager
def _services(home: Path | None, budget: str | None, threads: int | None) -> Iterator[Services]:
    """The object graph for one command; every worker is gone afterwards."""
    from slm_explorer.services import build_services

    services = build_services(_settings(home, budget, threads))
    try:
        yield services
    finally:
        services.close()


def _settings(home: Path | None, budget: str | None, threads: int | None) -> Settings:
    settings = Settings.from_env()
    if home is not None:
        settings = replace(settings, home=home.expanduser())
    if budget is not None:
        settings = replace(settings, memory_budget=parse_bytes(budget))
    return settings if threads is None else replace(settings, threads=threads)


def _version(wanted: bool) -> None:
    if wanted:
        from slm_explorer import __version__

        print(__version__)
        raise typer.Exit


@app.callback()
def _root(
    version: Annotated[bool, typer.Option("--version", callback=_version, is_eager=True)] = False,
) -> None:
    del version


@app.command()
def serve(
    host: Annotated[str | None, typer.Option(help="Address to listen on.")] = None,
    port: Annotated[int | None, typer.Option(min=1, max=65535)] = None,
    offline: Annotated[bool, typer.Option(help="Never use the network.")] = False,
    home: Home = None,
    memory_budget: Budget = None,
    threads: Threads = None,
) -> None:
    """Start the web app (also the default)."""
    from slm_explorer.services import build_services

    settings = _settings(home, memory_budget, threads)
    settings = replace(
        settings,
        host=host or settings.host,
        port=port or settings.port,
        offline=offline or settings.offline,
    )
    services = build_services(settings)
    try:
        # Workers' libraries load while the page's do: both take seconds, on different cores.
        services.manager.prewarm()
        from slm_explorer.ui.server import serve as serve_page

        serve_page(services)
    finally:
        services.close()


@app.command()
def models(
    search: Annotated[str, typer.Argument(help="Words that must all match.")] = "",
    home: Home = None,
    memory_budget: Budget = None,
    threads: Threads = None,
    json_lines: Json = False,
) -> None:
    """List the catalog, and whether each model fits this machine."""
    with _services(home, memory_budget, threads) as services:
        Printer(json_lines).table(services.model_rows(search), "models")


@app.command()
def chat(
    models: Models,
    prompt: Annotated[str, typer.Option(help="What to say, or with --raw to complete.")],
    system: Annotated[str, typer.Option(help="System prompt.")] = "",
    recipe: Recipe = "native",
    engine: Annotated[str, typer.Option(help="torch, transformers or echo.")] = "torch",
    raw: Annotated[bool, typer.Option(help="Complete the prompt as it is.")] = False,
    max_tokens: Annotated[int, typer.Option(help="Length limit of the answer.")] = 256,
    temperature: Annotated[float, typer.Option(help="0 is greedy.")] = 0.0,
    top_p: Annotated[float, typer.Option(help="Keep the likeliest tokens of this mass.")] = 1.0,
    seed: Annotated[int, typer.Option(help="Same seed, same answer.")] = 0,
    home: Home = None,
    memory_budget: Budget = None,
    threads: Threads = None,
    json_lines: Json = False,
) -> None:
    """Ask one or more models the same thing, one after the other."""
    from slm_explorer.chat import Ask

    sampling = Sampling(temperature=temperature, top_p=top_p, seed=seed, max_tokens=max_tokens)
    messages: tuple[Message, ...] = ()
    if not raw:
        start = (Message("system", system),) if system else ()
        messages = (*start, Message("user", prompt))
    with _services(home, memory_budget, threads) as services:
        printer = Printer(json_lines)
        for model in models:
            ask = Ask(
                model=model,
                messages=messages,
                raw=prompt if raw else None,
                recipe=recipe,
                engine=engine,
                sampling=sampling,
            )
            printer.answer(ask, services.chat.stream(ask, threading.Event()))


@app.command()
def bench(
    model: Annotated[str | None, typer.Argument(metavar="[MODEL]")] = None,
    shape: Annotated[
        str | None,
        typer.Option(help="Random weights in this card's real shape; nothing is downloaded."),
    ] = None,
    recipe: Recipe = "native",
    engine: Annotated[
        list[str] | None,
        typer.Option(help="Repeat it to measure engines against each other in turns."),
    ] = None,
    prompt_tokens: Annotated[int, typer.Option(help="Tokens to read.")] = 64,
    max_tokens: Annotated[int, typer.Option(help="Tokens to write.")] = 64,
    repeats: Annotated[int, typer.Option(help="Timed rounds after a warm-up.")] = 3,
    home: Home = None,
    memory_budget: Budget = None,
    threads: Threads = None,
    json_lines: Json = False,
) -> None:
    """Measure load, first token, prefill and decode speed, and memory."""
    from slm_explorer.bench import BenchPlan

    if (model is None) == (shape is None):
        raise InvalidRequest("Name a MODEL, or a card's shape with --shape: one of the two.")
    plan = BenchPlan(prompt_tokens, max_tokens, repeats)
    printer = Printer(json_lines)
    with _services(home, memory_budget, threads) as services:
        rows = services.bench(model, shape, recipe, engine or ["torch"], plan, printer.progress)
        printer.table(rows, "bench")


@app.command()
def evaluate(
    models: Models,
    recipe: Recipe = "native",
    text: Annotated[
        Path | None,
        typer.Option(help="A UTF-8 file: bits per byte and perplexity on it."),
    ] = None,
    suite: Annotated[
        str | None,
        typer.Option(help="One skill; without it and without --text: all skills."),
    ] = None,
    home: Home = None,
    memory_budget: Budget = None,
    threads: Threads = None,
    json_lines: Json = False,
) -> None:
    """Measure quality: skills with known answers, or how well a text is predicted."""
    printer = Printer(json_lines)
    with _services(home, memory_budget, threads) as services:
        for row in services.evaluate(models, recipe, text, suite, printer.progress):
            printer.table([row], "evaluate")


@app.command()
def meters(
    watch: Annotated[bool, typer.Option(help="Print again every second.")] = False,
    home: Home = None,
    memory_budget: Budget = None,
    threads: Threads = None,
    json_lines: Json = False,
) -> None:
    """Show what this machine's devices are doing."""
    with _services(home, memory_budget, threads) as services:
        printer = Printer(json_lines)
        printer.meters(services.meters_row())
        while watch:
            time.sleep(1.0)
            printer.meters(services.meters_row())


@app.command()
def doctor(
    home: Home = None,
    memory_budget: Budget = None,
    threads: Threads = None,
    json_lines: Json = False,
) -> None:
    """Show versions, devices, limits, and what is missing and what to type."""
    from slm_explorer.doctor import examine

    with _services(home, memory_budget, threads) as services:
        Printer(json_lines).doctor(examine(services))


@space_app.command("build")
def space_build(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="A new or empty folder.")],
    home: Home = None,
    memory_budget: Budget = None,
    threads: Threads = None,
    json_lines: Json = False,
) -> None:
    """Write a complete Space that starts with `python app.py`."""
    from slm_explorer.space import build_space

    del home, memory_budget, threads  # every command takes them; this one measures nothing
    Printer(json_lines).row({"folder": str(folder), "files": build_space(folder)})

"""The commands that serve, ask, measure and inspect."""

from __future__ import annotations

import os
import threading
import time
from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer

from slm_explorer.cli.options import (
    Budget,
    Home,
    Json,
    Models,
    Recipe,
    Threads,
    open_services,
    read_settings,
)
from slm_explorer.errors import InvalidRequest
from slm_explorer.printing import Printer
from slm_explorer.types import Message, Sampling

app = typer.Typer()


@app.command()
def serve(
    host: Annotated[str | None, typer.Option(help="Address to listen on.")] = None,
    port: Annotated[int | None, typer.Option(min=1, max=65535)] = None,
    offline: Annotated[bool, typer.Option(help="Never use the network.")] = False,
    class_mode: Annotated[
        bool,
        typer.Option(
            "--class",
            help="Begin a class: print its code and the teacher's key, listen on all "
            "addresses unless --host says otherwise.",
        ),
    ] = False,
    home: Home = None,
    memory_budget: Budget = None,
    threads: Threads = None,
) -> None:
    """Start the web app (also the default)."""
    from slm_explorer.services import build_services

    settings = read_settings(home, memory_budget, threads)
    everywhere = os.environ.get("SLM_EXPLORER_HOST") or "0.0.0.0"
    settings = replace(
        settings,
        host=host or (everywhere if class_mode else settings.host),
        port=port or settings.port,
        offline=offline or settings.offline,
        class_mode=class_mode or settings.class_mode,
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
    with open_services(home, memory_budget, threads) as services:
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
    recipe: Annotated[
        list[str] | None,
        typer.Option(help="Repeat it to measure recipes against each other in turns."),
    ] = None,
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
    with open_services(home, memory_budget, threads) as services:
        rows = services.bench(
            model,
            shape,
            recipe or ["native"],
            engine or ["torch"],
            plan,
            printer.progress,
            threading.Event(),
        )
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
    with open_services(home, memory_budget, threads) as services:
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
    with open_services(home, memory_budget, threads) as services:
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

    with open_services(home, memory_budget, threads) as services:
        Printer(json_lines).doctor(examine(services))

"""The command that makes a model smaller, and proves what it gained and lost."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Annotated

import typer

from slm_explorer.cli.options import Budget, Home, Json, Threads, open_services
from slm_explorer.printing import Printer

app = typer.Typer()


@app.command()
def compress(
    model: Annotated[str, typer.Argument(help="A card's id, a Hub id, or a folder.")],
    recipe: Annotated[
        str,
        typer.Option(
            help="int8, int4, int4-refined, bf16, f16 or f32, after structural steps if you like: "
            "drop-layers:2+int4."
        ),
    ],
    out: Annotated[Path, typer.Option(help="The new folder; it must not exist yet.")],
    proof: Annotated[
        bool, typer.Option("--proof/--no-proof", help="Measure both models afterwards.")
    ] = True,
    home: Home = None,
    memory_budget: Budget = None,
    threads: Threads = None,
    json_lines: Json = False,
) -> None:
    """Write a smaller model into a new folder, and measure it beside its parent."""
    from slm_explorer.compress import CompressionProgress, compress
    from slm_explorer.compression.workspace import check_target
    from slm_explorer.proof import compression_row, prove

    printer = Printer(json_lines)
    out = out.expanduser().absolute()
    check_target(out)
    with open_services(home, memory_budget, threads) as services:
        found = services.chat.resolve(model)
        cancel = threading.Event()
        said = -1
        stage = ""
        for event in compress(found.path, out, recipe, threads=services.threads, cancel=cancel):
            if not isinstance(event, CompressionProgress):
                row = compression_row(found.id, out, event)
            elif int(event.fraction * 10) > said or event.stage != stage:
                said, stage = int(event.fraction * 10), event.stage
                printer.progress(f"{found.id}: {event.fraction:.0%} compressed, at {stage}")
        if proof:
            row |= prove(services, found.path, out, printer.progress, cancel)
        printer.compression(row)

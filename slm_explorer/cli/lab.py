"""The commands for the lab's finished runs: list them, read a report, take one out, delete one."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Annotated

import typer

from slm_explorer.cli.options import Budget, Home, Json, Threads, open_services
from slm_explorer.printing import Printer

app = typer.Typer()
lab = typer.Typer(help="The lab's runs: what was made smaller on the page, and what it proved.")
app.add_typer(lab, name="lab")

RunId = Annotated[str, typer.Argument(metavar="RUN", help="A run's id, as `lab list` shows it.")]


@lab.command("list")
def list_runs(
    home: Home = None,
    memory_budget: Budget = None,
    threads: Threads = None,
    json_lines: Json = False,
) -> None:
    """List the runs, newest first; a finished one's model is MODEL lab/RUN for other commands."""
    with open_services(home, memory_budget, threads) as services:
        rows = [
            {
                "id": run.id,
                "model": run.order.model,
                "recipe": run.order.recipe,
                "state": run.state,
                "created_at": run.created_at,
                "seconds": run.seconds,
                "offered_as": run.model_id,
                "error": run.error,
            }
            for run in services.lab.runs()
        ]
        Printer(json_lines).table(rows, "runs")


@lab.command()
def report(
    run: RunId,
    html: Annotated[Path | None, typer.Option(help="Write the page there instead.")] = None,
    home: Home = None,
    memory_budget: Budget = None,
    threads: Threads = None,
    json_lines: Json = False,
) -> None:
    """Show what a run measured, or write its page into a file."""
    with open_services(home, memory_budget, threads) as services:
        page, found = services.lab.report_html(run), services.lab.run(run).report
        if html is not None:
            shutil.copyfile(page, html)
        elif found is not None:
            Printer(json_lines).compression(found)


@lab.command()
def archive(
    run: RunId,
    out: Annotated[Path, typer.Option(help="The zip file to write.")],
    home: Home = None,
    memory_budget: Budget = None,
    threads: Threads = None,
) -> None:
    """Write a run's model, its reports and how to load it into one zip."""
    with open_services(home, memory_budget, threads) as services:
        shutil.copyfile(services.lab.archive(run), out)


@lab.command()
def delete(
    run: RunId,
    home: Home = None,
    memory_budget: Budget = None,
    threads: Threads = None,
) -> None:
    """Delete a run with its model."""
    with open_services(home, memory_budget, threads) as services:
        services.lab.delete(run)

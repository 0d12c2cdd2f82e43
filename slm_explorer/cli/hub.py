"""The commands for models of the Hugging Face Hub and for those on this disk."""

from __future__ import annotations

import time
from typing import Annotated

import typer

from slm_explorer.cli.options import Budget, Home, Json, Threads, open_services
from slm_explorer.errors import error_of_kind
from slm_explorer.printing import Printer
from slm_explorer.units import format_bytes

app = typer.Typer()

HubId = Annotated[str, typer.Argument(metavar="ID", help="A Hub id like owner/name, or a card's.")]
Revision = Annotated[str | None, typer.Option(help="A branch, a tag or a commit; main if none.")]


@app.command()
def lookup(
    model: HubId,
    revision: Revision = None,
    home: Home = None,
    memory_budget: Budget = None,
    threads: Threads = None,
    json_lines: Json = False,
) -> None:
    """Show what the Hub says of a model, and whether it can be used here; downloads no weights."""
    with open_services(home, memory_budget, threads) as services:
        found = services.hub.look_up(model, revision)
        row = found.row()
        if not json_lines:
            row |= {"formats": ", ".join(found.formats), "problem": found.problem or "none"}
        Printer(json_lines).row(row)


@app.command()
def download(
    model: HubId,
    revision: Revision = None,
    home: Home = None,
    memory_budget: Budget = None,
    threads: Threads = None,
    json_lines: Json = False,
) -> None:
    """Download a model into the Hugging Face cache; what a cut leaves is continued next time."""
    with open_services(home, memory_budget, threads) as services:
        printer = Printer(json_lines)
        state = services.hub.download(model, revision)
        try:
            said = ""
            for state in services.hub.follow(model, every_s=1.0):
                line = f"{state.hub_id}: {state.sentence}"
                if line != said and state.error is None:
                    said = line
                    printer.progress(line)
        except KeyboardInterrupt:
            stopped = services.hub.cancel(model) or state
            printer.progress(
                f"stopped; {format_bytes(stopped.bytes_done)} of "
                f"{format_bytes(stopped.bytes_total)} are kept: the same command continues"
            )
            raise
        if state.error is not None:
            raise error_of_kind(state.error_kind or "", state.error)
        printer.row(state.row())


@app.command()
def local(
    delete: Annotated[
        str | None, typer.Option(metavar="ID", help="Delete this model of the cache.")
    ] = None,
    home: Home = None,
    memory_budget: Budget = None,
    threads: Threads = None,
    json_lines: Json = False,
) -> None:
    """List the models on this disk, or delete one of the cache's."""
    with open_services(home, memory_budget, threads) as services:
        printer = Printer(json_lines)
        if delete is not None:
            printer.row({"deleted": delete, "freed_bytes": services.hub.delete(delete)})
            return
        rows = [model.row() for model in services.hub.local_models()]
        if not json_lines:
            for row in rows:
                row["revision"] = str(row["revision"] or "n/a")[:7]
                row["last_used"] = _day(row["last_used"])
                row["problem"] = row["problem"] or "none"
        printer.table(rows, "local")


def _day(value: object) -> str:
    if not isinstance(value, float):
        return "n/a"
    return time.strftime("%Y-%m-%d", time.localtime(value))

"""What every command shares: its options, and the services that it opens with them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from slm_explorer.settings import Settings, parse_bytes

if TYPE_CHECKING:
    from slm_explorer.services import Services

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


@contextmanager
def open_services(home: Path | None, budget: str | None, threads: int | None) -> Iterator[Services]:
    """The object graph for one command; every worker is gone afterwards."""
    from slm_explorer.services import build_services

    services = build_services(read_settings(home, budget, threads))
    try:
        yield services
    finally:
        services.close()


def read_settings(home: Path | None, budget: str | None, threads: int | None) -> Settings:
    settings = Settings.from_env()
    if home is not None:
        settings = replace(settings, home=home.expanduser())
    if budget is not None:
        settings = replace(settings, memory_budget=parse_bytes(budget))
    return settings if threads is None else replace(settings, threads=threads)

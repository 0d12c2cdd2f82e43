"""The commands that put the app on Hugging Face Spaces."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from slm_explorer.cli.options import Budget, Home, Json, Threads, read_settings
from slm_explorer.printing import Printer

app = typer.Typer()
_group = typer.Typer(help="Build a Hugging Face Space, and push it.")
app.add_typer(_group, name="space")


@_group.command("build")
def build(
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


@_group.command("push")
def push(
    repo_id: Annotated[str, typer.Argument(metavar="OWNER/NAME", help="The Space's name.")],
    private: Annotated[bool, typer.Option(help="Nobody but you may see it.")] = False,
    hardware: Annotated[
        str | None, typer.Option(help="The Hub's name of it, such as cpu-basic or zero-a10g.")
    ] = None,
    home: Home = None,
    memory_budget: Budget = None,
    threads: Threads = None,
    json_lines: Json = False,
) -> None:
    """Build the Space and upload it with your own sign-in (`hf auth login`, or HF_TOKEN)."""
    from slm_explorer.space import push_space

    settings = read_settings(home, memory_budget, threads)
    url, files = push_space(settings, repo_id, private=private, hardware=hardware)
    Printer(json_lines).row({"url": url, "files": files})

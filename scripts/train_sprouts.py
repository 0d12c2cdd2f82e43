"""Make the Sprouts' text, train them, judge them and write them to assets/sprouts.

    python scripts/train_sprouts.py all

or one stage at a time: `data`, `suites`, `train NAME`, `export NAME`. A stage that was cut off goes
on from its last checkpoint.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))  # the app's package, uninstalled

app = typer.Typer(add_completion=False, no_args_is_help=True)

ASSETS = Path(__file__).resolve().parent.parent / "assets"
Work = Annotated[Path, typer.Option(help="Where data and checkpoints go.")]
WORK = Path.home() / ".cache/slm-explorer/training"


@app.command()
def data(work: Work = WORK, tokens: int = 34_000_000) -> None:
    """Train the tokenizer and write the training text as tokens."""
    from sprouts.data import make_tokenizer, write_data
    from sprouts.tokenizer import save_tokenizer

    tokenizer = make_tokenizer()
    save_tokenizer(tokenizer, work / "tokenizer")
    typer.echo(f"{write_data(tokenizer, work / 'data', tokens):,} tokens")


@app.command()
def train(name: str, work: Work = WORK, processes: int = 2, steps: int | None = None) -> None:
    """Train one model, or go on with it."""
    import torch
    from sprouts.family import FAMILY
    from sprouts.trainer import train as run

    (work / f"{name}.meeting").unlink(missing_ok=True)
    plan = (processes, FAMILY[name], work, steps)
    torch.multiprocessing.spawn(run, args=plan, nprocs=processes)


@app.command()
def suites() -> None:
    """Write the held-out suites and the held-out prose."""
    from sprouts.suites import write_suites

    write_suites(ASSETS / "evaluation")


@app.command()
def export(name: str, work: Work = WORK, out: Path = ASSETS / "sprouts") -> None:
    """Write a trained model's last checkpoint as a Hugging Face folder, without its card."""
    from sprouts.export import export as write
    from sprouts.family import FAMILY

    write(FAMILY[name], work, out / name)


if __name__ == "__main__":
    app()

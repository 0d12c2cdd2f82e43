"""Make the Sprouts' text, train them, judge them and write them to assets/sprouts.

    python scripts/train_sprouts.py all

or one stage at a time: `data`, `suites`, `train NAME`, `finish NAME`. A stage that was cut off goes
on from its last checkpoint.
"""

from __future__ import annotations

import json
import shutil
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
def data(work: Work = WORK, tokens: int = 17_000_000, review: int = 17_600_000) -> None:
    """Train the tokenizer and write the training text and the review as tokens."""
    from sprouts.data import make_tokenizer, write_data
    from sprouts.tokenizer import save_tokenizer

    tokenizer = make_tokenizer()
    save_tokenizer(tokenizer, work / "tokenizer")
    typer.echo(f"{write_data(tokenizer, work / 'data', tokens):,} tokens")
    typer.echo(f"{write_data(tokenizer, work / 'review', review, review=True):,} tokens of review")


@app.command()
def train(name: str, work: Work = WORK, processes: int = 2, steps: int | None = None) -> None:
    """Train one model, or go on with it."""
    from sprouts.family import FAMILY
    from sprouts.trainer import train as run
    from torch.multiprocessing.spawn import spawn

    (work / f"{name}.meeting").unlink(missing_ok=True)
    plan = (processes, FAMILY[name], work, steps)
    spawn(run, args=plan, nprocs=processes)  # type: ignore[no-untyped-call]


@app.command()
def suites() -> None:
    """Write the held-out suites and the held-out prose."""
    from sprouts.suites import write_suites

    write_suites(ASSETS / "evaluation")


@app.command()
def finish(
    name: str,
    work: Work = WORK,
    out: Path = ASSETS / "sprouts",
    threads: int = 2,
    limit: Annotated[int | None, typer.Option(help="Judge by so many prompts a skill.")] = None,
) -> None:
    """Write a trained model's checkpoint, judge it by the suites, and write its card."""
    import torch
    from sprouts.card import LOG, RESULTS, write_card
    from sprouts.evaluate import evaluation, load
    from sprouts.export import export
    from sprouts.family import FAMILY

    torch.set_num_threads(threads)
    member, folder = FAMILY[name], out / name
    export(member, work, folder)
    shutil.copyfile(work / name / "log.jsonl", folder / LOG)
    model, tokenizer = load(folder)
    results = evaluation(model, tokenizer, ASSETS, limit)
    (folder / RESULTS).write_text(json.dumps(results, indent=1) + "\n")
    write_card(member, model.num_parameters(), folder)
    typer.echo(json.dumps(results))


@app.command(name="all")
def everything(work: Work = WORK) -> None:
    """Do every stage, from nothing to the cards."""
    from sprouts.family import FAMILY

    data(work)
    suites()
    for name in FAMILY:
        train(name, work)
        finish(name, work)


if __name__ == "__main__":
    app()

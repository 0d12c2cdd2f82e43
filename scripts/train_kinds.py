"""Make the shipped encoders and the text-to-text model: their text, training, suites and cards.

    python scripts/train_kinds.py all

or one stage at a time: `tokenizers`, `suites`, `train NAME`, `finish NAME`. A training that was cut
off goes on from its last checkpoint. `time` measures the distilled student against its teacher.
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
Work = Annotated[Path, typer.Option(help="Where checkpoints go.")]
WORK = Path.home() / ".cache/slm-explorer/training"


@app.command()
def tokenizers(work: Work = WORK) -> None:
    """Train the two tokenizers."""
    from kinds.make_tokenizers import make_tokenizers

    make_tokenizers(work)


@app.command()
def train(name: str, work: Work = WORK, steps: int | None = None) -> None:
    """Train one model, or go on with it."""
    from kinds.trainer import train as run

    run(name, work, steps)


@app.command()
def suites() -> None:
    """Write the held-out suites."""
    from kinds.suites import write_suites

    write_suites(ASSETS / "evaluation")


@app.command()
def finish(name: str, work: Work = WORK, out: Path = ASSETS / "sprouts", threads: int = 2) -> None:
    """Write a trained model's checkpoint, judge it by its suites, and write its card."""
    import torch
    from kinds.card import LOG, RESULTS, tasks_of_member, write_card
    from kinds.evaluate import evaluation
    from kinds.export import export
    from kinds.family import FAMILY, checkpoint

    torch.set_num_threads(threads)
    member, folder = FAMILY[name], out / name
    parameters = export(member, work, folder)
    shutil.copyfile(checkpoint(name, work).with_name("log.jsonl"), folder / LOG)
    results = evaluation(folder, tasks_of_member(folder), ASSETS)
    (folder / RESULTS).write_text(json.dumps(results, indent=1) + "\n")
    write_card(member, parameters, folder)
    typer.echo(json.dumps(results))


@app.command(name="time")
def time_both(
    sprouts: Annotated[Path, typer.Option(help="Where the models lie.")] = ASSETS / "sprouts",
    threads: int = 1,
    rounds: int = 300,
) -> None:
    """Measure the distilled sentiment model against its teacher, in turns, at batch 1 and 16."""
    import torch
    from kinds.family import DISTILLED_SENTIMENT, SENTIMENT
    from kinds.timing import times

    torch.set_num_threads(threads)
    folders = {name: sprouts / name for name in (SENTIMENT, DISTILLED_SENTIMENT)}
    for batch in (1, 16):
        rows = times(folders, ASSETS, batch, rounds)
        share = rows[DISTILLED_SENTIMENT]["median_ms"] / rows[SENTIMENT]["median_ms"]
        row = {"batch": batch, "threads": threads, "rounds": rounds, **rows, "share": share}
        typer.echo(json.dumps(row))


@app.command(name="all")
def everything(work: Work = WORK) -> None:
    """Do every stage, from nothing to the cards."""
    from kinds.family import FAMILY

    tokenizers(work)
    suites()
    for name in FAMILY:
        train(name, work)
        finish(name, work)


if __name__ == "__main__":
    app()

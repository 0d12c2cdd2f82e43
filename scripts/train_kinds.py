"""Make the shipped encoders and the text-to-text model: their text, training, suites and cards.

    python scripts/train_kinds.py all

or one stage at a time: `tokenizers`, `suites`, `train NAME`, `finish NAME`. A training that was cut
off goes on from its last checkpoint. `time` measures the distilled student against its teacher.
"""

from __future__ import annotations

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


if __name__ == "__main__":
    app()

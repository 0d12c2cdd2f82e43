"""A checkpoint of a card's real blocks with random weights, placed in a cache of its own, so that
the page can run a model of that size where none can be downloaded.

Its vocabulary and tokenizer are the Sprouts': every token it draws has a text to show.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

from measure.checkpoint import write_checkpoint
from slm_explorer.assets import asset_folder
from slm_explorer.catalog.catalog import Catalog
from slm_explorer.catalog.hfconfig import shape_config


def place_shape(card_id: str, cache: Path, recipe: str = "native") -> None:
    """Write the checkpoint where the Hugging Face cache would keep the card's model, compressed
    by `recipe` where that is one of the app's.
    """
    assets = asset_folder()
    card = Catalog.load(assets).get(card_id)
    donor = assets / "sprouts" / "sprout-5m"
    vocabulary = json.loads((donor / "config.json").read_text(encoding="utf-8"))["vocab_size"]
    config = {**shape_config(card), "vocab_size": vocabulary, "pad_token_id": None}
    repository = cache / ("models--" + (card.hub_id or card.id).replace("/", "--"))
    revision = "0" * 40
    target = repository / "snapshots" / revision
    target.parent.mkdir(parents=True)
    (repository / "refs").mkdir()
    (repository / "refs" / "main").write_text(revision, encoding="utf-8")
    whole = target if recipe == "native" else cache / "whole"
    write_checkpoint(whole, config)
    if whole != target:
        app = [sys.executable, "-m", "slm_explorer", "compress", str(whole), "--recipe", recipe]
        subprocess.run([*app, "--out", str(target), "--no-proof"], check=True, stdout=sys.stderr)

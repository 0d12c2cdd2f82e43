"""Compress a checkpoint in a card's real shape from disk to disk, and chat with what comes out.

    python scripts/measure_streaming.py tinyllama-1-1b-chat-v1-0 mistral-7b-v0-1 --recipe int4

The checkpoint has random bf16 weights in shards of at most 2 GB, written layer by layer. It is
read twice, so that the second run finds the disk warm where memory allows. Peaks are private
memory (USS) of the process that compresses, and of the worker that chats. A JSON line a card.
Needs free disk of 2.6 bytes a parameter.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path

from measure.checkpoint import write_checkpoint

from slm_explorer.assets import asset_folder
from slm_explorer.catalog.catalog import Catalog
from slm_explorer.catalog.hfconfig import shape_config


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("cards", nargs="+")
    parser.add_argument("--recipe", default="int4")
    words = parser.parse_args()
    catalog = Catalog.load(asset_folder())
    for name in words.cards:
        with tempfile.TemporaryDirectory(prefix="slm-streaming-") as folder:
            print(json.dumps(measure(catalog, name, words.recipe, Path(folder))), flush=True)


def measure(catalog: Catalog, name: str, recipe: str, folder: Path) -> dict[str, object]:
    """Seconds, and bytes on disk and at the peak of both processes."""
    whole, small = folder / "whole", folder / "small"
    write_checkpoint(whole, {**shape_config(catalog.get(name)), "eos_token_id": None})
    order = ["compress", str(whole), "--recipe", recipe, "--no-proof", "--json"]
    first = _app(*order, "--out", str(folder / "first"))
    second = _app(*order, "--out", str(small))
    chat = _app("chat", str(small), "--prompt", "Hello", "--max-tokens", "32", "--json")
    return {
        "card": name,
        "recipe": recipe,
        "source_bytes": _size(whole),
        "bytes": _size(small),
        "seconds_cold": first["seconds"],
        "seconds": second["seconds"],
        "peak_memory_bytes": second["peak_memory_bytes"],
        "chat_peak_memory_bytes": chat["peak_memory_bytes"],
        "chat_decode_tps": chat["decode_tps"],
    }


def _app(*words: str) -> dict[str, object]:
    """The last line of a command of the app."""
    command = [sys.executable, "-m", "slm_explorer", *words]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
    row: dict[str, object] = json.loads(done.stdout.splitlines()[-1])
    return row


def _size(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.glob("*.safetensors"))


if __name__ == "__main__":
    main()

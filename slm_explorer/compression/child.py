"""The process that compresses: one order, told as JSON lines, and then it ends.

A process of its own so that its memory is its own and measured, and a crash ends nothing else.

stdin: one line with the order; when it closes, nobody wants the result any more.
stdout: lines with "fraction" (and "layer" where one is done), and one last with "result" or
"error".
"""

from __future__ import annotations

import io
import json
import os
import sys
import threading
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

from slm_explorer.compression.recipes import LayerReport
from slm_explorer.errors import SlmError, WorkerError

Say = Callable[[dict[str, object]], None]

# How long a stopped run may take to notice it and to clean up.
_GRACE_S = 20.0


def main() -> None:
    # What libraries print goes to stderr; stdout is for the app.
    lines = io.TextIOWrapper(os.fdopen(os.dup(1), "wb"), "utf-8", line_buffering=True)
    os.dup2(2, 1)
    gone = threading.Event()

    def say(values: dict[str, object]) -> None:
        try:
            lines.write(json.dumps(values) + "\n")
        except BrokenPipeError:
            gone.set()

    order: dict[str, Any] = json.loads(sys.stdin.buffer.readline())
    threading.Thread(target=_watch, args=(gone,), daemon=True).start()
    try:
        say({"result": _work(order, gone, say)})
    except Exception as error:  # the child's boundary: every failure becomes a sentence
        say(_told(error))
    os._exit(0)


def _work(order: dict[str, Any], gone: threading.Event, say: Say) -> dict[str, object]:
    import torch

    torch.set_num_threads(int(order["threads"]))
    if order["do"] == "compare":
        return _compare(order, gone, say)
    from slm_explorer.compression.streaming import compress_checkpoint

    def report(fraction: float, layer: LayerReport | None) -> None:
        say({"fraction": fraction, "layer": None if layer is None else layer.row()})

    done = compress_checkpoint(
        Path(order["source"]), Path(order["out"]), order["recipe"], report, gone.is_set
    )
    return asdict(done)


def _compare(order: dict[str, Any], gone: threading.Event, say: Say) -> dict[str, object]:
    from slm_explorer.compression.divergence import compare

    found = compare(
        Path(order["source"]),
        Path(order["out"]),
        order["text"],
        window=int(order["window"]),
        threads=int(order["threads"]),
        report=lambda fraction: say({"fraction": fraction, "layer": None}),
        stop=gone,
    )
    return asdict(found)


def _told(error: Exception) -> dict[str, object]:
    if isinstance(error, SlmError):
        return {"error": str(error), "kind": type(error).__name__}
    if isinstance(error, MemoryError):
        sentence = "The memory ran out while compressing: unload models and try again."
    else:
        detail = (str(error).strip().splitlines() or [""])[0][:200]
        sentence = (
            f"The compression failed unexpectedly ({type(error).__name__}: {detail}): try again, "
            "and report it if it stays."
        )
    return {"error": sentence, "kind": WorkerError.__name__}


def _watch(gone: threading.Event) -> None:
    """Notice that the app has hung up. The run ends by itself and deletes what it has written;
    one that does not is ended, and what it leaves is found at the next start.
    """
    while sys.stdin.buffer.read(1):
        continue
    gone.set()
    threading.Event().wait(_GRACE_S)
    os._exit(1)


if __name__ == "__main__":
    main()

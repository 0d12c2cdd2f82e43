"""The process that compresses: one order, told as JSON lines, and then it ends.

A process of its own so that its memory is its own and measured, and a crash ends nothing else.

stdin: one line with the order; then "pause", "resume" or "finish" for a training, a line each;
when it closes, nobody wants the result any more.
stdout: lines with "fraction" ("layer" where one is done, "stage", "training"), and one last with
"result" or "error".
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
from slm_explorer.compression.training_plan import TrainingControl, TrainingPoint
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
    control = TrainingControl()
    threading.Thread(target=_watch, args=(gone, control), daemon=True).start()
    try:
        say({"result": _work(order, gone, say, control)})
    except Exception as error:  # the child's boundary: every failure becomes a sentence
        say(_told(error))
    os._exit(0)


def _work(
    order: dict[str, Any], gone: threading.Event, say: Say, control: TrainingControl
) -> dict[str, object]:
    import torch

    torch.set_num_threads(int(order["threads"]))
    if order["do"] == "compare":
        return _compare(order, gone, say)
    if order["do"] == "influence":
        return _influence(order, gone, say)
    return _compress(order, gone, say, control)


def _compress(
    order: dict[str, Any], gone: threading.Event, say: Say, control: TrainingControl
) -> dict[str, object]:
    from slm_explorer.compression.pipeline import Job, run_recipe

    def tell(
        fraction: float,
        *,
        stage: str,
        layer: LayerReport | None = None,
        training: TrainingPoint | None = None,
    ) -> None:
        say(
            {
                "fraction": fraction,
                "stage": stage,
                "layer": layer and layer.row(),
                "training": training and asdict(training),
            }
        )

    job = Job(
        source=Path(order["source"]),
        out=Path(order["out"]),
        recipe=order["recipe"],
        sample=order.get("sample", ""),
        text=order.get("text"),
        threads=int(order["threads"]),
        memory_bytes=order.get("memory_bytes"),
    )
    return asdict(run_recipe(job, tell, gone.is_set, control))


def _influence(order: dict[str, Any], gone: threading.Event, say: Say) -> dict[str, object]:
    from slm_explorer.compression.structure import measure_influence

    found = measure_influence(
        Path(order["source"]),
        order["text"],
        int(order["threads"]),
        lambda fraction: say({"fraction": fraction}),
        gone.is_set,
    )
    return asdict(found)


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
    # torch's own allocator says so in a RuntimeError.
    if isinstance(error, MemoryError) or "can't allocate memory" in str(error):
        sentence = "The memory ran out while compressing: unload models and try again."
    else:
        detail = (str(error).strip().splitlines() or [""])[0][:200]
        sentence = (
            f"The compression failed unexpectedly ({type(error).__name__}: {detail}): try again, "
            "and report it if it stays."
        )
    return {"error": sentence, "kind": WorkerError.__name__}


def _watch(gone: threading.Event, control: TrainingControl) -> None:
    """Pass on what a training is asked, and notice that the app has hung up.

    The run then ends by itself and deletes what it has written; one that does not is ended, and
    what it leaves is found at the next start.
    """
    asked = {b"pause": control.pause, b"resume": control.resume, b"finish": control.finish}
    for line in sys.stdin.buffer:
        asked[line.strip()]()
    gone.set()
    threading.Event().wait(_GRACE_S)
    os._exit(1)


if __name__ == "__main__":
    main()

"""Make a model smaller, and compare it with its parent: the app's side of both, which run in
processes of their own.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import slm_explorer
from slm_explorer.assets import asset_folder
from slm_explorer.compression.recipes import (
    CompressionResult,
    Divergence,
    LayerInfluence,
    LayerReport,
    StepReport,
    parse_recipe,
)
from slm_explorer.compression.training_plan import TrainingControl, TrainingPoint
from slm_explorer.compression.workspace import check_target
from slm_explorer.errors import WorkerCrashed, WorkerError, error_of_kind
from slm_explorer.types import ScoreWindow

# A run that was stopped deletes what it has written; this long it may take.
_GRACE_S = 25.0
# How soon a cancelled, paused or resumed run hears of it.
_LOOK_S = 0.2
# Tokens that both models read at a time, each window after its BOS.
WINDOW = 256
SAMPLE = "calibration.txt"
"""The asset that sample_text reads."""


@dataclass(frozen=True)
class CompressionProgress:
    """`fraction` (0 to 1) of the whole run is done; `stage` is the step that works, and `layer`
    or `training` what it has just got to.
    """

    fraction: float
    layer: LayerReport | None = None
    stage: str = ""
    training: TrainingPoint | None = None


def compress(
    source: Path,
    out: Path,
    recipe: str,
    *,
    threads: int,
    cancel: threading.Event,
    started: Callable[[int], None] | None = None,
    text: str | None = None,
    control: TrainingControl | None = None,
    memory_bytes: int | None = None,
) -> Iterator[CompressionProgress | CompressionResult]:
    """Write the checkpoint in `source` as the new folder `out`; ends with the result.

    `text` is what structural steps measure on, training steps learn from and refined ones read;
    without it the first read a shipped sample and the others what the model writes. `control`
    pauses, resumes or ends a training early; `memory_bytes` is what a training may take. `started`
    is told the number of the process that does it.

    Closing the iterator, or `cancel`, stops the run, and nothing of it is left. Raises what
    pipeline.run_recipe raises, and WorkerCrashed where its process died.
    """
    steps = parse_recipe(recipe)
    check_target(out)
    order = {
        "do": "compress",
        "source": str(source),
        "out": str(out),
        "recipe": recipe,
        "threads": threads,
        "text": text,
        "memory_bytes": memory_bytes,
    }
    if any(step.recipe.storage is None or step.recipe.refined for step in steps):
        order["sample"] = sample_text()
    for message in _told(order, cancel, started, control):
        if "result" in message:
            found = message["result"]
            layers = tuple(LayerReport(**layer) for layer in found.pop("layers"))
            reports = tuple(StepReport(**step) for step in found.pop("steps"))
            yield CompressionResult(layers=layers, steps=reports, **found)
        else:
            layer, point = message["layer"], message["training"]
            yield CompressionProgress(
                message["fraction"],
                None if layer is None else LayerReport(**layer),
                message["stage"],
                None if point is None else TrainingPoint(**point),
            )


def influence(
    source: Path,
    *,
    threads: int,
    cancel: threading.Event,
    started: Callable[[int], None] | None = None,
    text: str | None = None,
) -> Iterator[CompressionProgress | LayerInfluence]:
    """Measure what each layer does to `text`, or to a shipped sample; ends with the curve.

    Raises what structure.measure_influence raises, and WorkerCrashed where its process died.
    """
    order = {
        "do": "influence",
        "source": str(source),
        "text": sample_text() if text is None else text,
        "threads": threads,
    }
    for message in _told(order, cancel, started):
        if "result" in message:
            found = message["result"]
            without = found["losses_without"]
            yield LayerInfluence(
                influence=tuple(found["influence"]),
                loss=found["loss"],
                losses_without=None if without is None else tuple(without),
                tokens=found["tokens"],
            )
        else:
            yield CompressionProgress(message["fraction"], stage="influence")


def sample_text() -> str:
    """The shipped text that models read while it is measured which parts they can miss: stories,
    answers, letters and code in English, none of it in the text that both are compared on.
    """
    return (asset_folder() / SAMPLE).read_text(encoding="utf-8")


def compare(
    parent: Path,
    child: Path,
    text: str,
    *,
    threads: int,
    cancel: threading.Event,
    started: Callable[[int], None] | None = None,
) -> Iterator[CompressionProgress | Divergence]:
    """Read `text` with both checkpoints in one process; ends with how far they differ.

    Raises what divergence.compare raises, and WorkerCrashed where its process died.
    """
    order = {
        "do": "compare",
        "source": str(parent),
        "out": str(child),
        "text": text,
        "window": WINDOW,
        "threads": threads,
    }
    for message in _told(order, cancel, started):
        if "result" in message:
            found = message["result"]
            yield Divergence(
                before=tuple(ScoreWindow(**each) for each in found["before"]),
                after=tuple(ScoreWindow(**each) for each in found["after"]),
                kl=found["kl"],
                kl_interval=found["kl_interval"] and tuple(found["kl_interval"]),
                top1_agreement=found["top1_agreement"],
                top1_interval=found["top1_interval"] and tuple(found["top1_interval"]),
                measure=found["measure"],
            )
        else:
            yield CompressionProgress(message["fraction"])


def _told(
    order: dict[str, object],
    cancel: threading.Event,
    started: Callable[[int], None] | None,
    control: TrainingControl | None = None,
) -> Iterator[dict[str, Any]]:
    run = _Run(order)
    if started is not None:
        started(run.pid)
    watcher = threading.Thread(target=run.watch, args=(cancel, control), daemon=True)
    watcher.start()
    try:
        yield from run.messages()
    finally:
        run.close()
        watcher.join()


class _Run:
    """One child process and what it says."""

    def __init__(self, order: dict[str, object]) -> None:
        package = str(Path(slm_explorer.__file__).parent.parent)
        paths = [package, os.environ.get("PYTHONPATH", "")]
        self._ended = threading.Event()
        self._speaking = threading.Lock()
        try:
            self._child = subprocess.Popen(
                # -P: a file in the folder where the app was started must not replace a module.
                [sys.executable, "-P", "-m", "slm_explorer.compression.child"],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                env={
                    **os.environ,
                    "PYTHONUTF8": "1",
                    "PYTHONPATH": os.pathsep.join(path for path in paths if path),
                },
                # Ctrl-C in a terminal reaches every process of the group; the app ends this one.
                start_new_session=True,
            )
        except OSError as error:
            raise WorkerError(
                f"The process that compresses cannot start ({error.strerror}): try again."
            ) from None
        assert self._child.stdin is not None
        try:
            self._child.stdin.write(json.dumps(order).encode() + b"\n")
            self._child.stdin.flush()
        except BrokenPipeError:
            pass  # It died at once; reading its messages says so.

    @property
    def pid(self) -> int:
        return self._child.pid

    def messages(self) -> Iterator[dict[str, Any]]:
        assert self._child.stdout is not None
        for line in self._child.stdout:
            message: dict[str, Any] = json.loads(line)
            if "error" in message:
                raise error_of_kind(message["kind"], message["error"])
            yield message
            if "result" in message:
                return
        code = self._child.wait()
        likely = ", most likely because the memory ran out" if code == -9 else ""
        raise WorkerCrashed(
            f"The process that compresses has died (exit code {code}{likely}): unload models "
            "and try again."
        )

    def watch(self, cancel: threading.Event, control: TrainingControl | None) -> None:
        """Pass on what `control` is asked, and hang up once `cancel` is set; returns when the run
        has ended.
        """
        paused = finishing = False
        while not self._ended.is_set():
            if cancel.wait(_LOOK_S):
                self._hang_up()
                return
            if control is not None and control.paused != paused:
                paused = control.paused
                self._say("pause" if paused else "resume")
            if control is not None and control.finishing and not finishing:
                finishing = True
                self._say("finish")

    def close(self) -> None:
        """End it, and free its handles."""
        self._ended.set()
        self._hang_up()
        assert self._child.stdout is not None
        # First, so that a child does not wait for a reader who has left.
        self._child.stdout.close()
        try:
            self._child.wait(_GRACE_S)
        except subprocess.TimeoutExpired:
            self._child.kill()
            self._child.wait()

    def _say(self, word: str) -> None:
        assert self._child.stdin is not None
        with self._speaking:
            try:
                if not self._child.stdin.closed:
                    self._child.stdin.write(word.encode() + b"\n")
                    self._child.stdin.flush()
            except BrokenPipeError:
                return

    def _hang_up(self) -> None:
        assert self._child.stdin is not None
        with self._speaking:
            try:
                self._child.stdin.close()
            except BrokenPipeError:
                return

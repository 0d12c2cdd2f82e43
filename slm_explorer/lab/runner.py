"""One run from its order to its folder: make room, compress, measure, write the report.

The folder comes into being whole, beside its place, and is moved there at the very end: whoever
is killed meanwhile leaves nothing that could be taken for a model.
"""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from slm_explorer.catalog.checkpoint import inspect_checkpoint
from slm_explorer.catalog.resolve import ResolvedModel
from slm_explorer.chat import ChatService
from slm_explorer.compress import CompressionProgress, compress
from slm_explorer.compression.recipes import CompressionResult
from slm_explorer.compression.training_plan import TrainingControl
from slm_explorer.compression.workspace import new_folder
from slm_explorer.errors import Cancelled
from slm_explorer.lab.archive import loading_code
from slm_explorer.lab.history import MODEL, PAGE, REPORT
from slm_explorer.lab.report import Made, make_report
from slm_explorer.lab.report_html import report_page
from slm_explorer.lab.room import compressing_bytes, room_for
from slm_explorer.lab.types import Run
from slm_explorer.proof import prove
from slm_explorer.runtime.manager import ModelManager

# How often the memory of a run's process is read.
_LOOK_S = 0.5
# Prompts of each of the Sprouts' suites that both models answer.
SKILL_ITEMS = 10


class Job:
    """A run under way: its newest value, and what others ask of it. Safe from any thread."""

    def __init__(self, run: Run) -> None:
        self.cancel = threading.Event()
        self.control = TrainingControl()
        self._lock = threading.Lock()
        self._run = run
        self._began: float | None = None

    @property
    def run(self) -> Run:
        """The run as it is now, its seconds counted to this moment."""
        with self._lock:
            run, began = self._run, self._began
        if began is None or run.ended:
            return run
        return replace(run, seconds=time.monotonic() - began)

    def begin(self, **changes: object) -> None:
        """It leaves the queue."""
        with self._lock:
            self._began = time.monotonic()
        self.change(**changes)

    def change(self, **changes: object) -> None:
        with self._lock:
            if self._began is not None:
                changes.setdefault("seconds", time.monotonic() - self._began)
            self._run = replace(self._run, **changes)  # type: ignore[arg-type]


@dataclass(frozen=True)
class Tools:
    """What a proof works with, before there are services."""

    chat: ChatService
    manager: ModelManager
    assets: Path
    threads: int


@dataclass(frozen=True)
class Runner:
    """What every run works with. `folder` holds the runs; `process_memory` gives a process's
    private bytes, None where unknown; `budget` is what all models together may take; `note` is
    told when a compression begins and ends, for the meters' time axis.
    """

    tools: Tools
    folder: Path
    process_memory: Callable[[int], int | None]
    budget: Callable[[], int]
    note: Callable[[str], None]

    def perform(self, job: Job) -> None:
        """Do it and leave it as done. Raises what stands against it, Cancelled where it was
        stopped; nothing is left then.
        """
        run = job.run
        limit = self.budget()
        job.begin(state="compressing", stage="looking at the model", memory_limit_bytes=limit)
        parent = self.tools.chat.resolve(run.order.model)
        job.change(name=parent.name)
        what = f"{parent.name} with {run.order.recipe}"
        self.note(f"{what}: begins")
        with new_folder(self.folder / run.id, 0) as work:
            result = self._compress(job, parent, work / MODEL)
            self.note(f"{what}: is written")
            job.change(state="proving", stage="reloading both models", fraction=0.0, eta_s=None,
                       can_pause=False, paused=False)  # fmt: skip
            try:
                proof = self._prove(job, parent, work / MODEL)
            finally:
                self._unload(work)
            run = job.run
            report = make_report(
                Made(run.id, run.created_at, run.order, parent, result, run.training, run.seconds),
                proof,
                self.tools.threads,
            )
            (work / REPORT).write_text(json.dumps(report, indent=1) + "\n", encoding="utf-8")
            code = loading_code(work / MODEL)
            (work / PAGE).write_text(report_page(report, code), encoding="utf-8")
            if job.cancel.is_set():
                raise Cancelled("The run was stopped.")
        job.change(state="done", stage="done", fraction=1.0, eta_s=None, kept=True, report=report,
                   memory_bytes=None)  # fmt: skip

    def _compress(self, job: Job, parent: ResolvedModel, out: Path) -> CompressionResult:
        order = job.run.order
        needed = compressing_bytes(inspect_checkpoint(parent.path), order.recipe)
        name = f"Compressing {parent.name}"
        job.change(stage="making room")
        began = time.monotonic()
        with (
            room_for(self.tools.manager, name, needed, job.cancel) as room,
            self._watched(job) as watch,
        ):

            def started(pid: int) -> None:
                room.pid = pid
                watch(pid)

            job.change(stage="compressing")
            for event in compress(
                parent.path,
                out,
                order.recipe,
                threads=self.tools.threads,
                cancel=job.cancel,
                started=started,
                text=order.text,
                control=job.control,
                memory_bytes=needed,
            ):
                if isinstance(event, CompressionResult):
                    return event
                self._note(job, event, time.monotonic() - began)
        raise AssertionError("a compression ends with its result")

    def _note(self, job: Job, event: CompressionProgress, seconds: float) -> None:
        run, point = job.run, event.training
        # The first moments say more of the start than of the speed.
        left = seconds * (1 - event.fraction) / event.fraction if event.fraction > 0.02 else None
        job.change(
            stage=event.stage or run.stage,
            fraction=event.fraction,
            layers=run.layers if event.layer is None else (*run.layers, event.layer),
            training=run.training if point is None else (*run.training, point),
            can_pause=point is not None or (run.can_pause and event.layer is None),
            eta_s=None if run.paused else left,
        )

    def _prove(self, job: Job, parent: ResolvedModel, child: Path) -> dict[str, object]:
        sprout = parent.card is not None and parent.card.shipped
        with self._watched(job) as watch:
            return prove(
                self.tools,
                parent.path,
                child,
                lambda text: job.change(
                    stage=text.replace(str(child), "the new model").replace(
                        str(parent.path), parent.name
                    )
                ),
                job.cancel,
                advance=lambda fraction: job.change(fraction=fraction),
                started=watch,
                skill_items=SKILL_ITEMS if sprout else 0,
            )

    def _unload(self, work: Path) -> None:
        """Workers of the new model hold files of a folder that is about to move, or to go."""
        for state in self.tools.manager.states():
            if state.spec.path is not None and Path(state.spec.path).is_relative_to(work):
                self.tools.manager.unload(state.key)

    @contextmanager
    def _watched(self, job: Job) -> Iterator[Callable[[int], None]]:
        """Gives a function for a process's number: the run shows that one's memory from then on."""
        ended = threading.Event()
        pids: list[int] = []

        def look() -> None:
            while not ended.wait(_LOOK_S):
                now = self.process_memory(pids[-1]) if pids else None
                peak = job.run.peak_memory_bytes
                if now is not None:
                    peak = max(peak or 0, now)
                job.change(memory_bytes=now, peak_memory_bytes=peak)

        thread = threading.Thread(target=look, name="lab memory", daemon=True)
        thread.start()
        try:
            yield pids.append
        finally:
            ended.set()
            thread.join()
            job.change(memory_bytes=None)

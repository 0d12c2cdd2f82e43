"""The lab: one run at a time, the others in a queue; a history that outlives restarts.

A run belongs to the app and not to the page that asked for it: closing a tab stops nothing.
"""

from __future__ import annotations

import logging
import os
import re
import secrets
import shutil
import threading
import time
from dataclasses import replace
from pathlib import Path

from slm_explorer.catalog.checkpoint import inspect_checkpoint
from slm_explorer.catalog.resolve import is_lab_run
from slm_explorer.compression.recipes import parse_recipe, why_not
from slm_explorer.compression.workspace import remove_leftovers
from slm_explorer.errors import (
    Cancelled,
    InvalidRequest,
    SlmError,
    StorageError,
    UnknownModel,
    UnsupportedModel,
)
from slm_explorer.lab.history import (
    INTERRUPTED,
    reports_in,
    run_of_report,
    run_of_row,
    run_row,
)
from slm_explorer.lab.lock import HomeLock
from slm_explorer.lab.runner import Job, Runner
from slm_explorer.lab.types import Order, Run
from slm_explorer.store import Store

MAX_WAITING = 20
# A run that is told to stop deletes what it has written; this long closing waits for it.
_CLOSE_S = 40.0

_log = logging.getLogger(__name__)


class RunQueue:
    """Safe to call from any thread. Reads the history at the first call; starts its thread at
    the first run.
    """

    def __init__(self, runner: Runner, store: Store) -> None:
        self._runner = runner
        self._folder = runner.folder
        self._store = store
        self._lock = threading.Lock()
        self._changed = threading.Condition(self._lock)
        self._jobs: dict[str, Job] | None = None
        self._queue: list[Job] = []
        self._thread: threading.Thread | None = None
        self._closed = False
        self._home_lock = HomeLock(runner.folder)

    def submit(self, order: Order) -> str:
        """Put a run in the queue; returns its id at once.

        Raises at once what can be known before it begins: InvalidRequest for a recipe that is
        none, UnknownModel, BadCheckpoint, UnsupportedModel where the recipe cannot be used on
        this model, InvalidRequest where the queue is full or another app runs the lab of this
        home, StorageError where it cannot be written.
        """
        parse_recipe(order.recipe)
        parent = self._runner.tools.chat.resolve(order.model)
        reason = why_not(order.recipe, inspect_checkpoint(parent.path).config)
        if reason is not None:
            raise UnsupportedModel(f"{order.recipe} cannot be used on {parent.name}. {reason}")
        run = Run(
            id=_new_id(parent.name, order.recipe),
            order=replace(order, model=parent.id),
            state="queued",
            created_at=time.time(),
            name=parent.name,
            stage="waiting",
        )
        with self._changed:
            jobs = self._open()
            if self._closed:
                raise InvalidRequest("The app is shutting down: start it again first.")
            self._home_lock.check()
            if len(self._queue) >= MAX_WAITING:
                raise InvalidRequest(
                    f"{MAX_WAITING} runs are waiting already: cancel one, or come back later."
                )
            # Before the thread can write what comes after.
            self._keep(run)
            job = jobs[run.id] = Job(run)
            self._queue.append(job)
            if self._thread is None:
                self._thread = threading.Thread(target=self._work, name="lab", daemon=True)
                self._thread.start()
            self._changed.notify_all()
        return run.id

    def run(self, run_id: str) -> Run:
        """The run as it is now. UnknownModel where there is none."""
        with self._lock:
            return self._seen(self._job(run_id))

    def runs(self) -> tuple[Run, ...]:
        """All runs, newest first."""
        with self._lock:
            jobs = list(self._open().values())
            return tuple(self._seen(job) for job in reversed(jobs))

    def cancel(self, run_id: str) -> None:
        """Stop it, whatever it does; nothing of it is kept. An ended run stays as it is."""
        with self._lock:
            job = self._job(run_id)
            job.cancel.set()
            if job not in self._queue:
                return
            self._queue.remove(job)
            job.change(state="cancelled", stage="cancelled")
        self._keep(job.run)

    def pause(self, run_id: str) -> None:
        """Let its training wait until `resume`. Nothing happens where none is going on."""
        with self._lock:
            job = self._job(run_id)
            if job.run.can_pause:
                job.control.pause()
                job.change(paused=True, eta_s=None)

    def resume(self, run_id: str) -> None:
        """Let its training go on."""
        with self._lock:
            job = self._job(run_id)
            job.control.resume()
            job.change(paused=False)

    def finish(self, run_id: str) -> None:
        """End its training early, and go on with what was learnt."""
        with self._lock:
            job = self._job(run_id)
            if job.run.can_pause:
                job.control.finish()
                job.change(paused=False)

    def delete(self, run_id: str) -> None:
        """Forget an ended run, and delete its model. InvalidRequest while it runs, while its model
        answers somebody, or where another app runs the lab of this home.
        """
        with self._lock:
            job = self._job(run_id)
            self._home_lock.check()
            if not job.run.ended:
                raise InvalidRequest(f"{run_id} is not finished: cancel it first.")
            folder = self._folder / job.run.id
            self._unload(folder, run_id)
            _remove(folder)
            del self._open()[run_id]
        try:
            self._store.forget_lab_run(run_id)
        except StorageError as error:
            _log.warning("%s", error)

    def close(self) -> None:
        """Stop the run under way and forget the queue; both are shown as interrupted later."""
        with self._changed:
            self._closed = True
            stopped, self._queue = self._queue, []
            for job in (self._jobs or {}).values():
                if not job.run.ended:
                    job.cancel.set()
            self._changed.notify_all()
        for job in stopped:
            job.change(state="failed", stage="interrupted", error=INTERRUPTED)
            self._keep(job.run)
        if self._thread is not None:
            self._thread.join(_CLOSE_S)
        self._home_lock.release()

    # The lock is held where a name starts with an underscore, but for the thread's own.

    def _job(self, run_id: str) -> Job:
        job = self._open().get(run_id)
        if job is None:
            shown = run_id if is_lab_run(run_id) else "that"
            raise UnknownModel(f"The lab has no run {shown}: it may have been deleted.")
        return job

    def _seen(self, job: Job) -> Run:
        run = job.run
        if run.state != "queued" or job not in self._queue:
            return run
        running = sum(1 for each in self._open().values() if each.run.state in _WORKING)
        return replace(run, ahead=self._queue.index(job) + running)

    def _open(self) -> dict[str, Job]:
        if self._jobs is None:
            self._jobs = {run.id: Job(run) for run in self._history()}
        return self._jobs

    def _history(self) -> list[Run]:
        ours = self._home_lock.take()
        if ours:
            remove_leftovers(self._folder)
        reports = {report["run"]: report for report in reports_in(self._folder)}
        try:
            rows = self._store.lab_runs()
        except StorageError as error:
            _log.warning("%s", error)
            rows = []
        runs = {}
        for row in rows:
            run = run_of_row(row, kept=row["id"] in reports)
            if not run.ended and ours:
                run = replace(run, state="failed", stage="interrupted", error=INTERRUPTED)
            runs[run.id] = run
        for run_id, report in reports.items():
            if run_id not in runs or runs[run_id].state != "done":
                runs[run_id] = run_of_report(report)
        return sorted(runs.values(), key=lambda run: run.created_at)

    def _unload(self, folder: Path, run_id: str) -> None:
        manager = self._runner.tools.manager
        loaded = [
            state
            for state in manager.states()
            if state.spec.path is not None and Path(state.spec.path).is_relative_to(folder)
        ]
        if any(state.phase in ("busy", "loading") for state in loaded):
            raise InvalidRequest(f"The model of {run_id} is answering: stop it first.")
        for state in loaded:
            manager.unload(state.key)

    # The thread.

    def _work(self) -> None:
        while True:
            with self._changed:
                while not self._queue and not self._closed:
                    self._changed.wait()
                if self._closed:
                    return
                job = self._queue.pop(0)
            self._perform(job)

    def _perform(self, job: Job) -> None:
        try:
            self._keep(replace(job.run, state="compressing"))
            self._runner.perform(job)
        except Cancelled:
            if self._closed:
                job.change(state="failed", stage="interrupted", error=INTERRUPTED)
            else:
                job.change(state="cancelled", stage="cancelled", eta_s=None)
        except SlmError as error:
            job.change(state="failed", stage="failed", eta_s=None, error=str(error))
        except Exception as error:  # the run's boundary: the queue must go on behind it
            _log.exception("A run of the lab failed unexpectedly")
            sentence = (
                f"The run failed unexpectedly ({type(error).__name__}: {error}): try again, and "
                "report it if it stays."
            )
            job.change(state="failed", stage="failed", eta_s=None, error=sentence)
        self._keep(job.run)

    def _keep(self, run: Run) -> None:
        try:
            self._store.keep_lab_run(run.id, run.created_at, run_row(run))
        except StorageError as error:
            _log.warning("%s", error)


_WORKING = ("compressing", "proving")


def _new_id(name: str, recipe: str) -> str:
    words = re.sub(r"[^a-z0-9]+", "-", f"{name[:40]}-{recipe[:40]}".lower()).strip("-")
    return f"{words or 'run'}-{secrets.token_hex(3)}"


def _remove(folder: Path) -> None:
    """Delete a run's folder so that a kill meanwhile leaves no half of a model in its place."""
    if not folder.exists():
        return
    doomed = folder.parent / f".{folder.name[:100]}.slm-partial-{secrets.token_hex(4)}"
    try:
        os.rename(folder, doomed)  # noqa: PTH104
        shutil.rmtree(doomed)
    except OSError as error:
        raise StorageError(
            f"{folder} could not be deleted ({error.strerror}): check its permissions."
        ) from error

"""The lab as the page and the command line use it: runs, what to choose, and what comes of it."""

from __future__ import annotations

import json
import threading
from pathlib import Path

from slm_explorer.catalog.checkpoint import CheckpointFacts, inspect_checkpoint
from slm_explorer.compress import SAMPLE, influence
from slm_explorer.compression.recipes import LayerInfluence
from slm_explorer.errors import InvalidRequest
from slm_explorer.hub.push import push_folder
from slm_explorer.lab.archive import loading_code, read_me, write_archive
from slm_explorer.lab.choices import choices_of, estimate
from slm_explorer.lab.history import MODEL, PAGE, REPORT
from slm_explorer.lab.per_token import Pair, compare_tokens
from slm_explorer.lab.queue import RunQueue
from slm_explorer.lab.room import compressing_bytes, room_for
from slm_explorer.lab.runner import Runner
from slm_explorer.lab.types import Choice, Run, Sensitivity, TokenComparison
from slm_explorer.settings import Settings
from slm_explorer.store import Store


class LabService(RunQueue):
    """The queue of runs, and what can be had of the finished ones. Safe to call from any thread."""

    def __init__(self, runner: Runner, store: Store, settings: Settings) -> None:
        super().__init__(runner, store)
        self._settings = settings

    def choices(self, model: str) -> tuple[Choice, ...]:
        """Every step of a recipe for this model, with its default value: what it does, why not,
        and what to expect. Raises what finding the model does.
        """
        return choices_of(self._facts(model), self.runs())

    def estimate(self, model: str, recipe: str) -> Choice:
        """The same for a whole recipe. InvalidRequest for one that is none."""
        return estimate(recipe, self._facts(model), self.runs())

    def sensitivity(self, model: str, cancel: threading.Event) -> Sensitivity:
        """What each layer of a model does to a shipped text. Takes seconds to minutes.

        Raises UnsupportedModel for models without layers in a row, DoesNotFit, Cancelled.
        """
        tools, parent = self._runner.tools, self._runner.tools.chat.resolve(model)
        needed = compressing_bytes(inspect_checkpoint(parent.path), "drop-layers:1")
        with room_for(tools.manager, f"Reading with {parent.name}", needed, cancel) as room:
            for event in influence(
                parent.path, threads=tools.threads, cancel=cancel, started=room.started
            ):
                if isinstance(event, LayerInfluence):
                    return Sensitivity(
                        event.influence, SAMPLE, event.tokens, event.loss, event.losses_without
                    )
        raise AssertionError("a measurement ends with its result")

    def per_token(
        self,
        run_id: str,
        text: str,
        visitor: str = "local",
        cancel: threading.Event | None = None,
    ) -> TokenComparison:
        """A text of at most MAX_TOKEN_TEXT characters as parent and child read it.

        Raises InvalidRequest for a run without a model, UnknownModel where the parent is gone,
        and what compare_tokens does.
        """
        run, chat = self.run(run_id), self._runner.tools.chat
        self._whole(run)
        pair = Pair(chat.spec(run.order.model), chat.spec(f"lab/{run.id}"))
        stop = threading.Event() if cancel is None else cancel
        return compare_tokens(self._runner.tools.manager, pair, text, visitor, stop)

    def archive(self, run_id: str) -> Path:
        """A zip with the model's folder, the reports and how to load it."""
        run = self.run(run_id)
        return write_archive(self._whole(run), run.id)

    def report_html(self, run_id: str) -> Path:
        """The report as one page."""
        return self._whole(self.run(run_id)) / PAGE

    def snippet(self, run_id: str, folder: str | None = None) -> str:
        """The lines of Python that load the model, from where it is or from `folder`."""
        model = self._whole(self.run(run_id)) / MODEL
        return loading_code(model, str(model) if folder is None else folder)

    def push(self, run_id: str, hub_id: str, *, private: bool = True) -> str:
        """Put the model, its report and a README on the Hub with this machine's own sign-in, and
        return its address. Raises what push_folder does.
        """
        run = self.run(run_id)
        model = self._whole(run) / MODEL
        report = (model.parent / REPORT).read_text(encoding="utf-8")
        extra = {REPORT: report, "README.md": read_me(json.loads(report), model, "FOLDER")}
        return push_folder(self._settings, model, extra, hub_id, private=private)

    def _facts(self, model: str) -> CheckpointFacts:
        return inspect_checkpoint(self._runner.tools.chat.resolve(model).path)

    def _whole(self, run: Run) -> Path:
        folder = self._folder / run.id
        if not run.kept or not (folder / MODEL).is_dir():
            raise InvalidRequest(f"{run.id} has no model on this disk: run it again first.")
        return folder

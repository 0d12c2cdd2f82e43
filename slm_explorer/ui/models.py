"""The models that can be asked here and now, for what, and why the others cannot."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from slm_explorer.catalog.cards import Card
from slm_explorer.catalog.checkpoint import inspect_checkpoint
from slm_explorer.catalog.resolve import hub_cache_folder
from slm_explorer.catalog.uses import uses_of
from slm_explorer.errors import SlmError
from slm_explorer.hub.values import LocalModel
from slm_explorer.lab.types import Run
from slm_explorer.services import Services
from slm_explorer.tasks import Task, tasks_of
from slm_explorer.ui.uses import USES
from slm_explorer.units import format_bytes

DEFAULT_LANES = ("sprout-300k", "sprout-1m", "sprout-5m")


@dataclass(frozen=True)
class Choice:
    """A model that a lane can have. `about` is one line of facts, `uses` what it can be asked."""

    id: str
    name: str
    about: str
    uses: tuple[Task, ...] = ("chat",)


def reason_it_cannot_run(services: Services, card: Card) -> str | None:
    """One sentence, or None where the model's weights are here and an engine runs them."""
    try:
        services.chat.spec(card.id)
    except SlmError as error:
        return str(error)
    return None


class ModelList:
    """The choices of all lanes. Safe to call from any thread.

    `cardless` offers the cache's models that have no card too, by their Hub id: only to those
    who may know what is on this disk.
    """

    def __init__(self, services: Services, *, cardless: bool) -> None:
        self._services = services
        self._cardless = cardless
        self._lock = threading.Lock()
        self._seen: object = None
        self._choices: dict[str, Choice] = {}
        self.refresh()

    def refresh(self) -> None:
        """Look again where the cache has changed since the last time; else almost free."""
        with self._lock:
            seen = (*_state_of(hub_cache_folder()), *self._made())
            if seen != self._seen:
                found = (*self._found(), *self._from_lab())
                self._choices = {choice.id: choice for choice in found}
                self._seen = seen

    def choices(self, use: Task | None = None) -> dict[str, Choice]:
        """By id, shipped ones first, each group from small to large; all uses where None."""
        with self._lock:
            found = self._choices
        return {key: each for key, each in found.items() if use is None or use in each.uses}

    def _made(self) -> Iterator[Run]:
        """The finished runs of the lab; for those who may not know this disk, of known models."""
        for run in self._services.lab.runs():
            known = self._services.catalog.find(run.order.model) is not None
            if run.kept and (known or self._cardless):
                yield run

    def _from_lab(self) -> Iterator[Choice]:
        for run in self._made():
            try:
                facts = inspect_checkpoint(self._services.chat.resolve(f"lab/{run.id}").path)
            except SlmError:
                continue  # somebody has deleted its folder by hand
            about = [
                f"{run.name} with {run.order.recipe}",
                f"{format_bytes(facts.weights_bytes)} of weights",
                "made in the lab",
            ]
            uses = tasks_of(facts.architecture_kind, facts.class_name) or ("chat",)
            yield Choice(f"lab/{run.id}", f"{run.name} {run.order.recipe}", " · ".join(about), uses)

    def _found(self) -> list[Choice]:
        found: list[tuple[tuple[bool, int, str], Choice]] = []
        for model in self._services.hub.local_models():
            card = self._services.catalog.find(model.id)
            if model.path is None or model.problem is not None:
                continue
            if card is None and not self._cardless:
                continue
            choice, size = _choice(model, card)
            found.append(((model.origin != "shipped", size, model.id), choice))
        return [choice for _, choice in sorted(found, key=lambda pair: pair[0])]


def _choice(model: LocalModel, card: Card | None) -> tuple[Choice, int]:
    """The choice and its size in parameters, for the order; 0 where that is unknown."""
    facts = inspect_checkpoint(Path(model.path or ""))
    if card is not None:
        uses, parameters, context = (
            uses_of(card),
            card.parameters,
            card.context_length,
        )
    else:
        uses, parameters, context = (
            tasks_of(facts.architecture_kind, facts.class_name) or ("chat",),
            facts.parameters,
            facts.context_length,
        )
    about = [
        f"{parameters:,} parameters" if parameters else None,
        facts.model_type,
        f"reads {context:,} tokens" if context else None,
        "shipped" if model.origin == "shipped" else "in the cache",
        None if card else "no card",
    ]
    said = " · ".join(part for part in about if part)
    return Choice(model.id, model.name, said, uses), parameters or 0


def default_lanes(choices: dict[str, Choice]) -> list[str]:
    """Three sprouts of rising size; where they are missing, the first that can run."""
    wanted = [model for model in DEFAULT_LANES if model in choices]
    return wanted or list(choices)[:3]


def for_what(choice: Choice) -> str:
    """The uses of a model in words: what to say where it cannot do the one at hand."""
    return f"is for: {', '.join(USES[use].title for use in choice.uses) or 'no use of this app'}"


def _state_of(cache: Path) -> Iterator[tuple[str, str, int]]:
    """What changes when a model arrives, grows or goes: its snapshots and their times."""
    try:
        repositories = sorted(entry.path for entry in os.scandir(cache) if entry.is_dir())
    except OSError:
        return
    for repository in repositories:
        for part in ("refs", "snapshots"):
            try:
                with os.scandir(os.path.join(repository, part)) as entries:  # noqa: PTH118
                    for entry in sorted(entries, key=lambda each: each.name):
                        yield repository, entry.name, entry.stat().st_mtime_ns
            except OSError:
                continue

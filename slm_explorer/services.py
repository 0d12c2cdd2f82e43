"""The object graph, built once: every surface (page, command line, endpoints) shares it."""

from __future__ import annotations

import json
import logging
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from slm_explorer.assets import asset_folder
from slm_explorer.bench import BenchPlan, run_bench
from slm_explorer.catalog.advice_rules import load_rules
from slm_explorer.catalog.advisor import Advice, Wish, advise
from slm_explorer.catalog.cards import Card
from slm_explorer.catalog.catalog import Catalog
from slm_explorer.catalog.devices import (
    THIS_MACHINE,
    Device,
    find_device,
    load_devices,
    this_machine,
)
from slm_explorer.catalog.fit import Fit, card_row, fit, fit_all
from slm_explorer.catalog.footprint import Correction
from slm_explorer.catalog.hfconfig import shape_config
from slm_explorer.catalog.resolve import hub_cache_folder, lab_folder
from slm_explorer.catalog.search import Facets, facets_row
from slm_explorer.chat import ChatService
from slm_explorer.classroom.service import ClassService
from slm_explorer.errors import InvalidRequest, StorageError
from slm_explorer.evaluate import evaluate_suite, evaluate_text
from slm_explorer.hub.service import HubService
from slm_explorer.lab.runner import Runner, Tools
from slm_explorer.lab.service import LabService
from slm_explorer.loads import Loads
from slm_explorer.meters.energy import Watts
from slm_explorer.meters.history import Row
from slm_explorer.meters.house import Meters
from slm_explorer.meters.limits import cpu_limit, read_memory
from slm_explorer.meters.readings import snapshot_row
from slm_explorer.meters.sampler import Sampler
from slm_explorer.runtime.budget import budget
from slm_explorer.runtime.launcher import LocalLauncher
from slm_explorer.runtime.manager import MemoryView, ModelManager
from slm_explorer.settings import Settings
from slm_explorer.skills import SkillItem, list_suites, load_suite
from slm_explorer.store import Store
from slm_explorer.task_suites import TaskItem, load_task_suite
from slm_explorer.types import ModelSpec

# One row a minute: a week of them is a few megabytes.
METERS_KEPT_S = 7 * 86400.0

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Services:
    """What a surface needs. `close` ends every worker and thread."""

    settings: Settings
    assets: Path
    catalog: Catalog
    manager: ModelManager
    chat: ChatService
    hub: HubService
    lab: LabService
    classroom: ClassService
    meters: Meters
    store: Store
    loads: Loads
    memory_limit: int
    threads: int
    budget: Callable[[], int]

    def model_rows(self, search: str = "", facets: Facets | None = None) -> list[dict[str, object]]:
        """The catalog's rows, each with its fit for this machine's true limit."""
        cards = self.catalog.search(search, facets)
        by = self.correction
        return [card_row(card, self.memory_limit, by) | facets_row(card) for card in cards]

    def fits_here(self, card: Card) -> bool:
        """Does the card's model fit this machine's true limit, if only just?"""
        found = fit(card, self.memory_limit, correction=self.correction)
        return found.verdict in ("fits", "tight")

    @property
    def sampler(self) -> Sampler:
        return self.meters.sampler

    @property
    def correction(self) -> Correction:
        """What the loads on this machine so far say of the estimated base."""
        return self.loads.correction

    @property
    def devices(self) -> tuple[Device, ...]:
        """This machine with its true limits, then the devices of the list."""
        reading = read_memory()
        here = this_machine(reading.limit, self.budget(), reading.source)
        return (here, *load_devices(self.assets))

    def fits(self, device: str, recipe: str, context_tokens: int) -> dict[str, Fit]:
        """The verdict of every card on a device, by id."""
        chosen = find_device(self.devices, device)
        return fit_all(self.catalog.cards, chosen, recipe, context_tokens, self.correction)

    def advise(self, wish: Wish, device: str = THIS_MACHINE) -> Advice:
        """The three best models and recipes for `wish` on a device; see catalog.advisor."""
        return advise(
            self.catalog.cards,
            wish,
            find_device(self.devices, device),
            load_rules(self.assets),
            correction=self.correction,
            measured=self._measured_speeds(),
        )

    def _measured_speeds(self) -> dict[tuple[str, str], float]:
        """Decode tokens/s of this machine's own benchmarks, by model and recipe, the newest."""
        found: dict[tuple[str, str], float] = {}
        try:
            rows = self.store.runs("bench")
        except StorageError:
            return found
        for row in rows:
            speed = row.get("decode_tps")
            if isinstance(speed, float) and row.get("engine") == "torch":
                found[str(row.get("model")), str(row.get("recipe"))] = speed
        return found

    def bench(
        self,
        model: str | None,
        shape: str | None,
        recipes: Sequence[str],
        engines: Sequence[str],
        plan: BenchPlan,
        report: Callable[[str], None],
        cancel: threading.Event,
    ) -> list[dict[str, object]]:
        """Measure `model`, or a card's `shape` with random weights, on each engine with each
        recipe, in turns. Cancelled once `cancel` is set.
        """
        pairs = [(recipe, engine) for recipe in recipes for engine in engines]
        if shape is not None:
            card = self.catalog.get(shape)
            specs = [self.shape_spec(card, *pair) for pair in pairs]
        else:
            specs = [self.chat.spec(model or "", *pair) for pair in pairs]
        rows = run_bench(self.manager, specs, plan, report, cancel)
        for row in rows:
            self._keep("bench", row | {"shape": shape is not None, "at": time.time()})
        return rows

    def evaluate(
        self,
        models: Sequence[str],
        recipe: str,
        text: Path | None,
        suite: str | None,
        report: Callable[[str], None],
    ) -> Iterator[dict[str, object]]:
        """A row for each model: on the text, on one suite, or on all of its suites where none is
        named: those of the tasks that it was made for.
        """
        cancel = threading.Event()
        for model in models:
            suites = {} if text is not None and suite is None else self._suites(model)
            if suite not in (None, *suites) or not (suites or text):
                called = f" called {suite!r}" if suite else ""
                names = ", ".join(suites) or "none"
                raise InvalidRequest(f"{model} has no suite{called}; there are: {names}.")
            for name, items in suites.items():
                if suite not in (None, name):
                    continue
                row = evaluate_suite(self.chat, model, recipe, name, items, report, cancel)
                self._keep("evaluate", row)
                yield row
            if text is not None:
                row = evaluate_text(self.chat, model, recipe, text, report, cancel)
                self._keep("evaluate", row)
                yield row

    def _suites(self, model: str) -> dict[str, tuple[SkillItem, ...] | tuple[TaskItem, ...]]:
        """The suites by name, read; none for a use that has no suites."""
        found: dict[str, tuple[SkillItem, ...] | tuple[TaskItem, ...]] = {}
        for task in self.chat.tasks(model):
            for name, path in list_suites(self.assets, task).items():
                writes = task in ("chat", "text-to-text")
                found[name] = load_suite(path) if writes else load_task_suite(path, task)
        return found

    def meters_row(self) -> dict[str, object]:
        """A fresh reading of every meter; rates are over the second before it."""
        self.sampler.start()
        newest = self.sampler.latest()
        return snapshot_row(self.sampler.wait_for_next(newest.at, timeout=5) or newest)

    def close(self) -> None:
        self.classroom.shut_down()
        self.lab.close()
        self.hub.close()
        self.meters.close()
        self.manager.close()
        self.store.close()

    def shape_spec(self, card: Card, recipe: str, engine: str) -> ModelSpec:
        """A worker with random weights in the card's real shape. InvalidRequest for no decoder."""
        return ModelSpec(
            model=card.id,
            path=None,
            recipe=recipe,
            engine=self.chat.engine(engine),
            device=self.settings.device,
            threads=self.threads,
            shape_config=json.dumps(shape_config(card)),
        )

    def _keep(self, kind: str, row: dict[str, object]) -> None:
        try:
            self.store.record_run(kind, row)
        except StorageError as error:
            _log.warning("%s", error)


def build_services(settings: Settings) -> Services:
    """Wire everything; starts nothing but what is cheap (no worker, no thread, no network)."""
    assets = asset_folder()
    catalog = Catalog.load(assets)
    store = Store(settings.home)
    loads = Loads(catalog, store)
    threads = settings.threads or max(1, int(cpu_limit().cores))

    def memory() -> MemoryView:
        reading = read_memory()
        return MemoryView(reading.limit, reading.used, reading.available, reading.source)

    def total_budget() -> int:
        return budget(memory(), settings.memory_budget)

    def keep_minute(row: Row) -> None:
        try:
            store.record_run("meters", dict(row))
            store.forget_runs("meters", time.time() - METERS_KEPT_S)
        except StorageError as error:
            _log.warning("%s", error)

    meters = Meters(
        lambda: manager.states(),
        total_budget,
        keep=keep_minute,
        watts=Watts(*settings.cpu_watts) if settings.cpu_watts else None,
        cache_folders=(hub_cache_folder(),),
    )

    def in_use(folder: Path) -> bool:
        # By its id a model has the cache's own path, by its folder one without links.
        paths = (worker.spec.path for worker in manager.states())
        loaded = (Path(path).resolve() for path in paths if path is not None)
        return any(path.is_relative_to(folder.resolve()) for path in loaded)

    manager = ModelManager(
        LocalLauncher(),
        footprint=loads.footprint,
        memory=memory,
        process_memory=meters.processes.private_bytes,
        settings=settings,
        on_load=loads.record,
        observer=meters,
    )
    chat = ChatService(
        catalog, manager, assets, threads=threads, home=settings.home, device=settings.device
    )
    tools = Tools(chat, manager, assets, threads)
    return Services(
        settings=settings,
        assets=assets,
        catalog=catalog,
        manager=manager,
        chat=chat,
        hub=HubService(catalog, assets, settings, in_use=in_use),
        lab=LabService(
            Runner(
                tools,
                lab_folder(settings.home),
                meters.processes.private_bytes,
                total_budget,
                partial(meters.note, "compress"),
            ),
            store,
            settings,
        ),
        classroom=ClassService(chat, manager),
        meters=meters,
        store=store,
        loads=loads,
        memory_limit=read_memory().limit,
        threads=threads,
        budget=total_budget,
    )

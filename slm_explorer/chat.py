"""One question to one model: from a user's words to a worker's stream and a row of figures.

Knows how a model, a recipe and settings become a ModelSpec. Knows nothing of pages or terminals.
"""

from __future__ import annotations

import threading
import uuid
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path

from slm_explorer.catalog.catalog import Catalog
from slm_explorer.catalog.checkpoint import inspect_checkpoint
from slm_explorer.catalog.resolve import ResolvedModel, resolve
from slm_explorer.compression.recipes import LOADABLE, load_step
from slm_explorer.energy import energy_row
from slm_explorer.errors import SlmError
from slm_explorer.runtime.manager import ModelManager
from slm_explorer.tasks import Task, TaskInput, TaskRequest, TaskStats, task_of, tasks_of
from slm_explorer.types import (
    Event,
    Failed,
    GenerateRequest,
    GenerationStats,
    Message,
    ModelSpec,
    Sampling,
    ScoreRequest,
)

RECIPES = LOADABLE
"""What a model can be loaded as."""


@dataclass(frozen=True)
class Ask:
    """One question to one model.

    `messages` is the whole conversation, ending with the user's turn; or `raw` is a prompt to
    complete as it is. `chat` names the conversation, so that its KV cache can be kept.
    """

    model: str
    messages: tuple[Message, ...] = ()
    raw: str | None = None
    recipe: str = "native"
    engine: str = "torch"
    sampling: Sampling = field(default_factory=Sampling)
    visitor: str = "local"
    chat: str | None = None
    alternatives: int = 0


@dataclass(frozen=True)
class TaskAsk:
    """One input for one encoder."""

    model: str
    input: TaskInput
    recipe: str = "native"
    engine: str = "torch"
    visitor: str = "local"


class ChatService:
    """Answers questions with models by their id, a Hub id in the cache, a folder, or a run of the
    lab in the folder `home`.
    """

    def __init__(
        self,
        catalog: Catalog,
        manager: ModelManager,
        assets: Path,
        *,
        threads: int,
        home: Path | None = None,
        device: str = "cpu",
    ) -> None:
        self._catalog = catalog
        self._manager = manager
        self._assets = assets
        self._threads = threads
        self._home = home
        self._device = device

    def resolve(self, model: str) -> ResolvedModel:
        """Find the model's folder; UnknownModel says what to do where there is none."""
        return resolve(self._catalog, model, self._assets, home=self._home)

    def spec(
        self,
        model: str,
        recipe: str = "native",
        engine: str = "torch",
        task: Task | None = None,
    ) -> ModelSpec:
        """The worker that this choice asks for. Reads headers only, never weights.

        `task` matters only to an encoder whose checkpoint was made for another: then its head
        is loaded untrained, with a warning.
        """
        load_step(recipe)
        if engine == "echo":
            return ModelSpec(model="echo", path=None, engine="echo")
        found = self.resolve(model)
        facts = inspect_checkpoint(found.path)
        made_for = tasks_of(facts.architecture_kind, facts.class_name)
        return ModelSpec(
            model=found.id,
            path=str(found.path),
            recipe=recipe,
            engine=self.engine(engine),
            device=self._device,
            threads=self._threads,
            task=None if task in made_for else task,
        )

    def engine(self, asked: str) -> str:
        """The engine that answers on this device: the app's own is made for CPUs, so that on a
        GPU it is transformers.
        """
        return "transformers" if asked == "torch" and self._device != "cpu" else asked

    def tasks(self, model: str) -> tuple[Task, ...]:
        """What the model was made for; UnknownModel or BadCheckpoint where there is none."""
        facts = inspect_checkpoint(self.resolve(model).path)
        return tasks_of(facts.architecture_kind, facts.class_name)

    def stream(self, ask: Ask, cancel: threading.Event) -> Iterator[Event]:
        """Answer. Blocking; exactly one Done or Failed ends it; closing it cancels."""
        try:
            spec = self.spec(ask.model, ask.recipe, ask.engine)
            request = GenerateRequest(
                id=uuid.uuid4().hex,
                visitor=ask.visitor,
                sampling=ask.sampling,
                messages=ask.messages,
                raw=ask.raw,
                chat=ask.chat,
                alternatives=ask.alternatives,
            )
        except SlmError as error:
            yield Failed(str(error), type(error).__name__)
            return
        yield from self._manager.stream(spec, request, cancel)

    def perform(self, ask: TaskAsk, cancel: threading.Event) -> Iterator[Event]:
        """Do an encoder's task; ends with Done(TaskStats) or Failed."""
        try:
            spec = self.spec(ask.model, ask.recipe, ask.engine, task_of(ask.input))
        except SlmError as error:
            yield Failed(str(error), type(error).__name__)
            return
        request = TaskRequest(uuid.uuid4().hex, ask.visitor, ask.input)
        yield from self._manager.stream(spec, request, cancel)

    def score(self, model: str, recipe: str, text: str, cancel: threading.Event) -> Iterator[Event]:
        """Measure how well the model predicts a text; ends with Done(ScoreStats) or Failed."""
        request = ScoreRequest(id=uuid.uuid4().hex, visitor="local", text=text)
        yield from self._manager.stream(self.spec(model, recipe), request, cancel)


def chat_row(ask: Ask, text: str, stats: GenerationStats) -> dict[str, object]:
    """The figures of one answer under the command line's JSON keys."""
    return {
        "model": ask.model,
        "recipe": ask.recipe,
        "engine": ask.engine,
        "text": text,
        "finish_reason": stats.finish_reason,
        "prompt_tokens": stats.prompt_tokens,
        "cached_tokens": stats.cached_tokens,
        "output_tokens": stats.output_tokens,
        "load_s": stats.load_s,
        "queue_s": stats.queue_s,
        "ttft_s": stats.ttft_s,
        "prefill_tps": stats.prefill_tps,
        "decode_tps": stats.decode_tps,
        "memory_bytes": stats.memory_bytes,
        "peak_memory_bytes": stats.peak_memory_bytes,
        "seed": stats.seed,
        "batch": stats.batch,
        **energy_row(stats.energy),
    }


def task_row(ask: TaskAsk, stats: TaskStats) -> dict[str, object]:
    """One task's result and figures under the command line's JSON keys."""
    return {
        "model": ask.model,
        "recipe": ask.recipe,
        "engine": ask.engine,
        "task": task_of(ask.input),
        "result": asdict(stats.result),
        "warning": stats.warning,
        "tokens": stats.tokens,
        "seconds": stats.seconds,
        "load_s": stats.load_s,
        "queue_s": stats.queue_s,
        "memory_bytes": stats.memory_bytes,
        "peak_memory_bytes": stats.peak_memory_bytes,
        **energy_row(stats.energy),
    }

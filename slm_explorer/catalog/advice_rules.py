"""What the advisor goes by: tasks, deployments, priorities and weights, as data."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, TypeVar

from slm_explorer.catalog.reading import read_object
from slm_explorer.catalog.schema import build
from slm_explorer.errors import InvalidRequest

FactKind = Literal["measured here", "published", "computed", "card", "assumption"]


@dataclass(frozen=True)
class TaskRule:
    """`card_tasks` are the words for it on cards; `instruct` asks for an instructed model."""

    id: str
    name: str
    card_tasks: tuple[str, ...]
    instruct: bool


@dataclass(frozen=True)
class Deployment:
    """Where the model will run. `gated`: may the Hub ask for an account?"""

    id: str
    name: str
    recipes: tuple[str, ...]
    gated: bool
    sentence: str
    source: str
    max_weights_bytes: int | None = None


@dataclass(frozen=True)
class Weights:
    """What each criterion counts; a criterion gives 0 to 1."""

    size: float
    precision: float
    recent: float
    memory: float
    speed: float


@dataclass(frozen=True)
class Priority:
    id: str
    name: str
    weights: Weights
    sentence: str


@dataclass(frozen=True)
class Criterion:
    id: Literal["size", "precision", "recent", "memory", "speed"]
    sentence: str
    kind: FactKind


@dataclass(frozen=True)
class PrecisionScore:
    recipe: str
    score: float


@dataclass(frozen=True)
class Rules:
    """assets/advisor.json. `packed_kinds` can be stored as int8 and int4; `gpu_recipes` are what
    is offered on a graphics card, where this app's packed kernels do not run.
    """

    tasks: tuple[TaskRule, ...]
    deployments: tuple[Deployment, ...]
    priorities: tuple[Priority, ...]
    criteria: tuple[Criterion, ...]
    precision: tuple[PrecisionScore, ...]
    packed_kinds: tuple[str, ...]
    gpu_recipes: tuple[str, ...]

    def task(self, name: str) -> TaskRule:
        return _named("task", name, self.tasks)

    def deployment(self, name: str) -> Deployment:
        return _named("deployment", name, self.deployments)

    def priority(self, name: str) -> Priority:
        return _named("priority", name, self.priorities)


def load_rules(assets: Path) -> Rules:
    """The rules of `assets`/advisor.json. Raises BadCatalog, naming the place."""
    path = assets / "advisor.json"
    values = read_object(path)
    return build(Rules, {k: v for k, v in values.items() if k != "schema"}, str(path))


_Named = TypeVar("_Named", TaskRule, Deployment, Priority)


def _named(what: str, name: str, known: Sequence[_Named]) -> _Named:
    for each in known:
        if each.id == name:
            return each
    raise InvalidRequest(
        f"There is no {what} {name[:40]!r}: choose {', '.join(each.id for each in known)}."
    )

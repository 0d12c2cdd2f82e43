"""Managers over real processes or threads, and visitors that ask on threads of their own."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from slm_explorer.engines import registry
from slm_explorer.runtime.launcher import LocalLauncher
from slm_explorer.runtime.manager import MemoryView, ModelManager
from slm_explorer.settings import Settings
from slm_explorer.types import ModelSpec
from tests.runtime.gated import GATES, Gate
from tests.runtime.visits import Counting

MakeManager = Callable[..., ModelManager]
ROOMY = MemoryView(limit=64 * 10**9, used=10**9, available=60 * 10**9, source="test")


@pytest.fixture(scope="session")
def local() -> LocalLauncher:
    """One for the session: the forkserver imports torch once."""
    launcher = LocalLauncher()
    launcher.prewarm()
    return launcher


@pytest.fixture
def counting(local: LocalLauncher) -> Counting:
    return Counting(local)


@pytest.fixture
def make_manager(counting: Counting, tmp_path: Path) -> Iterator[MakeManager]:
    """Managers with room for everything, unless a test says otherwise; closed at its end."""
    made: list[ModelManager] = []

    def make(launcher: Any = None, **changes: Any) -> ModelManager:
        settings = {"home": tmp_path, **changes.pop("settings", {})}
        arguments: dict[str, Any] = {
            "footprint": lambda _: 10**7,
            "memory": lambda: ROOMY,
            "process_memory": lambda _: None,
            **changes,
        }
        manager = ModelManager(launcher or counting, settings=Settings(**settings), **arguments)
        made.append(manager)
        return manager

    yield make
    for manager in made:
        manager.close()


@pytest.fixture
def gate(monkeypatch: pytest.MonkeyPatch) -> Iterator[Gate]:
    """The gate of the model "gated", see gated.py; opened at the end in any case."""
    monkeypatch.setitem(registry.ENGINES, "gated", "tests.runtime.gated:GatedEngine")
    monkeypatch.setitem(registry.ENGINES, "deaf", "tests.runtime.gated:DeafEngine")
    GATES["gated"] = Gate()
    yield GATES["gated"]
    gate = GATES.pop("gated")
    gate.load.set()
    gate.answer.set()


@pytest.fixture
def gated() -> ModelSpec:
    return ModelSpec(model="gated", path=None, engine="gated")

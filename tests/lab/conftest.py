"""Labs with a home of their own, over the shipped Sprouts and tiny models."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from slm_explorer import proof
from slm_explorer.assets import asset_folder
from slm_explorer.lab import runner
from slm_explorer.lab.service import LabService
from slm_explorer.lab.types import Order, Run
from slm_explorer.services import Services, build_services
from slm_explorer.settings import Settings

SMALL = "sprout-300k"
PATIENCE_S = 900.0

MakeServices = Callable[..., Services]


@pytest.fixture
def make_services(tmp_path: Path) -> Iterator[MakeServices]:
    """Apps one after the other on one home; closed at the test's end."""
    made: list[Services] = []

    def make(**changes: object) -> Services:
        settings = replace(Settings(home=tmp_path / "home", threads=1), **changes)  # type: ignore[arg-type]
        made.append(build_services(settings))
        return made[-1]

    yield make
    for services in made:
        services.close()


@pytest.fixture(scope="session")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Services, Run]]:
    """An app whose lab has made the smallest Sprout int8, and that run."""
    home = tmp_path_factory.mktemp("finished")
    services = build_services(Settings(home=home, threads=1))
    try:
        with pytest.MonkeyPatch.context() as patch:
            # Less to read and to ask: the measures are the same, and less sure.
            patch.setattr(proof, "_CHARACTERS", 8_000)
            patch.setattr(runner, "SKILL_ITEMS", 2)
            run = services.lab.submit(Order(SMALL, "int8"))
            found = ended(services.lab, run)
        yield services, found
    finally:
        services.close()


def until(wanted: Callable[[], bool]) -> None:
    """Wait for what others do; fails where it never comes."""
    end = time.monotonic() + PATIENCE_S
    while not wanted():
        assert time.monotonic() < end, "it never came"
        time.sleep(0.02)


def ended(lab: LabService, run: str) -> Run:
    until(lambda: lab.run(run).ended)
    return lab.run(run)


def reached(lab: LabService, run: str, state: str) -> Run:
    """Wait until it is in that state, or beyond it."""
    until(lambda: lab.run(run).state == state or lab.run(run).ended)
    return lab.run(run)


def copy_of(model: str, folder: Path) -> Path:
    """A shipped model as a folder of the test's own."""
    return Path(shutil.copytree(asset_folder() / "sprouts" / model, folder))


def left_in(home: Path) -> list[str]:
    """What stands in the lab's folder besides its lock."""
    folder = home / "lab"
    if not folder.is_dir():
        return []
    return sorted(entry.name for entry in folder.iterdir() if entry.name != ".lock")

"""A class over the real manager, with the smallest Sprout."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import pytest

from slm_explorer.classroom.service import ClassService
from slm_explorer.services import Services, build_services
from slm_explorer.settings import Settings

MODEL = "sprout-300k"
NAMES = {MODEL: "Sprout 300K"}
LIMIT_S = 240.0


@pytest.fixture(scope="module")
def services(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Services]:
    home = tmp_path_factory.mktemp("home")
    built = build_services(replace(Settings.from_env({}), home=home))
    built.manager.prewarm()
    yield built
    built.close()


@pytest.fixture
def classroom(services: Services) -> Iterator[ClassService]:
    yield services.classroom
    services.classroom.shut_down()

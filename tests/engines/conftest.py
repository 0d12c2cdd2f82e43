"""Checkpoints and engines, each made once for all the tests of this folder."""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from transformers.utils import logging as transformers_logging

from slm_explorer.engines.base import Engine
from slm_explorer.engines.registry import create_engine
from slm_explorer.types import ModelSpec
from tests.engines.models import number_tokenizer, save_model

Checkpoint = Callable[[str], Path]


@pytest.fixture(scope="session", autouse=True)
def _quiet_library() -> None:
    transformers_logging.disable_progress_bar()
    transformers_logging.set_verbosity(logging.ERROR)
    torch.set_num_threads(1)


@pytest.fixture(scope="session")
def numbered(tmp_path_factory: pytest.TempPathFactory) -> Checkpoint:
    """A tiny model by its architecture's name, whose tokens are numbers."""
    made: dict[str, Path] = {}

    def folder_of(architecture: str) -> Path:
        if architecture not in made:
            folder = tmp_path_factory.mktemp(architecture)
            made[architecture] = save_model(folder, architecture, tokenizer=number_tokenizer())
        return made[architecture]

    return folder_of


@pytest.fixture(scope="session")
def tiny_llama(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny model that reads and writes bytes, with a chat template."""
    return save_model(tmp_path_factory.mktemp("tiny"), "llama")


def load(path: Path | None, engine: str = "torch", recipe: str = "native") -> Engine:
    """An engine that has loaded the checkpoint."""
    loaded = create_engine(engine)
    spec = ModelSpec(
        model=path.name if path else engine,
        path=str(path) if path else None,
        recipe=recipe,
        engine=engine,
    )
    loaded.load(spec, lambda _fraction, _stage: None)
    return loaded

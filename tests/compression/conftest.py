"""Quiet libraries, and folders of compressed models made for a test."""

from __future__ import annotations

import logging
from pathlib import Path

import pytest
import torch
from transformers.utils import logging as transformers_logging

from slm_explorer.compression.recipes import CompressionResult
from slm_explorer.compression.streaming import compress_checkpoint
from tests.engines.models import save_model


@pytest.fixture(scope="session", autouse=True)
def _quiet_library() -> None:
    transformers_logging.disable_progress_bar()
    transformers_logging.set_verbosity(logging.ERROR)
    torch.set_num_threads(1)


@pytest.fixture(scope="session")
def tiny_llama(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_model(tmp_path_factory.mktemp("tiny"), "llama")


def compressed(source: Path, out: Path, recipe: str) -> CompressionResult:
    """`source` written as `out`."""
    return compress_checkpoint(source, out, recipe, lambda _done, _layer: None, lambda: False)


def names(folder: Path) -> list[str]:
    """What is in a folder."""
    return sorted(entry.name for entry in folder.iterdir())

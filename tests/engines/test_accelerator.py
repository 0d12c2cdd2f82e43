"""Models on a GPU, as far as a machine without one can tell."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from slm_explorer.assets import asset_folder
from slm_explorer.catalog.catalog import Catalog
from slm_explorer.chat import ChatService
from slm_explorer.engines.reference import ReferenceEngine
from slm_explorer.errors import InvalidRequest, UnsupportedModel
from slm_explorer.services import build_services
from slm_explorer.settings import Settings
from slm_explorer.types import ModelSpec
from tests.conftest import ROOT


@pytest.fixture(scope="module")
def rounded() -> dict[str, Any]:
    """What rounded_by_torchao.py says, in a process that finds the library: see scripts/setup."""
    library = Path(sys.prefix) / "torchao"
    if not library.is_dir():
        if os.environ.get("CI"):
            pytest.fail("torchao is missing: scripts/setup dev installs it.")
        pytest.skip("TORCHAO IS NOT TESTED: scripts/setup dev installs it.")
    done = subprocess.run(
        [sys.executable, "-m", "tests.engines.rounded_by_torchao"],
        stdout=subprocess.PIPE,
        text=True,
        check=True,
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(library)},
    )
    said: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return said


def test_int8_rounds_the_layers_and_keeps_the_table_of_tokens(rounded: dict[str, Any]) -> None:
    kinds = dict(rounded["layers"])
    # Its head is its table of tokens.
    assert kinds.pop("lm_head") == "Parameter"
    assert set(kinds.values()) == {"Int8Tensor"}
    assert 0 < rounded["error"] < 0.05
    # Three of four bytes of every number that was rounded, less the scales.
    assert 2.9 * rounded["numbers"] < rounded["saved_bytes"] < 3 * rounded["numbers"]


def test_the_engine_answers_with_a_model_that_was_put_on_its_device(
    rounded: dict[str, Any],
) -> None:
    assert rounded["weights_bytes"] < 0.6 * 2 * rounded["parameters"]
    assert rounded["text"]


@pytest.mark.parametrize(("device", "says"), [("cuda", "no NVIDIA GPU"), ("mps", "no Apple GPU")])
def test_a_device_that_is_not_there_is_one_sentence(device: str, says: str) -> None:
    if (torch.cuda if device == "cuda" else torch.backends.mps).is_available():
        return
    folder = str(asset_folder() / "sprouts" / "sprout-5m")
    spec = ModelSpec("sprout-5m", folder, "native", "transformers", device)
    with pytest.raises(UnsupportedModel, match=says):
        ReferenceEngine().load(spec, lambda _fraction, _stage: None)


def test_a_host_chooses_the_device_and_with_it_the_engine(tmp_path: Path) -> None:
    with pytest.raises(InvalidRequest, match="SLM_EXPLORER_DEVICE is one of cpu, cuda, mps"):
        Settings.from_env({"SLM_EXPLORER_DEVICE": "gpu"})
    settings = replace(Settings.from_env({"SLM_EXPLORER_DEVICE": "cuda"}), home=tmp_path)
    services = build_services(settings)
    try:
        chosen = services.chat.spec("sprout-5m")
        assert (chosen.device, chosen.engine) == ("cuda", "transformers")
        shape = services.shape_spec(services.catalog.get("gpt-neo-125m"), "native", "torch")
        assert (shape.device, shape.engine) == ("cuda", "transformers")
    finally:
        services.close()
    catalog = Catalog.load(asset_folder())
    here = ChatService(catalog, services.manager, asset_folder(), threads=1)
    assert (here.spec("sprout-5m").device, here.engine("torch")) == ("cpu", "torch")

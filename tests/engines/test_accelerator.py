"""Models on a GPU, as far as a machine without one can tell."""

from __future__ import annotations

import threading
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import nn

from slm_explorer.assets import asset_folder
from slm_explorer.catalog.catalog import Catalog
from slm_explorer.chat import ChatService
from slm_explorer.compression.recipes import load_step
from slm_explorer.engines import accelerator
from slm_explorer.engines.checkpoint import LoadedModel, load_model
from slm_explorer.engines.reference import ReferenceEngine
from slm_explorer.errors import InvalidRequest, UnsupportedModel
from slm_explorer.services import build_services
from slm_explorer.settings import Settings
from slm_explorer.types import Delta, GenerateRequest, ModelSpec, Sampling

SPROUT = asset_folder() / "sprouts" / "sprout-5m"


def loaded() -> LoadedModel:
    spec = ModelSpec("sprout-5m", str(SPROUT), recipe="f32")
    return load_model(spec, lambda _fraction, _stage: None)


def test_int8_rounds_the_layers_and_keeps_the_table_of_tokens() -> None:
    exact, rounded = loaded().model, loaded().model
    accelerator.quantize(rounded, load_step("int8"))
    kinds = {
        name: type(layer.weight).__name__
        for name, layer in rounded.named_modules()
        if isinstance(layer, nn.Linear)
    }
    # Its head is its table of tokens.
    assert kinds.pop("lm_head") == "Parameter"
    assert set(kinds.values()) == {"Int8Tensor"}
    ids = torch.tensor([[5, 80, 7, 300, 41, 9]])
    before, after = exact(ids).logits, rounded(ids).logits
    assert 0 < float((before - after).norm() / before.norm()) < 0.05
    linear = sum(m.weight.numel() for m in exact.modules() if isinstance(m, nn.Linear))
    saved = size(exact) - size(rounded)
    assert saved > 2.9 * (linear - exact.lm_head.weight.numel())


def size(model: nn.Module) -> int:
    return sum(accelerator._bytes(parameter) for parameter in model.parameters())


@pytest.mark.parametrize(("device", "says"), [("cuda", "no NVIDIA GPU"), ("mps", "no Apple GPU")])
def test_a_device_that_is_not_there_is_one_sentence(device: str, says: str) -> None:
    if (torch.cuda if device == "cuda" else torch.backends.mps).is_available():
        return
    spec = ModelSpec("sprout-5m", str(SPROUT), "native", "transformers", device)
    with pytest.raises(UnsupportedModel, match=says):
        ReferenceEngine().load(spec, lambda _fraction, _stage: None)


def test_the_engine_answers_with_a_model_that_was_put_on_its_device(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    # The path of a GPU, walked on the CPU.
    monkeypatch.setattr("slm_explorer.engines.reference.load_model", accelerator.load_on_device)
    engine = ReferenceEngine()
    info = engine.load(
        ModelSpec("sprout-5m", str(SPROUT), "int8", "transformers"), lambda _fraction, _stage: None
    )
    assert info.weights_bytes < 0.6 * 2 * info.parameters
    request = GenerateRequest("1", "ann", Sampling(max_tokens=8), raw="One day")
    events = list(engine.generate(request, threading.Event()))
    assert any(isinstance(event, Delta) and event.text for event in events)


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

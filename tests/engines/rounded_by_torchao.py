"""The path of a model to a GPU, walked on the CPU where torchao is found; says JSON about it."""

from __future__ import annotations

import json
import threading

import torch
from torch import nn

from slm_explorer.assets import asset_folder
from slm_explorer.compression.recipes import load_step
from slm_explorer.engines import accelerator, reference
from slm_explorer.engines.checkpoint import load_model
from slm_explorer.types import Delta, GenerateRequest, ModelSpec, Sampling

SPROUT = str(asset_folder() / "sprouts" / "sprout-5m")


def size(model: nn.Module) -> int:
    return sum(accelerator.bytes_of(parameter) for parameter in model.parameters())


def layers() -> dict[str, object]:
    spec = ModelSpec("sprout-5m", SPROUT, recipe="f32")
    exact, rounded = (load_model(spec, lambda _fraction, _stage: None).model for _ in range(2))
    accelerator.quantize(rounded, load_step("int8"))
    found = {name: layer for name, layer in rounded.named_modules() if isinstance(layer, nn.Linear)}
    ids = torch.tensor([[5, 80, 7, 300, 41, 9]])
    before, after = exact(ids).logits, rounded(ids).logits
    return {
        "layers": {name: type(layer.weight).__name__ for name, layer in found.items()},
        "error": float((before - after).norm() / before.norm()),
        "numbers": sum(layer.weight.numel() for name, layer in found.items() if name != "lm_head"),
        "saved_bytes": size(exact) - size(rounded),
    }


def answer() -> dict[str, object]:
    vars(reference)["load_model"] = accelerator.load_on_device
    engine = reference.ReferenceEngine()
    spec = ModelSpec("sprout-5m", SPROUT, "int8", "transformers")
    info = engine.load(spec, lambda _fraction, _stage: None)
    request = GenerateRequest("1", "ann", Sampling(max_tokens=8), raw="One day")
    events = engine.generate(request, threading.Event())
    text = "".join(event.text for event in events if isinstance(event, Delta))
    return {"weights_bytes": info.weights_bytes, "parameters": info.parameters, "text": text}


if __name__ == "__main__":
    print(json.dumps({**layers(), **answer()}))

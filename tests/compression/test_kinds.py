"""Every architecture kind through int8 and int4, in the worker and by way of the disk."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F
from transformers.pytorch_utils import Conv1D

from slm_explorer.compression.packed import PackedEmbedding, PackedLinear
from slm_explorer.compression.recipes import CompressionResult
from slm_explorer.engines.checkpoint import load_model
from slm_explorer.types import ModelSpec, Sampling
from tests.compression.conftest import compressed
from tests.compression.models import OTHERS, save_other
from tests.engines.answers import ask, request
from tests.engines.conftest import load
from tests.engines.models import ARCHITECTURES, save_model

IDS = torch.tensor([[5, 17, 99, 4, 250, 31, 8, 77, 12, 300, 41, 6]])


@pytest.fixture(scope="module", params=[*ARCHITECTURES, *OTHERS])
def parent(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    kind = str(request.param)
    folder = tmp_path_factory.mktemp(kind) / kind
    return save_other(folder, kind) if kind in OTHERS else save_model(folder, kind)


def model_of(folder: Path, recipe: str = "native") -> Any:
    spec = ModelSpec(model=folder.name, path=str(folder), recipe=recipe)
    return load_model(spec, lambda _fraction, _stage: None).model


@torch.inference_mode()
def logits_of(model: Any) -> Tensor:
    extra = {"decoder_input_ids": IDS} if model.config.is_encoder_decoder else {}
    logits: Tensor = model(input_ids=IDS, **extra).logits
    return logits


def restore_exactly(model: Any, packed: Any) -> None:
    """Put the exact values of every packed layer into the ordinary model's place for it, with
    products in float32 of inputs in bf16, rounded to bf16 as the kernels' are.
    """
    for name, layer in packed.named_modules():
        if not isinstance(layer, PackedLinear | PackedEmbedding):
            continue
        plain = model.get_submodule(name)
        exact = layer.matrix.exact()
        with torch.no_grad():
            plain.weight.copy_(exact.t() if isinstance(plain, Conv1D) else exact)
        if isinstance(layer, PackedLinear):
            plain.forward = partial(rounded, exact, plain.bias)


def rounded(weight: Tensor, bias: Tensor | None, inputs: Tensor) -> Tensor:
    product = F.linear(inputs.bfloat16().float(), weight).bfloat16().float()
    return product if bias is None else product + bias


@pytest.mark.parametrize("recipe", ["int8", "int4", "int4-refined"])
def test_every_kind_computes_what_its_integers_stand_for(parent: Path, recipe: str) -> None:
    packed = model_of(parent, recipe)
    layers = [each for each in packed.modules() if isinstance(each, PackedLinear)]
    assert len(layers) >= 4
    found = logits_of(packed)
    reference = model_of(parent)
    restore_exactly(reference, packed)
    wanted = logits_of(reference)
    assert float((found - wanted).norm() / wanted.norm()) < 1e-2


@pytest.mark.parametrize("recipe", ["int8", "int4"])
def test_every_kind_goes_to_disk_and_back(parent: Path, recipe: str, tmp_path: Path) -> None:
    result = compressed(parent, tmp_path / "child", recipe)
    assert result.bytes_after < result.bytes_before
    child = model_of(tmp_path / "child")
    assert torch.equal(logits_of(child), logits_of(model_of(parent, recipe)))
    check_report(result, child)


def check_report(result: CompressionResult, child: Any) -> None:
    methods = {layer.method for layer in result.layers}
    assert "int8" in methods or "int4" in methods
    for layer in result.layers:
        if layer.method == "kept":
            assert layer.reason
            assert layer.relative_error is None
        else:
            assert layer.relative_error is not None
            assert 0 < layer.relative_error < (0.02 if layer.method == "int8" else 0.15)
            assert layer.bits < 10
    assert any(isinstance(each, PackedLinear) for each in child.modules())


@pytest.mark.parametrize("architecture", ARCHITECTURES)
@pytest.mark.parametrize("recipe", ["int8", "int4"])
def test_every_decoder_writes_text(architecture: str, recipe: str, tmp_path: Path) -> None:
    engine = load(save_model(tmp_path / "model", architecture), recipe=recipe)
    said = ask(engine, request(Sampling(max_tokens=8, ignore_eos=True), raw="The fox saw"))
    assert said.tokens == 8

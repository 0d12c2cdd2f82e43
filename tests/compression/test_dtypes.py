"""What a model with packed matrices computes in."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from safetensors import safe_open

from slm_explorer.engines.checkpoint import load_model
from slm_explorer.types import ModelSpec
from tests.compression.conftest import compressed
from tests.engines.models import save_model


def dtype_of(folder: Path, recipe: str = "native") -> str:
    spec = ModelSpec(model=folder.name, path=str(folder), recipe=recipe)
    return load_model(spec, lambda _fraction, _stage: None).info.dtype


@pytest.mark.parametrize("recipe", ["int8", "int4"])
@pytest.mark.parametrize(
    ("stored", "computed"),
    [
        (torch.float32, "float32"),
        (torch.bfloat16, "bfloat16"),
        (torch.float16, "bfloat16"),  # processors have few instructions for it
    ],
    ids=str,
)
def test_a_packed_model_computes_alike_in_the_worker_and_from_disk(
    recipe: str, stored: torch.dtype, computed: str, tmp_path: Path
) -> None:
    parent = save_model(tmp_path / "parent", "gpt_neo", dtype=stored)
    assert dtype_of(parent) == str(stored).removeprefix("torch.")
    assert dtype_of(parent, recipe) == computed
    compressed(parent, tmp_path / "child", recipe)
    assert dtype_of(tmp_path / "child") == computed


def test_scales_are_bf16_whatever_is_stored_beside_them(tmp_path: Path) -> None:
    """Torch's kernels take 15 to 30 times as long in float32 and float16."""
    parent = save_model(tmp_path / "parent", "opt", dtype=torch.float32)
    compressed(parent, tmp_path / "child", "int4")
    with safe_open(tmp_path / "child" / "model.safetensors", framework="pt") as file:
        kinds = {name: file.get_slice(name).get_dtype() for name in file.keys()}  # noqa: SIM118
    parts = {kind for name, kind in kinds.items() if name.endswith((".scales", ".zeros"))}
    assert parts == {"BF16"}
    assert "F32" in kinds.values(), "norms stay as they were"

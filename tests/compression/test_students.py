"""A student has the shape that was asked for, and the parent's own layers or none of them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from slm_explorer.compression.students import evenly_spaced, make_student
from slm_explorer.compression.training_plan import StudentPlan
from slm_explorer.engines.checkpoint import load_model
from slm_explorer.errors import InvalidRequest, SlmError, UnsupportedModel
from slm_explorer.types import ModelSpec
from tests.compression.conftest import names
from tests.compression.models import save_other
from tests.engines.models import save_model


def model_of(folder: Path) -> Any:
    spec = ModelSpec(model=folder.name, path=str(folder), recipe="f32", threads=1)
    return load_model(spec, lambda _fraction, _stage: None).model


@pytest.mark.parametrize(
    ("count", "depth", "kept"),
    [(1, 6, (0,)), (2, 6, (0, 5)), (3, 6, (0, 2, 5)), (4, 4, (0, 1, 2, 3)), (3, 30, (0, 14, 29))],
)
def test_layers_are_taken_at_even_distances(count: int, depth: int, kept: tuple[int, ...]) -> None:
    assert evenly_spaced(count, depth) == kept


@pytest.mark.parametrize("kind", ["llama", "gpt2", "gemma3_text", "opt"])
def test_it_takes_over_the_parents_layers(tmp_path: Path, kind: str) -> None:
    parent = save_model(tmp_path / "parent", kind)
    assert make_student(parent, tmp_path / "student", StudentPlan(2)) == (0, 2)
    before, after = model_of(parent), model_of(tmp_path / "student")
    assert after.config.num_hidden_layers == 2
    stack = {"gpt2": "transformer.h", "opt": "model.decoder.layers"}.get(kind, "model.layers")
    old, new = before.state_dict(), after.state_dict()
    assert len(new) < len(old)
    for name, tensor in new.items():
        assert torch.equal(tensor, old[name.replace(f"{stack}.1.", f"{stack}.2.")]), name
    if kind == "gemma3_text":
        assert after.config.layer_types == ["sliding_attention", "sliding_attention"]
    assert {"tokenizer.json", "tokenizer_config.json"} <= set(names(tmp_path / "student"))


def test_a_fresh_one_is_random_by_its_seed(tmp_path: Path, tiny_llama: Path) -> None:
    weights = []
    for name, seed in (("a", 1), ("b", 1), ("c", 2)):
        plan = StudentPlan(2, fresh=True, seed=seed)
        assert make_student(tiny_llama, tmp_path / name, plan) == ()
        weights.append(model_of(tmp_path / name).model.layers[0].mlp.up_proj.weight)
    assert torch.equal(weights[0], weights[1])
    assert not torch.equal(weights[0], weights[2])
    assert weights[0].std() < 0.1 < model_of(tiny_llama).model.layers[0].mlp.up_proj.weight.std()


def test_a_narrower_one_keeps_the_size_of_a_head(tmp_path: Path) -> None:
    parent = save_model(tmp_path / "parent", "llama", num_key_value_heads=4)
    make_student(parent, tmp_path / "student", StudentPlan(1, width=32, fresh=True))
    student = model_of(tmp_path / "student")
    config = student.config
    assert (config.hidden_size, config.num_attention_heads, config.head_dim) == (32, 2, 16)
    assert (config.num_key_value_heads, config.intermediate_size) == (2, 64)
    assert student.model.embed_tokens.weight.shape == (config.vocab_size, 32)
    made = student.generate(torch.tensor([[1, 2, 3]]), max_new_tokens=4, do_sample=False)
    assert made.shape[1] > 3


def test_an_encoder_has_students_too(tmp_path: Path) -> None:
    parent = save_other(tmp_path / "parent", "bert")
    assert make_student(parent, tmp_path / "student", StudentPlan(1)) == (0,)
    assert len(model_of(tmp_path / "student").bert.encoder.layer) == 1


@pytest.mark.parametrize(
    ("kind", "plan", "error", "says"),
    [
        ("llama", StudentPlan(4), InvalidRequest, "has 3 layers"),
        ("llama", StudentPlan(2, width=32), InvalidRequest, "add fresh"),
        ("llama", StudentPlan(2, width=40, fresh=True), InvalidRequest, "multiple of 16"),
        ("lfm2", StudentPlan(2), InvalidRequest, "attention"),
        ("t5", StudentPlan(1), UnsupportedModel, "encoder and a decoder"),
        ("albert", StudentPlan(1), UnsupportedModel, "cannot be told apart"),
    ],
)
def test_what_cannot_be_is_refused_and_leaves_nothing(
    tmp_path: Path, kind: str, plan: StudentPlan, error: type[SlmError], says: str
) -> None:
    save = save_other if kind in ("t5", "albert") else save_model
    parent = save(tmp_path / "parent", kind)
    with pytest.raises(error, match=says):
        make_student(parent, tmp_path / "student", plan)
    assert names(tmp_path) == ["parent"]

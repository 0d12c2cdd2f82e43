"""Structure taken out of every kind of model: what is left computes exactly what it should."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from transformers import AutoModelForCausalLM
from transformers.pytorch_utils import Conv1D

from slm_explorer.compression.architectures import FAMILIES, structure_reason
from slm_explorer.compression.calibration import windows_of
from slm_explorer.compression.influence import blocks_of
from slm_explorer.compression.recipes import parse_recipe, why_not
from slm_explorer.compression.structure import (
    apply_structure,
    measure_influence,
    save_checkpoint,
)
from slm_explorer.engines.checkpoint import LoadedModel, load_model
from slm_explorer.errors import BadCheckpoint, Cancelled, InvalidRequest, SlmError
from slm_explorer.types import ModelSpec
from tests.compression.models import OTHERS, save_other
from tests.engines.models import ARCHITECTURES, TEXT, save_model

IDS = torch.tensor([[5, 17, 99, 4, 250, 31, 8, 77, 12, 300, 41, 6]])


# Kinds of Llama's shape that the engines' table lacks.
ALIKE = ("ernie4_5", "gemma2")


@pytest.fixture(scope="module", params=[*ARCHITECTURES, *OTHERS, *ALIKE])
def parent(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    kind = str(request.param)
    folder = tmp_path_factory.mktemp(kind) / kind
    if kind in ALIKE:
        return save_model(folder, "llama", model_type=kind, head_dim=16)
    return save_other(folder, kind) if kind in OTHERS else save_model(folder, kind)


def loaded(folder: Path) -> LoadedModel:
    return load_model(ModelSpec(folder.name, str(folder)), lambda _fraction, _stage: None)


def apply(step: str, source: Path, out: Path, text: str = TEXT) -> dict[str, object]:
    (parsed,) = parse_recipe(step)
    return apply_structure(parsed, source, out, text, 1, lambda _fraction: None, lambda: False)


@torch.inference_mode()
def logits_of(model: Any) -> Tensor:
    extra = {"decoder_input_ids": IDS} if model.config.is_encoder_decoder else {}
    logits: Tensor = model(input_ids=IDS, **extra).logits
    return logits


def config_of(folder: Path) -> dict[str, Any]:
    values: dict[str, Any] = json.loads((folder / "config.json").read_text())
    return values


def refused(step: str, value: float, folder: Path) -> bool:
    """Whether this kind of model cannot take the step; then a recipe with it, and one that goes on
    from it, must be refused in the same words.
    """
    config = config_of(folder)
    reason = structure_reason(step, value, config)
    if reason is None:
        return False
    assert reason.endswith(".")
    for recipe in (f"{step}:{value:g}", f"{step}:{value:g}+int8"):
        assert reason in str(why_not(recipe, config))
    return True


def layers_named(model: Any, names: Iterable[str]) -> list[Any]:
    ends = tuple(f".{name}" for name in names)
    return [module for name, module in model.named_modules() if name.endswith(ends)]


def silence(layer: Any, columns: Tensor) -> None:
    """Let the layer's outputs no longer depend on those of its inputs."""
    with torch.no_grad():
        if isinstance(layer, Conv1D):
            layer.weight[columns] = 0
        else:
            layer.weight[:, columns] = 0


def test_a_model_without_a_layer_is_the_model_that_skips_it(parent: Path, tmp_path: Path) -> None:
    if refused("drop-layers", 1, parent):
        return
    detail = apply("drop-layers:1", parent, tmp_path / "child")
    layers, influence = detail["dropped"], detail["influence"]
    assert isinstance(layers, list)
    assert isinstance(influence, list)
    dropped = int(layers[0])
    assert len(layers) == 1
    model = loaded(parent).model
    free = list(range(len(influence)))
    if FAMILIES[model.config.model_type].keeps_first:
        free.remove(0)
    if model.config.model_type == "lfm2":
        free.remove(1)  # its only one with attention
    assert influence[dropped] == min(influence[layer] for layer in free)

    def pass_through(_block: nn.Module, args: Any, kwargs: Any, output: Any) -> Any:
        entered = args[0] if args else kwargs["hidden_states"]
        return (entered, *output[1:]) if isinstance(output, tuple) else entered

    blocks_of(model)[dropped].register_forward_hook(pass_through, with_kwargs=True)
    child = loaded(tmp_path / "child")
    assert len(blocks_of(child.model)) == len(influence) - 1
    assert torch.allclose(logits_of(child.model), logits_of(model), atol=1e-4, rtol=1e-4)


def test_neurons_that_nobody_reads_are_the_ones_to_go(parent: Path, tmp_path: Path) -> None:
    if refused("prune-mlp", 25, parent):
        return
    mlp = FAMILIES[config_of(parent)["model_type"]].mlp
    assert mlp is not None
    model = loaded(parent).model
    probe = apply("prune-mlp:25", parent, tmp_path / "probe")
    width, kept = int(str(probe["neurons_before"])), int(str(probe["neurons_after"]))
    assert 0.65 * width <= kept <= 0.85 * width
    for layer in layers_named(model, [mlp.output]):
        matrix = layer.weight.t() if isinstance(layer, Conv1D) else layer.weight
        if matrix.shape[1] == width:
            silence(layer, torch.randperm(width)[: width - kept])
    save_checkpoint(model, parent, tmp_path / "silent", lambda: False)
    apply("prune-mlp:25", tmp_path / "silent", tmp_path / "child")
    child = loaded(tmp_path / "child")
    assert child.info.parameters < loaded(parent).info.parameters
    assert torch.allclose(logits_of(child.model), logits_of(model), atol=1e-4, rtol=1e-4)


def test_heads_that_nobody_reads_are_the_ones_to_go(parent: Path, tmp_path: Path) -> None:
    if refused("prune-heads", 50, parent):
        return
    names = FAMILIES[config_of(parent)["model_type"]].attention
    assert names is not None
    model = loaded(parent).model
    for number, layer in enumerate(layers_named(model, [names.o])):
        half = layer.weight.shape[1] // 2
        silence(layer, torch.arange(half) + half * (number % 2))
    save_checkpoint(model, parent, tmp_path / "silent", lambda: False)
    detail = apply("prune-heads:50", tmp_path / "silent", tmp_path / "child")
    assert (detail["kv_heads_after"], detail["query_heads_after"]) == (1, 2)
    child = loaded(tmp_path / "child")
    values = config_of(tmp_path / "child")
    assert (values["num_key_value_heads"], values["num_attention_heads"]) == (1, 2)
    assert torch.allclose(logits_of(child.model), logits_of(model), atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("kind", ["llama-tied-bias", "gpt2", "bert", "t5"])
def test_the_smallest_weights_become_zeros(kind: str, tmp_path: Path) -> None:
    parent = (save_other if kind in OTHERS else save_model)(tmp_path / kind, kind)
    detail = apply("prune-magnitude:30", parent, tmp_path / "child")
    zeros, total = int(str(detail["zeros"])), int(str(detail["of_weights"]))
    assert zeros == pytest.approx(0.3 * total, rel=0.01)
    before, after = loaded(parent).model.state_dict(), loaded(tmp_path / "child").model.state_dict()
    assert before.keys() == after.keys()
    changed = [name for name in before if not torch.equal(before[name], after[name])]
    assert changed
    for name in changed:
        gone = after[name] == 0
        assert torch.equal(after[name][~gone], before[name][~gone])
        assert before[name][gone].abs().max() <= before[name][~gone].abs().min()


@pytest.mark.parametrize("step", ["drop-layers:2", "prune-mlp:50", "prune-heads:50"])
def test_plain_transformers_reads_what_is_left(step: str, tiny_llama: Path, tmp_path: Path) -> None:
    apply(step, tiny_llama, tmp_path / "child")
    model, report = AutoModelForCausalLM.from_pretrained(
        tmp_path / "child", output_loading_info=True
    )
    assert not report["missing_keys"]
    assert not report["unexpected_keys"]
    assert not report["mismatched_keys"]
    assert torch.equal(logits_of(model.eval()), logits_of(loaded(tmp_path / "child").model))
    assert (tmp_path / "child" / "tokenizer.json").is_file()


def test_heads_stay_a_number_that_the_configuration_takes(tmp_path: Path) -> None:
    # 48 is no multiple of 5 x 2 heads, so that 6 KV heads become 4, 3, 2 or 1.
    parent = save_model(
        tmp_path / "parent",
        "llama",
        hidden_size=48,
        num_attention_heads=12,
        num_key_value_heads=6,
        head_dim=16,
    )
    detail = apply("prune-heads:10", parent, tmp_path / "child")
    assert detail["kv_heads_after"] == 4
    logits_of(loaded(tmp_path / "child").model)


def test_the_curve_tells_what_each_layer_does(tiny_llama: Path) -> None:
    fractions: list[float] = []
    found = measure_influence(tiny_llama, TEXT, 1, fractions.append, lambda: False)
    assert len(found.influence) == 3
    assert all(0 < each < 2 for each in found.influence)
    assert found.loss is not None
    assert found.losses_without is not None
    assert len(set(found.losses_without) | {found.loss}) == 4
    assert fractions == sorted(fractions)
    assert fractions[-1] == 1.0


def test_a_layer_that_changes_nothing_has_no_influence(tiny_llama: Path, tmp_path: Path) -> None:
    model = loaded(tiny_llama).model
    with torch.no_grad():
        model.model.layers[1].self_attn.o_proj.weight.zero_()
        model.model.layers[1].mlp.down_proj.weight.zero_()
    save_checkpoint(model, tiny_llama, tmp_path / "idle", lambda: False)
    found = measure_influence(tmp_path / "idle", TEXT, 1, lambda _fraction: None, lambda: False)
    assert found.influence[1] == pytest.approx(0, abs=1e-6)
    assert found.losses_without is not None
    assert found.losses_without[1] == found.loss
    apply("drop-layers:1", tmp_path / "idle", tmp_path / "child")
    assert torch.equal(logits_of(loaded(tmp_path / "child").model), logits_of(model))


def test_encoders_have_a_curve_and_no_loss(tmp_path: Path) -> None:
    folder = save_other(tmp_path / "bert", "bert")
    found = measure_influence(folder, TEXT, 1, lambda _fraction: None, lambda: False)
    assert len(found.influence) == 2
    assert found.loss is None
    assert found.losses_without is None


def test_windows_stand_between_the_models_own_tokens(tiny_llama: Path) -> None:
    windows = windows_of(loaded(tiny_llama), TEXT * 20)
    assert [window.shape[1] for window in windows[:2]] == [256, 256]
    assert all(int(window[0, 0]) == 0 for window in windows)
    assert sum(window.numel() - 1 for window in windows) <= 4096


@pytest.mark.parametrize(
    ("step", "text", "error", "said"),
    [
        ("drop-layers:3", TEXT, InvalidRequest, "3 layers, and at least 1 must stay"),
        ("drop-layers:1", "", InvalidRequest, "0 tokens, and at least 16"),
        ("prune-mlp:25", "a fox", InvalidRequest, "at least 16"),
    ],
)
def test_what_cannot_be_done_is_said(
    step: str, text: str, error: type[SlmError], said: str, tiny_llama: Path, tmp_path: Path
) -> None:
    with pytest.raises(error, match=said):
        apply(step, tiny_llama, tmp_path / "child", text)


def test_weights_that_are_not_finite_are_named(tiny_llama: Path, tmp_path: Path) -> None:
    model = loaded(tiny_llama).model
    model.model.layers[1].mlp.up_proj.weight.view(-1)[3] = float("nan")
    model.save_pretrained(tmp_path / "bad")
    loaded(tiny_llama).tokenizer.save_pretrained(tmp_path / "bad")  # type: ignore[union-attr]
    with pytest.raises(BadCheckpoint, match=r"layers\.1\.mlp\.up_proj\.weight"):
        apply("prune-magnitude:10", tmp_path / "bad", tmp_path / "child")


@pytest.mark.parametrize("step", ["drop-layers:1", "prune-mlp", "prune-heads", "prune-magnitude"])
def test_it_can_be_cancelled_on_its_way(step: str, tiny_llama: Path, tmp_path: Path) -> None:
    (parsed,) = parse_recipe(step)
    asked = 0

    def cancelled() -> bool:
        nonlocal asked
        asked += 1
        return asked > 1

    with pytest.raises(Cancelled):
        apply_structure(
            parsed, tiny_llama, tmp_path / "no", TEXT * 9, 1, lambda _fraction: None, cancelled
        )
    assert not (tmp_path / "no").exists()

"""Broken, foreign and unsupported checkpoints are refused in one sentence that says why."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from slm_explorer.engines.registry import create_engine
from slm_explorer.errors import BadCheckpoint, InvalidRequest, SlmError, UnsupportedModel
from slm_explorer.types import ModelInfo, ModelSpec, Sampling
from tests.engines.answers import ask, request
from tests.engines.conftest import Checkpoint, load
from tests.engines.models import ARCHITECTURES

Break = Callable[[Path], None]


def rewrite(name: str, **changes: object) -> Break:
    def change(folder: Path) -> None:
        path = folder / name
        values = {**json.loads(path.read_text()), **changes}
        path.write_text(json.dumps({key: value for key, value in values.items() if value != ""}))

    return change


def weights(change: Callable[[dict[str, torch.Tensor]], None]) -> Break:
    def rewrite_weights(folder: Path) -> None:
        tensors = load_file(folder / "model.safetensors")
        change(tensors)
        save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})

    return rewrite_weights


def lose(name: str) -> Break:
    def drop(tensors: dict[str, torch.Tensor]) -> None:
        del tensors[name]

    return weights(drop)


def truncate(folder: Path) -> None:
    path = folder / "model.safetensors"
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def scramble(folder: Path) -> None:
    path = folder / "model.safetensors"
    path.write_bytes(b"\xff" * 64 + path.read_bytes()[64:])


def only_pickle(folder: Path) -> None:
    torch.save(load_file(folder / "model.safetensors"), folder / "pytorch_model.bin")
    (folder / "model.safetensors").unlink()


def no_tokenizer(folder: Path) -> None:
    for name in ("tokenizer.json", "tokenizer_config.json", "chat_template.jinja"):
        (folder / name).unlink(missing_ok=True)


def half_an_index(folder: Path) -> None:
    index = {"weight_map": {"a": "one.safetensors", "b": "../../two.safetensors"}}
    (folder / "model.safetensors").unlink()
    (folder / "model.safetensors.index.json").write_text(json.dumps(index))


def wrong_shape(tensors: dict[str, torch.Tensor]) -> None:
    tensors["model.norm.weight"] = torch.ones(7)


def fill_with_nan(tensors: dict[str, torch.Tensor]) -> None:
    tensors["model.norm.weight"].fill_(float("nan"))


def write(name: str, text: str) -> Break:
    def replace(folder: Path) -> None:
        (folder / name).write_text(text)

    return replace


BROKEN: dict[str, tuple[Break, type[SlmError], str]] = {
    "no config": (lambda folder: (folder / "config.json").unlink(), BadCheckpoint, "config.json"),
    "config cut off": (
        write("config.json", '{"model_type": "lla'),
        BadCheckpoint,
        "config.json.*cannot be read",
    ),
    "config is a list": (
        write("config.json", "[]"),
        BadCheckpoint,
        "not a JSON object",
    ),
    "no model type": (rewrite("config.json", model_type=""), BadCheckpoint, "model_type"),
    "unknown model type": (
        rewrite("config.json", model_type="perceptron9"),
        UnsupportedModel,
        "'perceptron9'.*does not know",
    ),
    "another kind's weights": (
        rewrite("config.json", model_type="bert", architectures=["BertForMaskedLM"]),
        BadCheckpoint,
        "lack .* tensors, bert.*noise",
    ),
    "no language model": (
        rewrite("config.json", model_type="llama", architectures=["LlamaForTokenClassification"]),
        UnsupportedModel,
        "is a LlamaForTokenClassification, not a language model",
    ),
    "a trillion layers": (
        rewrite("config.json", num_hidden_layers=10**12),
        BadCheckpoint,
        "num_hidden_layers is 1,000,000,000,000",
    ),
    "negative heads": (
        rewrite("config.json", num_attention_heads=-4),
        BadCheckpoint,
        "num_attention_heads is -4",
    ),
    "a trillion labels": (
        rewrite("config.json", num_labels=10**12),
        BadCheckpoint,
        "num_labels is 1,000,000,000,000",
    ),
    "a width that heads do not divide": (
        rewrite("config.json", hidden_size=65),
        BadCheckpoint,
        r"hidden size \(65\) is not a multiple",
    ),
    "absurd numbers in a part": (
        rewrite("config.json", text_config={"hidden_size": 10**9}),
        BadCheckpoint,
        "hidden_size is 1,000,000,000",
    ),
    "stored quantized": (
        rewrite("config.json", quantization_config={"quant_method": "gptq"}),
        UnsupportedModel,
        "quantized",
    ),
    "nonsense in the config": (
        rewrite("config.json", num_attention_heads="many"),
        BadCheckpoint,
        "configuration|cannot be loaded",
    ),
    "weights cut off": (truncate, BadCheckpoint, "truncated or corrupt"),
    "weights scrambled": (scramble, BadCheckpoint, "truncated or corrupt"),
    "no weights": (
        lambda folder: (folder / "model.safetensors").unlink(),
        BadCheckpoint,
        "no weights",
    ),
    "only pickled weights": (only_pickle, BadCheckpoint, r"\.bin.*safetensors"),
    "a shard is missing": (half_an_index, BadCheckpoint, "lacks 2 of its 2"),
    "a tensor is missing": (
        lose("model.layers.1.mlp.up_proj.weight"),
        BadCheckpoint,
        "lack 1 tensors, model.layers.1.mlp.up_proj.weight",
    ),
    "a tensor of another shape": (weights(wrong_shape), BadCheckpoint, "other shapes"),
    "no tokenizer": (no_tokenizer, BadCheckpoint, "no tokenizer"),
    "tokenizer cut off": (
        write("tokenizer.json", '{"model": '),
        BadCheckpoint,
        "tokenizer.json.*cannot be read",
    ),
}


@pytest.mark.parametrize("case", sorted(BROKEN))
def test_a_broken_checkpoint_says_what_is_wrong(
    case: str, tiny_llama: Path, tmp_path: Path
) -> None:
    breaks, kind, words = BROKEN[case]
    folder = shutil.copytree(tiny_llama, tmp_path / "model")
    breaks(folder)
    with pytest.raises(kind, match=f"(?s){words}") as caught:
        load(folder)
    assert "\n" not in str(caught.value)
    assert str(tmp_path) not in str(caught.value), "a visitor learns no path of the host"


def test_no_folder_at_all(tmp_path: Path) -> None:
    with pytest.raises(BadCheckpoint, match="no folder 'nowhere'"):
        load(tmp_path / "nowhere")


def test_weights_that_are_not_numbers_are_noticed(tiny_llama: Path, tmp_path: Path) -> None:
    folder = shutil.copytree(tiny_llama, tmp_path / "model")
    weights(fill_with_nan)(folder)
    engine = load(folder)
    with pytest.raises(BadCheckpoint, match="not finite"):
        ask(engine, request(raw="fox"))


def test_code_in_a_checkpoint_is_never_run(tiny_llama: Path, tmp_path: Path) -> None:
    folder = shutil.copytree(tiny_llama, tmp_path / "model")
    trap = tmp_path / "sprung"
    (folder / "modeling_trap.py").write_text(f"open({str(trap)!r}, 'w').close()\n")
    auto_map = {"AutoConfig": "modeling_trap.X", "AutoModelForCausalLM": "modeling_trap.X"}
    rewrite("config.json", auto_map=auto_map)(folder)
    tokenizer_map = {"AutoTokenizer": ["modeling_trap.X", None]}
    rewrite("tokenizer_config.json", auto_map=tokenizer_map)(folder)
    assert ask(load(folder), request(raw="fox")).tokens > 0
    assert not trap.exists()


def info_of(spec: ModelSpec) -> tuple[ModelInfo, list[float]]:
    fractions: list[float] = []
    info = create_engine("torch").load(spec, lambda fraction, _stage: fractions.append(fraction))
    return info, fractions


def test_what_is_said_of_a_loaded_model(tiny_llama: Path) -> None:
    info, fractions = info_of(ModelSpec(model="tiny", path=str(tiny_llama)))
    stored = load_file(tiny_llama / "model.safetensors")
    assert info.parameters == sum(tensor.numel() for tensor in stored.values())
    assert info.weights_bytes == 4 * info.parameters
    assert (info.dtype, info.context_length, info.vocab_size) == ("float32", 1024, 384)
    assert info.has_chat_template
    assert fractions == sorted(fractions)
    assert fractions[-1] == 1.0
    assert len(set(fractions)) > 10


@pytest.mark.parametrize(
    ("recipe", "dtype", "width"), [("f32", "float32", 4), ("bf16", "bfloat16", 2)]
)
def test_recipes_cast(recipe: str, dtype: str, width: int, tiny_llama: Path) -> None:
    info, _ = info_of(ModelSpec(model="tiny", path=str(tiny_llama), recipe=recipe))
    assert info.dtype == dtype
    assert info.weights_bytes == width * info.parameters


def test_native_keeps_the_stored_dtype(tiny_llama: Path, tmp_path: Path) -> None:
    folder = shutil.copytree(tiny_llama, tmp_path / "model")
    tensors = load_file(folder / "model.safetensors")
    halves = {name: tensor.half() for name, tensor in tensors.items()}
    save_file(halves, folder / "model.safetensors", metadata={"format": "pt"})
    assert info_of(ModelSpec(model="tiny", path=str(folder)))[0].dtype == "float16"


def test_an_unknown_recipe_names_the_known_ones(tiny_llama: Path) -> None:
    with pytest.raises(InvalidRequest, match=r"'int5'.*native, bf16, f16, f32"):
        load(tiny_llama, recipe="int5")


def shape(**changes: object) -> ModelSpec:
    config = {**ARCHITECTURES["qwen3"], "dtype": "bfloat16", **changes}
    return ModelSpec(model="shape", path=None, shape_config=json.dumps(config))


def test_random_weights_in_a_real_shape(numbered: Checkpoint) -> None:
    engine = create_engine("torch")
    info = engine.load(shape(), lambda _fraction, _stage: None)
    stored = load_file(numbered("qwen3") / "model.safetensors")
    assert info.parameters == sum(tensor.numel() for tensor in stored.values())
    assert info.dtype == "bfloat16"
    said = ask(engine, request(Sampling(max_tokens=9, ignore_eos=True), prompt_ids=(5, 6, 7)))
    assert said.tokens == 9
    assert len(said.text.split()) == 9
    with pytest.raises(InvalidRequest, match="token ids"):
        ask(engine, request(raw="text"))


@pytest.mark.parametrize("architecture", sorted(ARCHITECTURES))
def test_every_architecture_can_be_made_from_its_shape(architecture: str) -> None:
    engine = create_engine("torch")
    config = json.dumps(ARCHITECTURES[architecture])
    spec = ModelSpec(model=architecture, path=None, shape_config=config)
    engine.load(spec, lambda _fraction, _stage: None)
    said = ask(engine, request(Sampling(max_tokens=3, ignore_eos=True), prompt_ids=(5, 6, 7)))
    assert said.tokens == 3


@pytest.mark.parametrize(
    ("config", "kind", "words"),
    [
        ("{", InvalidRequest, "not JSON"),
        ("[1]", InvalidRequest, "JSON object"),
        ('{"model_type": "perceptron9"}', UnsupportedModel, "perceptron9"),
        ('{"hidden_size": 8}', BadCheckpoint, "model_type"),
    ],
)
def test_a_shape_that_makes_no_sense(config: str, kind: type[SlmError], words: str) -> None:
    with pytest.raises(kind, match=words):
        info_of(ModelSpec(model="shape", path=None, shape_config=config))

from __future__ import annotations

import json
import os
import random
import tempfile
from pathlib import Path

import pytest
import torch
from transformers import AutoConfig, AutoModelForCausalLM

from slm_explorer.catalog.checkpoint import inspect_checkpoint
from slm_explorer.catalog.safetensors import MAX_HEADER_BYTES, read_header
from slm_explorer.errors import BadCheckpoint, SlmError
from tests.catalog.folders import LLAMA, TENSORS, safetensors_bytes, with_header, write_checkpoint

TINY: list[dict[str, object]] = [
    dict(LLAMA),
    dict(LLAMA, tie_word_embeddings=False),
    dict(LLAMA, model_type="qwen3", head_dim=32, architectures=["Qwen3ForCausalLM"]),
    {
        "model_type": "gpt_neo",
        "hidden_size": 64,
        "num_layers": 2,
        "num_heads": 4,
        "attention_types": [[["global", "local"], 1]],
        "vocab_size": 500,
        "max_position_embeddings": 128,
    },
    {
        "model_type": "falcon",
        "hidden_size": 64,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "vocab_size": 500,
        "multi_query": True,
    },
]


@pytest.mark.parametrize("config", TINY, ids=lambda c: f"{c['model_type']}")
@pytest.mark.parametrize("shard_size", ["5GB", "100KB"], ids=["one file", "shards"])
def test_the_facts_of_a_real_checkpoint(
    tmp_path: Path, config: dict[str, object], shard_size: str
) -> None:
    values = dict(config)
    built = AutoConfig.for_model(values.pop("model_type"), **values)
    model = AutoModelForCausalLM.from_config(built, dtype=torch.bfloat16)
    model.save_pretrained(tmp_path, max_shard_size=shard_size)
    facts = inspect_checkpoint(tmp_path)
    assert facts.model_type == config["model_type"]
    assert facts.architecture_kind == "decoder"
    assert facts.parameters == sum(p.numel() for p in model.parameters())
    assert facts.weights_bytes == sum(p.nbytes for p in model.parameters())
    assert facts.dtypes == ("bfloat16",)
    assert (len(facts.files) > 1) == (shard_size != "5GB")
    cache = model(torch.ones(1, 7, dtype=torch.long)).past_key_values
    assert facts.kv_layers == len(cache.layers)
    assert (facts.num_key_value_heads, facts.head_dim) == tuple(
        cache.layers[0].keys.shape[i] for i in (1, 3)
    )


def test_tied_embeddings_stored_twice_count_once(tmp_path: Path) -> None:
    twice = {**TENSORS, "lm_head.weight": ("BF16", (2048, 64))}
    assert inspect_checkpoint(write_checkpoint(tmp_path / "a", tensors=twice)).parameters == (
        2048 * 64 + 64
    )
    untied = dict(LLAMA, tie_word_embeddings=False)
    facts = inspect_checkpoint(write_checkpoint(tmp_path / "b", untied, twice))
    assert facts.parameters == 2 * 2048 * 64 + 64


def test_stored_buffers_are_no_parameters(tmp_path: Path) -> None:
    tensors = {**TENSORS, "h.0.attn.bias": ("U8", (512, 512))}
    facts = inspect_checkpoint(write_checkpoint(tmp_path, tensors=tensors))
    assert facts.parameters == 2048 * 64 + 64
    assert facts.weights_bytes == 2 * (2048 * 64 + 64) + 512 * 512


def test_a_quantized_checkpoint_has_no_known_parameter_count(tmp_path: Path) -> None:
    config = dict(LLAMA, quantization_config={"bits": 4})
    facts = inspect_checkpoint(write_checkpoint(tmp_path, config))
    assert facts.parameters is None
    assert facts.weights_bytes > 0


def test_tokenizer_and_template_are_found(tmp_path: Path) -> None:
    write_checkpoint(tmp_path)
    assert not inspect_checkpoint(tmp_path).has_tokenizer
    (tmp_path / "tokenizer.json").write_text("{}")
    (tmp_path / "tokenizer_config.json").write_text("not json")
    facts = inspect_checkpoint(tmp_path)
    assert (facts.has_tokenizer, facts.has_chat_template) == (True, False)
    (tmp_path / "tokenizer_config.json").write_text('{"chat_template": "{{ messages }}"}')
    assert inspect_checkpoint(tmp_path).has_chat_template
    (tmp_path / "tokenizer_config.json").unlink()
    (tmp_path / "chat_template.jinja").write_text("{{ messages }}")
    assert inspect_checkpoint(tmp_path).has_chat_template


def test_a_cache_of_links_is_a_checkpoint(tmp_path: Path) -> None:
    blobs = write_checkpoint(tmp_path / "blobs")
    snapshot = tmp_path / "snapshot"
    snapshot.mkdir()
    for name in ("config.json", "model.safetensors"):
        (snapshot / name).symlink_to(blobs / name)
    assert inspect_checkpoint(snapshot).parameters == 2048 * 64 + 64


def test_what_is_no_folder(tmp_path: Path) -> None:
    with pytest.raises(BadCheckpoint, match="There is no folder"):
        inspect_checkpoint(tmp_path / "missing")
    (tmp_path / "file").touch()
    with pytest.raises(BadCheckpoint, match="is a file: give the folder"):
        inspect_checkpoint(tmp_path / "file")
    with pytest.raises(BadCheckpoint, match=r"holds no config\.json"):
        inspect_checkpoint(tmp_path)


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"", "not valid JSON"),
        (b'{"model_type": "llama"', "not valid JSON"),
        (b"\xff\xfe\x00", "not valid JSON"),
        (b"[" * 200_000, "not valid JSON"),
        (b"[]", "not a JSON object"),
        (b"{}", "names no model_type"),
        (b'{"model_type": 7}', "names no model_type"),
        (b'{"model_type": "a\\nb"}', "names no model_type"),
        (b'{"model_type": "llama", "n": ' + b"9" * 10_000 + b"}", "not valid JSON"),
    ],
)
def test_a_broken_config(tmp_path: Path, content: bytes, says: str) -> None:
    write_checkpoint(tmp_path)
    (tmp_path / "config.json").write_bytes(content)
    with pytest.raises(BadCheckpoint, match=says):
        inspect_checkpoint(tmp_path)


def test_absurd_numbers_in_a_config_are_unknown(tmp_path: Path) -> None:
    config = dict(LLAMA, hidden_size=-5, num_hidden_layers="many", vocab_size=10**30, head_dim=True)
    facts = inspect_checkpoint(write_checkpoint(tmp_path, config))
    assert (facts.hidden_size, facts.num_layers, facts.vocab_size, facts.head_dim) == (None,) * 4


@pytest.mark.parametrize("name", ["pytorch_model.bin", "model.pt", "consolidated.00.pth"])
def test_pickled_weights_are_refused_with_what_to_do(tmp_path: Path, name: str) -> None:
    (tmp_path / "config.json").write_text(json.dumps(LLAMA))
    (tmp_path / name).write_bytes(b"\x80\x04")
    with pytest.raises(BadCheckpoint, match=f"{name}.*run any code.*convert them to safetensors"):
        inspect_checkpoint(tmp_path)


def test_no_weights_at_all(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text(json.dumps(LLAMA))
    with pytest.raises(BadCheckpoint, match=r"holds no weights: model\.safetensors is missing"):
        inspect_checkpoint(tmp_path)
    (tmp_path / "adapter_model.safetensors").touch()
    with pytest.raises(BadCheckpoint, match="adapter without its base"):
        inspect_checkpoint(tmp_path)


@pytest.mark.parametrize(
    ("model_type", "config", "kind"),
    [
        ("bert", {"architectures": ["BertForMaskedLM"]}, "encoder"),
        ("bert", {"architectures": ["BertLMHeadModel"]}, "encoder"),
        ("bert", {"architectures": ["BertLMHeadModel"], "is_decoder": True}, "decoder"),
        ("modernbert", {}, "encoder"),
        ("t5", {"is_encoder_decoder": True}, "encoder-decoder"),
        ("brand_new", {"is_encoder_decoder": True}, "encoder-decoder"),
        ("gemma4", {"architectures": ["AForConditionalGeneration"], "text_config": {}}, "decoder"),
    ],
)
def test_a_checkpoints_kind_is_known_by_its_names(
    tmp_path: Path, model_type: str, config: dict[str, object], kind: str
) -> None:
    folder = write_checkpoint(tmp_path, {"model_type": model_type, **config})
    assert inspect_checkpoint(folder).architecture_kind == kind


def test_an_unknown_architecture_is_left_to_the_engine(tmp_path: Path) -> None:
    facts = inspect_checkpoint(write_checkpoint(tmp_path, {"model_type": "brand_new"}))
    assert (facts.model_type, facts.architecture_kind) == ("brand_new", None)


def test_every_truncation_is_found(tmp_path: Path) -> None:
    whole = safetensors_bytes({"a": ("F32", (3, 5)), "b": ("BF16", (7,))})
    path = tmp_path / "model.safetensors"
    for length in range(len(whole)):
        path.write_bytes(whole[:length])
        with pytest.raises(BadCheckpoint, match=r"model\.safetensors"):
            read_header(path)
    path.write_bytes(whole)
    assert [(t.name, t.dtype, t.shape) for t in read_header(path)] == [
        ("a", "float32", (3, 5)),
        ("b", "bfloat16", (7,)),
    ]


def test_a_truncated_file_says_what_was_expected(tmp_path: Path) -> None:
    path = tmp_path / "model.safetensors"
    path.write_bytes(safetensors_bytes({"a": ("F32", (300, 500))})[:-1000])
    with pytest.raises(BadCheckpoint, match=r"truncated.*600,000 bytes.*file has 599,000"):
        read_header(path)


def entry(dtype: object = "F32", shape: object = (1,), offsets: object = (0, 4)) -> bytes:
    return json.dumps({"a": {"dtype": dtype, "shape": shape, "data_offsets": offsets}}).encode()


@pytest.mark.parametrize(
    ("content", "says"),
    [
        ((2**63).to_bytes(8, "little") + b"{}", "truncated or no safetensors"),
        (with_header(b"not json", 4), "not JSON"),
        (with_header(b"[" * 100_000, 4), "not JSON"),
        (with_header(b"[]", 4), "not an object"),
        (with_header(b'{"a": 1}', 4), "no known dtype"),
        (with_header(entry(dtype="PICKLE"), 4), "no known dtype"),
        (with_header(entry(shape=[-1]), 4), "no valid shape"),
        (with_header(entry(shape=[2**60]), 4), "no valid shape"),
        (with_header(entry(shape=[1] * 1000), 4), "no valid shape"),
        (with_header(entry(shape=[True]), 4), "no valid shape"),
        (with_header(entry(offsets=[-4, 0]), 4), "no valid shape or offsets"),
        (with_header(entry(offsets=[4, 0]), 4), "should take 4 bytes"),
        (with_header(entry(offsets=[0, 8]), 8), "should take 4 bytes.*takes 8"),
        (with_header(entry(offsets=[4, 8]), 8), "leaves a hole"),
        (with_header(entry(), 5), "bytes that belong to no tensor"),
    ],
)
def test_hostile_headers(tmp_path: Path, content: bytes, says: str) -> None:
    path = tmp_path / "model.safetensors"
    path.write_bytes(content)
    with pytest.raises(BadCheckpoint, match=says):
        read_header(path)


def test_overlapping_tensors(tmp_path: Path) -> None:
    two = {
        "a": {"dtype": "F32", "shape": [1], "data_offsets": [0, 4]},
        "b": {"dtype": "F32", "shape": [1], "data_offsets": [0, 4]},
    }
    (tmp_path / "x").write_bytes(with_header(json.dumps(two).encode(), 4))
    with pytest.raises(BadCheckpoint, match="overlaps"):
        read_header(tmp_path / "x")


def test_a_header_too_large_to_parse_is_not_read(tmp_path: Path) -> None:
    path = tmp_path / "model.safetensors"
    path.write_bytes((MAX_HEADER_BYTES + 1).to_bytes(8, "little"))
    os.truncate(path, MAX_HEADER_BYTES + 100)
    with pytest.raises(BadCheckpoint, match="claims a header"):
        read_header(path)


def test_random_damage_never_raises_anything_else(tmp_path: Path) -> None:
    whole = bytearray(safetensors_bytes({"a": ("F32", (3, 5)), "b": ("BF16", (7,))}))
    path = tmp_path / "model.safetensors"
    random_source = random.Random(0)
    refused = 0
    for _ in range(500):
        damaged = bytearray(whole)
        for _ in range(random_source.randint(1, 4)):
            damaged[random_source.randrange(len(damaged) - 74)] = random_source.randrange(256)
        path.write_bytes(damaged)
        try:
            read_header(path)
        except BadCheckpoint:
            refused += 1
    assert refused > 300


def write_index(folder: Path, weight_map: object) -> None:
    (folder / "config.json").write_text(json.dumps(LLAMA))
    (folder / "model.safetensors.index.json").write_text(json.dumps({"weight_map": weight_map}))


@pytest.mark.parametrize(
    ("weight_map", "says"),
    [
        ({"a": "model-2-of-2.safetensors"}, "names model-2-of-2.safetensors, which is missing"),
        ({"a": "../../secret.safetensors"}, "no shard's name"),
        ({"a": "/etc/passwd"}, "no shard's name"),
        ({"a": "weights.bin"}, "no shard's name"),
        ({"a": 7}, "no shard's name"),
        ({}, "has no weight_map"),
        ([], "has no weight_map"),
        ({"zz": "here.safetensors"}, "tensor 'zz' is in none of its shards"),
    ],
)
def test_a_broken_index(tmp_path: Path, weight_map: object, says: str) -> None:
    write_index(tmp_path, weight_map)
    (tmp_path / "here.safetensors").write_bytes(safetensors_bytes(TENSORS))
    with pytest.raises(BadCheckpoint, match=says):
        inspect_checkpoint(tmp_path)


def test_weights_that_are_no_regular_file_do_not_block(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text(json.dumps(LLAMA))
    os.mkfifo(tmp_path / "model.safetensors")
    with pytest.raises(BadCheckpoint, match="is not a file"):
        inspect_checkpoint(tmp_path)


def test_unreadable_files() -> None:
    me = os.geteuid()
    with tempfile.TemporaryDirectory() as name:  # pytest's own folders are closed to others
        folder = Path(name)
        folder.chmod(0o755)
        write_checkpoint(folder)
        (folder / "model.safetensors").chmod(0)
        if me == 0:
            os.seteuid(65534)  # root may read every file; nobody may not
        try:
            with pytest.raises(BadCheckpoint, match="cannot be read"):
                inspect_checkpoint(folder)
        finally:
            os.seteuid(me)


def test_messages_of_every_error_are_one_line(tmp_path: Path) -> None:
    write_index(tmp_path, {"a\nb" * 100: "x\n.safetensors"})
    with pytest.raises(SlmError) as caught:
        inspect_checkpoint(tmp_path)
    assert "\n" not in str(caught.value)

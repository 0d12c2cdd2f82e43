"""What is refused before anything is sent, and what a listing and a config lead to."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from slm_explorer.catalog.catalog import Catalog
from slm_explorer.errors import InvalidRequest, Offline
from slm_explorer.hub.config_card import RepositoryFacts, make_card
from slm_explorer.hub.config_check import config_problem, parse_config
from slm_explorer.hub.library import read_library
from slm_explorer.hub.plan import find_problem, needed_names, weight_formats
from slm_explorer.hub.values import DownloadState, HubFile
from slm_explorer.settings import Settings
from tests.catalog.folders import LLAMA
from tests.hub.conftest import MakeService
from tests.hub.server import Hub

STRANGE = [
    "", " ", "..", "../etc", "a/../b", "a/b/c", "/etc/passwd", "a/", "/a", "a b/c", "a/b\n",
    "a/b\x00", "оpenai/gpt2", "ａ/b", "a/b‮", "https://huggingface.co/a/b", "a--b/c", "a/b.",
    "-a/b", "a\\b/c", "a/b?x=1", "a/b#c", "a/b%2e%2e", "<script>/x", "x" * 10_000,
    "x" * 5_000 + "/" + "y" * 5_000,
]  # fmt: skip


def test_strange_ids_and_revisions_are_refused_before_any_request(
    hub: Hub, make_service: MakeService
) -> None:
    service = make_service()
    for name in STRANGE:
        if name == "a/b\n":
            continue  # surrounding white space is forgiven
        for call in (service.look_up, service.download):
            with pytest.raises(InvalidRequest) as caught:
                call(name)
            assert "\n" not in str(caught.value)
            assert len(str(caught.value)) < 300
    for revision in ("../main", "a b", "main\n/x", "-x", "a//b", "a/./b", "é", "x" * 300, "@{1}"):
        with pytest.raises(InvalidRequest, match="is no revision"):
            service.look_up("a/b", revision)
    assert hub.seen == []
    assert service.downloads() == ()


def test_a_card_without_a_repository_has_nothing_to_download(
    hub: Hub, make_service: MakeService
) -> None:
    with pytest.raises(InvalidRequest, match="is shipped with the app: there is nothing to down"):
        make_service().look_up("sprout-5m")
    with pytest.raises(InvalidRequest, match="has no repository on the Hub"):
        make_service().download("linformer")
    assert hub.seen == []


def test_offline_is_offline(
    hub: Hub, make_service: MakeService, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    offline = make_service(settings=Settings(home=tmp_path, offline=True))
    for call in (offline.look_up, offline.download):
        with pytest.raises(Offline, match=r"started offline.*start it without --offline"):
            call("a/b")
    assert offline.local_models()
    for name in ("HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE"):
        with monkeypatch.context() as patch:
            patch.setenv(name, "1")
            with pytest.raises(Offline, match=f"{name} is set.*unset it"):
                make_service().look_up("a/b")
    assert hub.seen == []


@pytest.mark.parametrize(
    ("present", "needed"),
    [
        (
            "config.json model.safetensors pytorch_model.bin README.md onnx/model.onnx vocab.txt",
            "config.json model.safetensors vocab.txt",
        ),
        (
            "model.safetensors.index.json model-00001-of-00002.safetensors "
            "model-00002-of-00002.safetensors consolidated.safetensors tokenizer.model",
            "model.safetensors.index.json model-00001-of-00002.safetensors "
            "model-00002-of-00002.safetensors tokenizer.model",
        ),
        (
            "model.safetensors model.safetensors.index.json model-00001-of-00001.safetensors",
            "model.safetensors",
        ),
        ("../model.safetensors sub/model.safetensors config.json", "config.json"),
        ("modules.json 1_Pooling/config.json evil.py", "modules.json 1_Pooling/config.json"),
    ],
)
def test_only_what_is_needed_is_downloaded(present: str, needed: str) -> None:
    assert needed_names(present.split()) == set(needed.split())


def problem_of(*names: str, **config: object) -> str:
    files = tuple(HubFile(name, 10, "a" * 40, None, name in needed_names(names)) for name in names)
    merged = LLAMA | config
    found = find_problem(
        "a/b",
        access=True,
        files=files,
        formats=weight_formats(names),
        config_text=json.dumps(merged) if "config.json" in names else None,
        config=merged if "config.json" in names else None,
        library=read_library(),
    )
    return found or ""


WHOLE = ("config.json", "model.safetensors", "tokenizer.json")


@pytest.mark.parametrize(
    ("names", "config", "says"),
    [
        (("config.json", "pytorch_model.bin"), {}, "pickled weights only.*convert it at https://"),
        (("model-q4.gguf", "README.md"), {}, "GGUF files only.*choose the original model"),
        (("adapter_model.safetensors", "config.json"), {}, "adapter without its base"),
        (("unet/model.safetensors",), {}, "no model.safetensors at its top"),
        (("tf_model.h5", "config.json"), {}, "no safetensors, only tensorflow"),
        (("README.md",), {}, "holds no weights"),
        (("model.safetensors", "tokenizer.json"), {}, "no config.json"),
        (WHOLE[:2], {}, "holds no tokenizer"),
        (WHOLE, {"model_type": "my_own", "auto_map": {}}, "code from its own repository"),
        (WHOLE, {"model_type": "my_own"}, "transformers does not know: update"),
        (WHOLE, {"quantization_config": {"bits": 4}}, "stored quantized"),
        (WHOLE, {"model_type": "vit", "architectures": ["ViTModel"]}, "is a ViTModel, which is no"),
        (WHOLE, {"model_type": None}, "names no model_type"),
    ],
)
def test_what_cannot_be_used_says_why_and_what_to_do(
    names: tuple[str, ...], config: dict[str, object], says: str
) -> None:
    found = problem_of(*names, **config)
    assert re.search(says, found), found
    assert "\n" not in found


def test_every_model_type_of_the_catalog_is_known_to_the_library(catalog: Catalog) -> None:
    library = read_library()
    assert library is not None
    for card in catalog.cards:
        if card.model_type is not None and card.supported_by_transformers:
            assert library.builds(card.model_type, card.architecture_kind), card.id
    assert not library.builds("whisper", "encoder-decoder")
    assert problem_of(*WHOLE) == ""


@pytest.mark.parametrize(
    ("config", "says"),
    [
        ({"num_hidden_layers": 10**12}, "num_hidden_layers is 1,000,000,000,000, which no model"),
        ({"num_hidden_layers": 10**4000}, "num_hidden_layers is absurd"),
        ({"num_attention_heads": -4}, "num_attention_heads is -4"),
        ({"num_attention_heads": 0}, "num_attention_heads is 0"),
        ({"hidden_size": 65}, "65 hidden values are shared by 4 heads"),
        ({"num_key_value_heads": 3}, "4 heads share 3 KV heads"),
        ({"vocab_size": True}, "vocab_size is"),
        ({"hidden_size": 64.5}, "hidden_size is"),
        ({"model_type": "../x"}, "names no model_type"),
        ({"model_type": ["llama"]}, "names no model_type"),
        ({"text_config": {"hidden_size": -1}}, "hidden_size is -1"),
    ],
)
def test_absurd_configs_are_refused_in_words(config: dict[str, object], says: str) -> None:
    assert says in str(config_problem(LLAMA | config))


def test_a_sound_config_has_no_problem() -> None:
    assert config_problem(LLAMA) is None
    assert config_problem(LLAMA | {"hidden_size": 65, "head_dim": 16}) is None
    assert config_problem(LLAMA | {"intermediate_size": [64, 128]}) is None


@pytest.mark.parametrize("text", ["", "{", "[]", "null", "[" * 100_000, '{"a": 1' + "0" * 5_000])
def test_garbage_is_no_config(text: str) -> None:
    assert parse_config(text) is None


def test_a_catalog_cards_own_config_makes_the_same_architecture(catalog: Catalog) -> None:
    card = catalog.get("smollm2-135m-instruct")
    config = {
        "model_type": "llama",
        "architectures": ["LlamaForCausalLM"],
        "hidden_size": 576,
        "intermediate_size": 1536,
        "num_hidden_layers": 30,
        "num_attention_heads": 9,
        "num_key_value_heads": 3,
        "vocab_size": 49152,
        "max_position_embeddings": 8192,
        "hidden_act": "silu",
        "rope_theta": 100000,
        "tie_word_embeddings": True,
    }
    facts = RepositoryFacts(
        hub_id="HuggingFaceTB/SmolLM2-135M-Instruct",
        commit="0" * 40,
        license="apache-2.0",
        gated="no",
        parameters={"BF16": 134_515_008},
        weights_bytes=269_060_552,
        formats=("safetensors",),
        chat_template=True,
        pipeline_tag="text-generation",
        supported=True,
    )
    made = make_card(config, facts, catalog)
    uncounted = make_card(config | {"dtype": "bfloat16"}, replace(facts, parameters={}), catalog)
    assert uncounted is not None
    assert uncounted.parameters == 269_060_552 // 2
    assert uncounted.sources[1].text.startswith("the size of its weight files")
    assert made is not None
    assert card.architecture is not None
    assert made.architecture is not None
    for name in (
        "num_layers hidden_size num_attention_heads num_key_value_heads head_dim vocab_size "
        "intermediate_size context_length gated_mlp tied_embeddings norm kv_values_per_token"
    ).split():
        assert getattr(made.architecture, name) == getattr(card.architecture, name), name
    assert (made.parameters, made.native_dtype) == (card.parameters, "bfloat16")
    assert (made.architecture_kind, made.auto_class) == ("decoder", "AutoModelForCausalLM")


def test_the_services_bring_no_http_library_until_they_are_asked() -> None:
    code = (
        "import sys, slm_explorer.services, slm_explorer.cli;"
        "print(sorted({'huggingface_hub', 'httpx2'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


@pytest.mark.parametrize(
    ("seconds", "says"),
    [(119, "119 s"), (121, "2 min"), (7_300, "2 h"), (3_928_665, "45 days")],
)
def test_the_time_left_is_in_units_for_people(seconds: float, says: str) -> None:
    state = DownloadState(
        "a/b", "main", "downloading", None, None, 10, 1000, 2.0, seconds_left=seconds
    )
    assert state.sentence == f"10 B of 1 kB, 2 B/s, {says} left"

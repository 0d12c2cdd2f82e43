"""Which of a repository's files a download needs, and why a model cannot be used here."""

from __future__ import annotations

import re
from collections.abc import Iterable

from slm_explorer.catalog.checkpoint import architecture_kind
from slm_explorer.hub.config_check import Config, config_problem, first_class
from slm_explorer.hub.library import Library
from slm_explorer.hub.values import HubFile
from slm_explorer.units import format_bytes

CONVERT = "https://huggingface.co/spaces/safetensors/convert"
RESERVE_BYTES = 500_000_000
"""What a download must leave free: a disk without any room breaks more than models."""

_WEIGHTS, _INDEX = "model.safetensors", "model.safetensors.index.json"
_SHARD = re.compile(r"model-\d{5}-of-\d{5}\.safetensors")
_TOKENIZERS = frozenset(
    "tokenizer.json tokenizer.model vocab.json vocab.txt spiece.model sentencepiece.bpe.model "
    "tekken.json".split()
)
_BESIDES = _TOKENIZERS | frozenset(
    "config.json generation_config.json tokenizer_config.json special_tokens_map.json "
    "added_tokens.json merges.txt chat_template.jinja chat_template.json modules.json "
    "sentence_bert_config.json config_sentence_transformers.json 1_Pooling/config.json".split()
)
_FORMATS = {
    ".safetensors": "safetensors",
    ".bin": "pickle",
    ".pt": "pickle",
    ".pth": "pickle",
    ".ckpt": "pickle",
    ".gguf": "gguf",
    ".onnx": "onnx",
    ".h5": "tensorflow",
    ".msgpack": "flax",
}


def gated_sentence(hub_id: str) -> str:
    return (
        f"{hub_id} is gated: accept its terms on its page on the Hub, then sign in here with `hf "
        "auth login` or HF_TOKEN, and try again."
    )


def weight_formats(names: Iterable[str]) -> tuple[str, ...]:
    """The kinds of weights among the file names, safetensors first."""
    found = set()
    for name in names:
        base = name.rpartition("/")[2]
        kind = _FORMATS.get("." + base.rpartition(".")[2])
        if base.startswith("adapter_model."):
            kind = "adapter"
        if kind is not None and not base.startswith(("training_args", "optimizer", "scheduler")):
            found.add(kind)
    order = [*dict.fromkeys(_FORMATS.values()), "adapter"]
    return tuple(kind for kind in order if kind in found)


def needed_names(names: Iterable[str]) -> frozenset[str]:
    """The files that a download fetches: one set of safetensors, config, tokenizer, template.

    Where a repository holds its weights in one file and in shards, the one file is taken.
    """
    present = frozenset(names)
    needed = present & _BESIDES
    if _WEIGHTS in present:
        return needed | {_WEIGHTS}
    if _INDEX in present:
        shards = {name for name in present if _SHARD.fullmatch(name)}
        return needed | {_INDEX} | shards
    return needed


def find_problem(
    hub_id: str,
    *,
    access: bool | None,
    files: tuple[HubFile, ...],
    formats: tuple[str, ...],
    config_text: str | None,
    config: Config | None,
    library: Library | None,
) -> str | None:
    """Why the model cannot be used here, and what to do: one sentence, or None."""
    if access is False:
        return gated_sentence(hub_id)
    needed = {file.name: file for file in files if file.needed}
    if not any(name.endswith(".safetensors") for name in needed):
        return _no_weights(hub_id, formats)
    if config_text is None:
        return f"{hub_id} holds no config.json, so it is no transformers model: choose another."
    if config is None:
        return f"The config.json of {hub_id} is not valid JSON: choose another model or revision."
    impossible = config_problem(config)
    if impossible is not None:
        return f"The config.json of {hub_id} {impossible}: choose another model or revision."
    unsupported = _unsupported(hub_id, config, library)
    if unsupported is not None:
        return unsupported
    if not _TOKENIZERS & set(needed):
        return f"{hub_id} holds no tokenizer, so text cannot be given to it: choose another model."
    for file in needed.values():
        if file.size is None or file.etag is None:
            return (
                f"The Hub lists no size or hash of {file.name}, so a download could not be "
                "checked: set HF_ENDPOINT to a Hub that does."
            )
    return None


def disk_problem(hub_id: str, missing: int, free: int) -> str | None:
    """Why the disk has no room for `missing` bytes more; None where it has."""
    if missing == 0 or missing + RESERVE_BYTES <= free:
        return None
    return (
        f"{hub_id} needs {format_bytes(missing)} more, and {format_bytes(RESERVE_BYTES)} are kept "
        f"free; the disk of the model cache has {format_bytes(free)} left: delete something "
        "first, such as a model (slm-explorer local)."
    )


def _no_weights(hub_id: str, formats: tuple[str, ...]) -> str:
    if "adapter" in formats:
        return f"{hub_id} is an adapter without its base model: choose the merged model."
    if "pickle" in formats:
        return (
            f"{hub_id} holds pickled weights only (.bin), which can run any code when they are "
            f"opened, so they are refused: convert it at {CONVERT}, then take the revision that "
            "this offers (such as refs/pr/1), or choose another model."
        )
    if "gguf" in formats:
        return (
            f"{hub_id} holds GGUF files only, which are for llama.cpp: choose the original model "
            "in safetensors that it was made from."
        )
    if "safetensors" in formats:
        return (
            f"{hub_id} has no {_WEIGHTS} at its top, so it is no transformers model: choose "
            "another."
        )
    if formats:
        return f"{hub_id} holds no safetensors, only {', '.join(formats)}: choose another model."
    return f"{hub_id} holds no weights: choose another model."


def _unsupported(hub_id: str, config: Config, library: Library | None) -> str | None:
    model_type = str(config["model_type"])
    if library is not None and model_type not in library.known:
        if "auto_map" in config:
            return (
                f"{hub_id} needs code from its own repository ({model_type}), which is never run "
                "here: choose a model that transformers has built in."
            )
        return (
            f"{hub_id} is a {model_type!r} model, which the installed transformers does not know: "
            "update transformers, or choose another model."
        )
    if config.get("quantization_config"):
        return (
            f"{hub_id} is stored quantized, which is not read here: choose the original model, "
            "and a recipe to make it small."
        )
    kind = architecture_kind(model_type, config)
    if kind is None or (library is not None and not library.builds(model_type, kind)):
        what = first_class(config) or f"{model_type!r} model"
        return (
            f"{hub_id} is a {what}, which is no decoder, encoder or encoder-decoder for text: "
            "choose another model."
        )
    return None

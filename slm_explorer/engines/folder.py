"""What a checkpoint's folder holds, file by file: each read with care, or refused in words.

Nothing here reads weights into memory.
"""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

from huggingface_hub.errors import StrictDataclassError
from transformers import AutoConfig, AutoTokenizer, GenerationConfig, PretrainedConfig
from transformers.models.auto.configuration_auto import CONFIG_MAPPING

from slm_explorer.engines.limits import absurdity
from slm_explorer.errors import BadCheckpoint, InvalidRequest, UnsupportedModel

_TOKENIZER_FILES = (
    "tokenizer.json",
    "tokenizer.model",
    "vocab.json",
    "vocab.txt",
    "spiece.model",
    "sentencepiece.bpe.model",
    "tekken.json",
)
# What transformers raises on a config or tokenizer that does not make sense; there is no
# common base, and a tensor that does not fit is a RuntimeError.
LIBRARY_ERRORS = (
    OSError,
    ValueError,
    TypeError,
    LookupError,
    AttributeError,
    ArithmeticError,
    ImportError,
    RuntimeError,
    AssertionError,
    StrictDataclassError,
)


def config_of_shape(text: str) -> PretrainedConfig:
    """The configuration that a shape's JSON text describes; InvalidRequest where it is no JSON."""
    try:
        values = json.loads(text)
    except ValueError as error:
        raise InvalidRequest(f"The shape is not JSON: {error}.") from None
    if not isinstance(values, dict):
        raise InvalidRequest("The shape must be a JSON object, a transformers configuration.")
    return _config(values, "the shape")


def read_config(folder: Path) -> PretrainedConfig:
    """The folder's config.json; BadCheckpoint or UnsupportedModel where it cannot be used."""
    if not folder.is_dir():
        raise BadCheckpoint(f"There is no folder {folder.name!r}: check the path.")
    try:
        text = (folder / "config.json").read_text(encoding="utf-8")
        values = json.loads(text, object_hook=_special_float)
    except FileNotFoundError:
        raise BadCheckpoint(
            f"{folder.name} is no model: it has no config.json. Choose a folder with a Hugging "
            "Face checkpoint."
        ) from None
    except (OSError, ValueError) as error:
        raise BadCheckpoint(
            f"The config.json of {folder.name} cannot be read ({error}): download it again."
        ) from error
    if not isinstance(values, dict):
        raise BadCheckpoint(f"The config.json of {folder.name} is not a JSON object.")
    return _config(values, folder.name)


def _special_float(values: dict[str, Any]) -> Any:
    """transformers writes an infinity, which JSON lacks, as {"__float__": "Infinity"}."""
    if set(values) == {"__float__"} and values["__float__"] in ("Infinity", "-Infinity", "NaN"):
        return float(values["__float__"])
    return values


def _config(values: dict[str, Any], name: str) -> PretrainedConfig:
    kind = values.get("model_type")
    if not isinstance(kind, str):
        raise BadCheckpoint(
            f"The configuration of {name} does not say its model_type: this is no Hugging Face "
            "checkpoint."
        )
    if kind not in CONFIG_MAPPING:
        raise UnsupportedModel(
            f"{name} is a {kind!r} model, which the installed transformers does not know: choose "
            "another model, or update transformers."
        )
    if values.get("quantization_config"):
        raise UnsupportedModel(
            f"{name} is stored quantized, which this engine does not read: take the original "
            "checkpoint."
        )
    problem = absurdity(values)
    if problem is not None:
        raise BadCheckpoint(
            f"The configuration of {name} does not make sense ({problem}): take it from its makers "
            "again."
        )
    arguments = {key: value for key, value in values.items() if key != "auto_map"}
    try:
        return AutoConfig.for_model(**arguments)
    except LIBRARY_ERRORS as error:
        raise BadCheckpoint(
            f"The configuration of {name} does not make sense ({first_line(error)})."
        ) from error


def weight_files(folder: Path) -> list[Path]:
    """The safetensors files, all of them present; BadCheckpoint where there are none."""
    index = folder / "model.safetensors.index.json"
    if index.is_file():
        try:
            names = sorted(
                set(json.loads(index.read_text(encoding="utf-8"))["weight_map"].values())
            )
        except (OSError, ValueError, TypeError, LookupError, AttributeError) as error:
            raise BadCheckpoint(
                f"The weights' index of {folder.name} cannot be read: download it again."
            ) from error
        # A name from the index is a file beside it, never a way out of the folder.
        files = [folder / Path(str(name)).name for name in names]
        missing = [file.name for file in files if not file.is_file()]
        if missing:
            raise BadCheckpoint(
                f"{folder.name} lacks {len(missing)} of its {len(files)} weight files, "
                f"{missing[0]} first: download it again."
            )
        return files
    single = folder / "model.safetensors"
    if single.is_file():
        return [single]
    if any(folder.glob("*.bin")) or any(folder.glob("*.pt")) or any(folder.glob("*.pth")):
        raise BadCheckpoint(
            f"{folder.name} has only pickled weights (.bin), which can run code when they are "
            "opened: convert the checkpoint to safetensors first."
        )
    raise BadCheckpoint(f"{folder.name} has no weights: model.safetensors is missing.")


def read_tokenizer(folder: Path) -> Any:
    """The folder's tokenizer; BadCheckpoint where there is none or it is broken."""
    if not any((folder / name).is_file() for name in _TOKENIZER_FILES):
        raise BadCheckpoint(
            f"{folder.name} has no tokenizer: copy tokenizer.json and tokenizer_config.json "
            "beside the weights."
        )
    for name in ("tokenizer.json", "tokenizer_config.json"):
        path = folder / name
        try:
            if path.is_file():
                json.loads(path.read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            raise BadCheckpoint(
                f"{name} of {folder.name} cannot be read ({error}): download it again."
            ) from error
    try:
        return AutoTokenizer.from_pretrained(folder, local_files_only=True, trust_remote_code=False)
    except LIBRARY_ERRORS as error:
        raise BadCheckpoint(
            f"The tokenizer of {folder.name} cannot be loaded ({first_line(error)})."
        ) from error


def read_generation_config(folder: Path, config: PretrainedConfig) -> GenerationConfig:
    """The folder's generation settings, or what its configuration says of them."""
    if not (folder / "generation_config.json").is_file():
        return GenerationConfig.from_model_config(config)
    try:
        return GenerationConfig.from_pretrained(folder, local_files_only=True)
    except LIBRARY_ERRORS as error:
        raise BadCheckpoint(
            f"The generation_config.json of {folder.name} does not make sense "
            f"({first_line(error)})."
        ) from error


def context_length_of(config: PretrainedConfig) -> int | None:
    """Tokens the model can read, under the names that architectures give it; None if unsaid."""
    text = config.get_text_config()
    for name in ("max_position_embeddings", "n_positions", "max_seq_len", "seq_length"):
        length = getattr(text, name, None)
        if isinstance(length, int) and length > 0:
            return length
    return None


def eos_ids_of(generation: GenerationConfig, tokenizer: Any | None) -> frozenset[int]:
    """Every token id that ends an answer, from both places that may name one."""
    declared = generation.eos_token_id
    ids = set(declared) if isinstance(declared, list | tuple) else {declared}
    ids.add(getattr(tokenizer, "eos_token_id", None))
    return frozenset(each for each in ids if each is not None)


def first_line(error: BaseException) -> str:
    """What a library's error says first, short enough for a sentence. A heading that ends in a
    colon says nothing by itself.
    """
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    while len(lines) > 1 and lines[0].endswith(":"):
        del lines[0]
    said = lines[0].rstrip(" :.") if lines else type(error).__name__
    return re.sub(r"^(Value|Type|Key)Error: ", "", said)[:300]

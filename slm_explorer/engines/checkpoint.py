"""From a ModelSpec to a model in memory: a folder's safetensors, or random weights for a shape.

Nothing here runs a repository's code, reads a pickle or opens a connection.
"""

from __future__ import annotations

import json
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from huggingface_hub.errors import StrictDataclassError
from transformers import AutoConfig, AutoTokenizer, GenerationConfig, PretrainedConfig
from transformers.models.auto.configuration_auto import CONFIG_MAPPING
from transformers.models.auto.modeling_auto import MODEL_FOR_CAUSAL_LM_MAPPING
from transformers.utils import logging as transformers_logging

from slm_explorer.engines.base import ReportProgress
from slm_explorer.engines.weights import StoredWeights, random_weights
from slm_explorer.errors import BadCheckpoint, DoesNotFit, InvalidRequest, UnsupportedModel
from slm_explorer.types import ModelInfo, ModelSpec

RECIPE_DTYPES: dict[str, torch.dtype | None] = {
    "native": None,
    "f32": torch.float32,
    "bf16": torch.bfloat16,
    "f16": torch.float16,
}
_DTYPES_BY_NAME = {
    "float32": torch.float32,
    "bfloat16": torch.bfloat16,
    "float16": torch.float16,
}
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
_LIBRARY_ERRORS = (
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


@dataclass
class LoadedModel:
    """A model ready to run. `tokenizer` is None for random weights."""

    model: Any
    config: PretrainedConfig
    tokenizer: Any | None
    eos_ids: frozenset[int]
    context_length: int | None
    info: ModelInfo


def load_model(spec: ModelSpec, progress: ReportProgress) -> LoadedModel:
    """Load what `spec` says, in the dtype of its recipe, for inference.

    Raises InvalidRequest for a recipe or a shape that makes no sense, BadCheckpoint for a
    folder that is broken or not safetensors, UnsupportedModel for an architecture that is no
    decoder known to transformers, DoesNotFit when the memory cannot be had.
    """
    started = time.perf_counter()
    if spec.recipe not in RECIPE_DTYPES:
        raise InvalidRequest(
            f"No recipe is called {spec.recipe!r}: a model loads as {', '.join(RECIPE_DTYPES)}."
        )
    torch.set_num_threads(spec.threads)
    # `progress` says it already, with a true fraction; a worker's stderr is for errors.
    transformers_logging.disable_progress_bar()
    transformers_logging.set_verbosity_error()
    progress(0.0, "reading the configuration")
    dtype = RECIPE_DTYPES[spec.recipe]
    if spec.shape_config is not None:
        config, tokenizer = _shape_config(spec.shape_config), None
        generation = GenerationConfig(eos_token_id=config.eos_token_id)
        stored = _DTYPES_BY_NAME.get(str(config.dtype).removeprefix("torch."), torch.bfloat16)
        model_class = _model_class(config, spec.model)
        with torch.device("meta"):
            meta = model_class._from_config(config, dtype=dtype or stored)
        # A tied matrix is one tensor under two names; making it once lets it be tied.
        shapes = {
            name: tensor
            for name, tensor in meta.state_dict().items()
            if name not in meta.all_tied_weights_keys
        }
        weights = random_weights(shapes, dtype or stored, progress)
        model = _assemble(model_class, config, weights, dtype or stored, generation, spec.model)
    elif spec.path is not None:
        folder = Path(spec.path)
        config = _folder_config(folder)
        model_class = _model_class(config, spec.model)
        files = _weight_files(folder)
        tokenizer = _tokenizer(folder)
        generation = _generation_config(folder, config)
        with StoredWeights(files, progress) as stored_weights:
            model = _assemble(
                model_class,
                config,
                stored_weights.tensors,
                dtype or stored_weights.dtype,
                generation,
                spec.model,
            )
    else:
        raise InvalidRequest("A model needs a folder, or a shape to make random weights for.")
    progress(1.0, "ready")
    context_length = _context_length(config)
    info = ModelInfo(
        parameters=sum(p.numel() for p in model.parameters()),
        weights_bytes=sum(p.nbytes for p in model.parameters()),
        dtype=str(model.dtype).removeprefix("torch."),
        context_length=context_length,
        vocab_size=config.get_text_config().vocab_size,
        has_chat_template=getattr(tokenizer, "chat_template", None) is not None,
        load_s=time.perf_counter() - started,
    )
    return LoadedModel(
        model, config, tokenizer, _eos_ids(generation, tokenizer), context_length, info
    )


def _shape_config(text: str) -> PretrainedConfig:
    try:
        values = json.loads(text)
    except ValueError as error:
        raise InvalidRequest(f"The shape is not JSON: {error}.") from None
    if not isinstance(values, dict):
        raise InvalidRequest("The shape must be a JSON object, a transformers configuration.")
    return _config(values, "the shape")


def _folder_config(folder: Path) -> PretrainedConfig:
    if not folder.is_dir():
        raise BadCheckpoint(f"There is no folder {folder.name!r}: check the path.")
    try:
        values = json.loads((folder / "config.json").read_text(encoding="utf-8"))
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
    arguments = {key: value for key, value in values.items() if key != "auto_map"}
    try:
        return AutoConfig.for_model(**arguments)
    except _LIBRARY_ERRORS as error:
        raise BadCheckpoint(
            f"The configuration of {name} does not make sense ({_first_line(error)})."
        ) from error


def _model_class(config: PretrainedConfig, name: str) -> Any:
    """The causal language model of this configuration. Encoders are in that map too (BERT can
    be wired as a decoder), so what the checkpoint says of itself decides.
    """
    if type(config) not in MODEL_FOR_CAUSAL_LM_MAPPING:
        raise UnsupportedModel(
            f"{name} is a {config.model_type!r} model, which does not generate text from left to "
            "right: choose a decoder."
        )
    model_class = MODEL_FOR_CAUSAL_LM_MAPPING[type(config)]
    declared = config.architectures or [model_class.__name__]
    if not any(
        each == model_class.__name__ or each.endswith(("ForCausalLM", "LMHeadModel"))
        for each in declared
    ):
        raise UnsupportedModel(
            f"{name} is a {declared[0]}, not a language model that generates text: choose a "
            "decoder."
        )
    return model_class


def _weight_files(folder: Path) -> list[Path]:
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


def _tokenizer(folder: Path) -> Any:
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
    except _LIBRARY_ERRORS as error:
        raise BadCheckpoint(
            f"The tokenizer of {folder.name} cannot be loaded ({_first_line(error)})."
        ) from error


def _generation_config(folder: Path, config: PretrainedConfig) -> GenerationConfig:
    if not (folder / "generation_config.json").is_file():
        return GenerationConfig.from_model_config(config)
    try:
        return GenerationConfig.from_pretrained(folder, local_files_only=True)
    except _LIBRARY_ERRORS as error:
        raise BadCheckpoint(
            f"The generation_config.json of {folder.name} does not make sense "
            f"({_first_line(error)})."
        ) from error


def _assemble(
    model_class: Any,
    config: PretrainedConfig,
    weights: dict[str, Any],
    dtype: torch.dtype,
    generation: GenerationConfig,
    name: str,
) -> Any:
    """Build the network and fill it; every weight must come from `weights`."""
    try:
        model, report = model_class.from_pretrained(
            None,
            config=config,
            state_dict=weights,
            dtype=dtype,
            generation_config=generation,
            output_loading_info=True,
            use_safetensors=True,
        )
    except MemoryError as error:
        raise DoesNotFit(f"{name} does not fit into the memory that is free.") from error
    except _LIBRARY_ERRORS as error:
        if "allocate memory" in str(error):
            raise DoesNotFit(f"{name} does not fit into the memory that is free.") from error
        if "size mismatch" in str(error) or "ignore_mismatched_sizes" in str(error):
            raise BadCheckpoint(
                f"The weights of {name} have other shapes than its config.json says."
            ) from error
        raise BadCheckpoint(f"{name} cannot be loaded: {_first_line(error)}") from error
    missing = sorted(report["missing_keys"])
    if missing:
        raise BadCheckpoint(
            f"The weights of {name} lack {len(missing)} tensors, {missing[0]} first: it would "
            "answer with noise. Download it again."
        )
    return model.eval().requires_grad_(False)


def _context_length(config: PretrainedConfig) -> int | None:
    text = config.get_text_config()
    for name in ("max_position_embeddings", "n_positions", "max_seq_len", "seq_length"):
        length = getattr(text, name, None)
        if isinstance(length, int) and length > 0:
            return length
    return None


def _eos_ids(generation: GenerationConfig, tokenizer: Any | None) -> frozenset[int]:
    declared = generation.eos_token_id
    ids = set(declared) if isinstance(declared, list | tuple) else {declared}
    ids.add(getattr(tokenizer, "eos_token_id", None))
    return frozenset(each for each in ids if each is not None)


def _first_line(error: BaseException) -> str:
    lines = str(error).strip().splitlines()
    return (lines[0].rstrip(" :") if lines else type(error).__name__)[:300]

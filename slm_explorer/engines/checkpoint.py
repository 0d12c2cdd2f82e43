"""From a ModelSpec to a model in memory: a folder's safetensors, or random weights for a shape.

Nothing here runs a repository's code, reads a pickle or opens a connection.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import torch
from transformers import GenerationConfig, PretrainedConfig
from transformers.utils import logging as transformers_logging

from slm_explorer.compression.loading import DTYPES, assemble_packed, compute_dtype
from slm_explorer.compression.packed import packed_bytes, packed_parameters
from slm_explorer.compression.recipes import load_step, why_not
from slm_explorer.engines.base import ReportProgress
from slm_explorer.engines.folder import (
    LIBRARY_ERRORS,
    config_of_shape,
    context_length_of,
    eos_ids_of,
    first_line,
    read_config,
    read_generation_config,
    read_tokenizer,
    weight_files,
)
from slm_explorer.engines.heads import Head, choose_head
from slm_explorer.engines.weights import StoredWeights, random_weights
from slm_explorer.errors import BadCheckpoint, DoesNotFit, InvalidRequest, UnsupportedModel
from slm_explorer.types import ModelInfo, ModelSpec

RECIPE_DTYPES: dict[str, torch.dtype] = {
    "f32": torch.float32,
    "bf16": torch.bfloat16,
    "f16": torch.float16,
}


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
    folder that is broken or not safetensors, UnsupportedModel for an architecture or a task
    that transformers has no class for, DoesNotFit when the memory cannot be had.
    """
    started = time.perf_counter()
    step = load_step(spec.recipe)
    torch.set_num_threads(spec.threads)
    # `progress` says it already, with a true fraction; a worker's stderr is for errors.
    transformers_logging.disable_progress_bar()
    transformers_logging.set_verbosity_error()
    progress(0.0, "reading the configuration")
    dtype = RECIPE_DTYPES.get(step.name)
    if spec.shape_config is not None:
        config, tokenizer = config_of_shape(spec.shape_config), None
        generation = GenerationConfig(eos_token_id=config.eos_token_id)
        stored = DTYPES.get(str(config.dtype).removeprefix("torch."), torch.bfloat16)
        head = choose_head(config, spec.task, spec.model)
        with torch.device("meta"):
            meta = head.model_class._from_config(head.config, dtype=dtype or stored)
        # A tied matrix is one tensor under two names; making it once lets it be tied.
        shapes = {
            name: tensor
            for name, tensor in meta.state_dict().items()
            if name not in meta.all_tied_weights_keys
        }
        weights = random_weights(shapes, dtype or stored, progress)
        dtype = dtype or compute_dtype(stored, step, config)
        assemble = partial(_assemble, head, dtype, generation, spec.model)
        model = assemble_packed(assemble, weights, step, config, dtype)
    elif spec.path is not None:
        folder = Path(spec.path)
        config = read_config(folder)
        head = choose_head(config, spec.task, spec.model)
        files = weight_files(folder)
        tokenizer = read_tokenizer(folder)
        generation = read_generation_config(folder, config)
        reason = why_not(spec.recipe, config.to_dict())
        if reason is not None:
            raise UnsupportedModel(f"{spec.model} cannot be loaded as {spec.recipe}. {reason}")
        with StoredWeights(files, progress) as stored_weights:
            dtype = dtype or compute_dtype(stored_weights.dtype, step, config)
            assemble = partial(_assemble, head, dtype, generation, spec.model)
            model = assemble_packed(assemble, stored_weights.tensors, step, config, dtype)
    else:
        raise InvalidRequest("A model needs a folder, or a shape to make random weights for.")
    progress(1.0, "ready")
    config = head.config
    context_length = context_length_of(config)
    # RoBERTa and its kin count positions from behind the padding's id.
    behind = getattr(getattr(model.base_model, "embeddings", None), "padding_idx", None)
    if context_length is not None and behind is not None:
        context_length -= behind + 1
    info = ModelInfo(
        parameters=sum(p.numel() for p in model.parameters()) + packed_parameters(model),
        weights_bytes=sum(p.nbytes for p in model.parameters()) + packed_bytes(model),
        dtype=str(model.dtype).removeprefix("torch."),
        context_length=context_length,
        vocab_size=config.get_text_config().vocab_size,
        has_chat_template=getattr(tokenizer, "chat_template", None) is not None,
        load_s=time.perf_counter() - started,
        tasks=head.tasks,
        warning=head.warning,
    )
    return LoadedModel(
        model, config, tokenizer, eos_ids_of(generation, tokenizer), context_length, info
    )


def _assemble(
    head: Head,
    dtype: torch.dtype,
    generation: GenerationConfig,
    name: str,
    weights: dict[str, Any],
) -> Any:
    """Build the network and fill it; every weight must come from `weights`, but for those of a
    head that the checkpoint never had.
    """
    try:
        model, report = head.model_class.from_pretrained(
            None,
            config=head.config,
            state_dict=weights,
            dtype=dtype,
            generation_config=generation,
            output_loading_info=True,
            use_safetensors=True,
        )
    except MemoryError as error:
        raise DoesNotFit(f"{name} does not fit into the memory that is free.") from error
    except LIBRARY_ERRORS as error:
        if "allocate memory" in str(error):
            raise DoesNotFit(f"{name} does not fit into the memory that is free.") from error
        if "size mismatch" in str(error) or "ignore_mismatched_sizes" in str(error):
            raise BadCheckpoint(
                f"The weights of {name} have other shapes than its config.json says."
            ) from error
        raise BadCheckpoint(f"{name} cannot be loaded: {first_line(error)}") from error
    missing = sorted(report["missing_keys"])
    if head.warning is not None:
        body = f"{model.base_model_prefix}."
        missing = [key for key in missing if key.startswith(body) and "pooler" not in key]
    if missing:
        raise BadCheckpoint(
            f"The weights of {name} lack {len(missing)} tensors, {missing[0]} first: it would "
            "answer with noise. Download it again."
        )
    return model.eval().requires_grad_(False)

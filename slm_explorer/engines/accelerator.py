"""A model on a GPU: put there, and rounded there by torchao, whose kernels are made for it.

The packed layers of this app are kernels of the CPU; a GPU gets the well-kept library's own. int8
is torchao's per-channel rounding, int4 its groups for the tinygemm kernel of NVIDIA's GPUs
from compute capability 8.0 on, refined by half-quadratic quantization.

What a test can hold without a GPU is held on the CPU: which layers are rounded, to what, and that
the model still answers. The 4-bit kernel itself has not been run.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import torch
from torch import Tensor, nn

from slm_explorer.compression.recipes import Recipe, is_compressed, load_step
from slm_explorer.engines.base import ReportProgress
from slm_explorer.engines.checkpoint import LoadedModel, load_model
from slm_explorer.errors import DoesNotFit, UnsupportedModel
from slm_explorer.types import ModelSpec

_LEAST_CAPABILITY = (8, 0)


def load_on_device(spec: ModelSpec, progress: ReportProgress) -> LoadedModel:
    """The model of `spec` on its device, in the recipe's bits. What it computes from then on is
    made there too: a worker runs one model on one device.

    Raises what load_model raises, UnsupportedModel where the device or the recipe cannot be had,
    and DoesNotFit where the device's memory is too small.
    """
    kind = torch.device(spec.device).type
    step = load_step(spec.recipe)
    reason = _why_not(kind, step)
    if reason is not None:
        raise UnsupportedModel(reason)
    rounds = step.storage in ("int8", "int4")
    loaded = load_model(replace(spec, recipe="bf16") if rounds else spec, progress)
    if is_compressed(loaded.config.to_dict()):
        raise UnsupportedModel(
            f"{spec.model} is packed for a CPU's kernels: on this GPU, choose the model that it "
            "was made from, and the recipe int8 or int4."
        )
    try:
        loaded.model.to(spec.device)
        if rounds:
            quantize(loaded.model, step)
    except torch.OutOfMemoryError as error:
        raise DoesNotFit(
            f"{spec.model} does not fit into the memory of this GPU as {spec.recipe}: choose a "
            "smaller model or fewer bits, or run it on the CPU."
        ) from error
    torch.set_default_device(spec.device)
    size = sum(bytes_of(parameter) for parameter in loaded.model.parameters())
    return replace(loaded, info=replace(loaded.info, weights_bytes=size))


def quantize(model: Any, step: Recipe) -> None:
    """Round the linear layers of `model` where it is, but for a head that is also its table of
    tokens: rounding that would need a second copy.
    """
    from torchao.quantization import Int4WeightOnlyConfig, Int8WeightOnlyConfig, quantize_

    how: Any = Int8WeightOnlyConfig(set_inductor_config=False)
    if step.storage == "int4":
        how = Int4WeightOnlyConfig(
            group_size=step.group,
            int4_packing_format="tile_packed_to_4d",
            int4_choose_qparams_algorithm="hqq" if step.name != "int4" else "tinygemm",
            set_inductor_config=False,
        )
    table = model.get_input_embeddings().weight

    def rounded(layer: nn.Module, _name: str) -> bool:
        return type(layer) is nn.Linear and layer.weight is not table

    quantize_(model, how, rounded)


def _why_not(kind: str, step: Recipe) -> str | None:
    on_cpu = "unset SLM_EXPLORER_DEVICE to run on the CPU."
    if kind == "cuda" and not torch.cuda.is_available():
        return f"This torch finds no NVIDIA GPU: install a CUDA build of torch, or {on_cpu}"
    if kind == "mps" and not torch.backends.mps.is_available():
        return f"This torch finds no Apple GPU: {on_cpu[0].upper()}{on_cpu[1:]}"
    if step.storage == "quanto":
        return f"{step.name} is a study on the CPU: on a GPU, choose int8 or int4."
    if step.storage not in ("int8", "int4"):
        return None
    if step.storage == "int4":
        if kind == "mps":
            return "torchao has no 4-bit kernel for Apple's GPUs: choose int8 or bf16."
        if kind == "cuda" and torch.cuda.get_device_capability() < _LEAST_CAPABILITY:
            return "This GPU is older than torchao's 4-bit kernel allows: choose int8 or f16."
    try:
        import torchao  # noqa: F401
    except ImportError:
        return f"{step.name} on a GPU needs torchao: type `pip install slm-explorer[gpu]`."
    return None


def bytes_of(parameter: Tensor) -> int:
    """What it takes: a rounded one is a shell around the tensors that it is kept in."""
    if not hasattr(parameter, "__tensor_flatten__"):
        return parameter.nbytes
    names, _ = parameter.__tensor_flatten__()
    return sum(getattr(parameter, name).nbytes for name in names)

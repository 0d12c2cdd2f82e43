"""A model whose matrices are packed as they are read: the full model is never in memory."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor, nn
from transformers import PretrainedConfig, PreTrainedModel
from transformers.utils import logging as transformers_logging

from slm_explorer.compression.choices import (
    Choice,
    Source,
    choose,
    matrix_of,
    quantize,
    report,
)
from slm_explorer.compression.matrices import Int8Matrix
from slm_explorer.compression.packed import PackedEmbedding, PackedLinear
from slm_explorer.compression.recipes import SECTION, LayerReport, Recipe
from slm_explorer.compression.slots import Slot, StandIn, find_slots
from slm_explorer.engines.folder import LIBRARY_ERRORS, first_line
from slm_explorer.engines.heads import choose_head
from slm_explorer.engines.memory import return_freed_memory
from slm_explorer.errors import BadCheckpoint

Assemble = Callable[[dict[str, Any]], Any]
"""Builds a model from named tensors, as engines.checkpoint does."""

DTYPES = {
    "float32": torch.float32,
    "bfloat16": torch.bfloat16,
    "float16": torch.float16,
}
"""What models compute in, by the names that configurations give them."""


def compute_dtype(stored: torch.dtype, step: Recipe, config: Any) -> torch.dtype:
    """What a model computes in whose checkpoint stores `stored`: that, or what its config says
    when it was compressed. A packed one that stores float16, for which processors have few
    instructions, computes in bf16 as its matrices do (see matrices.py).
    """
    section = getattr(config, SECTION, None)
    if isinstance(section, Mapping):
        return DTYPES.get(str(section.get("dtype")), stored)
    if step.storage in ("int8", "int4") and stored is torch.float16:
        return torch.bfloat16
    return stored


def assemble_packed(
    assemble: Assemble,
    tensors: Mapping[str, Any],
    step: Recipe,
    config: Any,
    dtype: torch.dtype,
) -> Any:
    """The model of `tensors` as `step` says, or as a compressed checkpoint's config says."""
    section = getattr(config, SECTION, None)
    if isinstance(section, Mapping):
        return load_packed(assemble, tensors, section, dtype)
    if step.storage in ("int8", "int4"):
        return pack_from(assemble, tensors, step, dtype)[0]
    return assemble(dict(tensors))


class StoredMatrix:
    """A matrix that a compressed checkpoint holds in parts, under its original name."""

    def __init__(self, choice: Choice, transposed: bool, parts: Mapping[str, Source]) -> None:
        self.choice = choice
        shape = (choice.rows, choice.columns)
        self.shape: tuple[int, ...] = shape[::-1] if transposed else shape
        self.parts = parts

    def read(self) -> dict[str, Tensor]:
        """Its stored tensors by their suffix."""
        return {suffix: source[...] for suffix, source in self.parts.items()}


def build(
    assemble: Assemble, tensors: Mapping[str, Any], dtype: torch.dtype
) -> tuple[Any, dict[str, Slot]]:
    """A model with stand-ins for its matrices, and where they are; everything else is read."""
    stand_ins = {
        name: StandIn(source.shape, dtype) for name, source in tensors.items() if _packable(source)
    }
    model, slots, copies = assemble_tied(
        lambda: assemble({**tensors, **stand_ins}), stand_ins, tensors
    )
    changed = [name for name in stand_ins if name not in slots and name not in copies]
    if any(not isinstance(tensors[name], StoredMatrix) for name in changed):
        # The library made other tensors of these (experts in one, say), so it must see them.
        for name in changed:
            del stand_ins[name]
        model = assemble({**tensors, **stand_ins})
        slots = find_slots(model, stand_ins)
    return model, slots


def pack_from(
    assemble: Assemble, tensors: Mapping[str, Any], step: Recipe, dtype: torch.dtype
) -> tuple[Any, tuple[LayerReport, ...]]:
    """A model with packed layers, quantized from `tensors` one at a time, and what each got."""
    model, slots = build(assemble, tensors, dtype)
    reports = []
    for name, slot in slots.items():
        choice = choice_for(slot, tensors[name].shape, step, dtype)
        if choice.method == "kept":
            _keep(slot, tensors[name][...].to(dtype))
            reports.append(report(name, choice, dtype, None))
            continue
        made = quantize(name, tensors[name], choice, step, dtype, transposed=slot.transposed)
        reports.append(report(name, choice, dtype, made.relative_error))
        _pack(slot, choice, made.parts, dtype)
        return_freed_memory()
    return model, tuple(reports)


def load_packed(
    assemble: Assemble, tensors: Mapping[str, Any], section: Mapping[str, Any], dtype: torch.dtype
) -> Any:
    """A model from a compressed checkpoint's tensors and the section of its config.json."""
    known = stored_matrices(tensors, section)
    model, slots = build(assemble, known, dtype)
    for name, slot in slots.items():
        stored = known[name]
        if isinstance(stored, StoredMatrix):
            if slot.role == "other":
                raise BadCheckpoint(
                    f"The compressed tensor {name} has no layer that can use it here "
                    f"({slot.reason}): compress the model again with this version."
                )
            _pack(slot, stored.choice, stored.read(), dtype)
            return_freed_memory()
        else:
            _keep(slot, stored[...].to(dtype))
    return model


def stored_matrices(tensors: Mapping[str, Any], section: Mapping[str, Any]) -> dict[str, Any]:
    """The checkpoint's tensors under their original names, those in parts as StoredMatrix."""
    found = dict(tensors)
    try:
        for layer in section["layers"]:
            if layer["method"] == "kept":
                continue
            name, (rows, columns) = str(layer["name"]), layer["shape"]
            choice = Choice(
                layer["method"],
                int(rows),
                int(columns),
                int(layer["width"]),
                layer["group"],
                rank=layer.get("rank"),
                study=layer.get("study"),
            )
            parts = {suffix: found.pop(part_name(name, choice, suffix)) for suffix in choice.parts}
            for suffix, (_, shape) in choice.parts.items():
                if tuple(parts[suffix].shape) != shape:
                    raise ValueError(f"{name}.{suffix} has the shape {parts[suffix].shape}")
            found[name] = StoredMatrix(choice, bool(layer["transposed"]), parts)
    except (LookupError, TypeError, ValueError, AssertionError) as error:
        raise BadCheckpoint(
            f"The config.json of this compressed model does not fit its weights ({error}): copy "
            "or make it again."
        ) from error
    return found


def part_name(name: str, choice: Choice, suffix: str) -> str:
    """The name of a stored part: the tensor's own, the method, and which part."""
    return f"{name}.{choice.method}.{suffix}"


def choice_for(slot: Slot, shape: tuple[int, ...], step: Recipe, dtype: torch.dtype) -> Choice:
    """What the matrix of a slot gets; `shape` is as stored."""
    rows, columns = shape[::-1] if slot.transposed else shape
    if slot.role == "other":
        return Choice("kept", rows, columns, columns, reason=slot.reason)
    return choose(step, slot.role, rows, columns, dtype)


def _packable(source: Any) -> bool:
    if isinstance(source, StoredMatrix):
        return True
    return len(source.shape) == 2 and source.dtype is not None


def assemble_tied(
    assemble: Callable[[], Any], stand_ins: dict[str, StandIn], tensors: Mapping[str, Any]
) -> tuple[Any, dict[str, Slot], set[str]]:
    """A model of the stand-ins, their slots, and the names of tensors that only repeat another.

    Stand-ins look alike, so tensors that the configuration ties are tied although they may
    differ (FLAN-T5's head is one that does); then the model is made again of stand-ins that
    differ too.
    """
    model = assemble()
    slots = find_slots(model, stand_ins)
    copies, others = _ties(model, slots, tensors)
    if others:
        for name in others:
            stood = stand_ins[name]
            stand_ins[name] = StandIn(stood.shape, stood.dtype, 1.0)
        model = assemble()
        slots = find_slots(model, stand_ins)
    return model, slots, copies


def skeleton(
    config: PretrainedConfig, name: str, stand_ins: Mapping[str, StandIn], dtype: torch.dtype
) -> PreTrainedModel:
    """The model that the checkpoint says it is, without weights."""
    head = choose_head(config, None, name)
    transformers_logging.disable_progress_bar()
    transformers_logging.set_verbosity_error()
    try:
        model: PreTrainedModel = head.model_class.from_pretrained(
            None,
            config=head.config,
            state_dict=dict(stand_ins),
            dtype=dtype,
            use_safetensors=True,
        )
        return model
    except LIBRARY_ERRORS as error:
        if "size mismatch" in str(error) or "ignore_mismatched_sizes" in str(error):
            raise BadCheckpoint(
                f"The weights of {name} have other shapes than its config.json says."
            ) from error
        raise BadCheckpoint(f"{name} cannot be read: {first_line(error)}") from error


def _ties(
    model: Any, slots: Mapping[str, Slot], tensors: Mapping[str, Any]
) -> tuple[set[str], set[str]]:
    """The stored tensors that were tied to another: those that repeat it, and those that do not."""
    copies: set[str] = set()
    others: set[str] = set()
    ties: Mapping[str, str] = model.all_tied_weights_keys
    for target, origin in ties.items():
        ends = [name for name in tensors if _ends(name, target) or _ends(name, origin)]
        used = [name for name in ends if name in slots]
        for name in ends:
            if used and name not in slots:
                (copies if _equal(tensors[name], tensors[used[0]]) else others).add(name)
    return copies, others


def _ends(stored: str, place: str) -> bool:
    """Whether a stored name is that place in the model, whatever prefix either carries."""
    return stored == place or stored.endswith(f".{place}") or place.endswith(f".{stored}")


def _equal(one: Any, other: Any) -> bool:
    if isinstance(one, StoredMatrix) or isinstance(other, StoredMatrix):
        return False  # a compressed checkpoint holds no copies
    return one.shape == other.shape and torch.equal(one[...], other[...])


def _pack(slot: Slot, choice: Choice, parts: Mapping[str, Tensor], dtype: torch.dtype) -> None:
    matrix = matrix_of(choice, parts, dtype)
    packed: nn.Module
    for holder, attribute, layer in slot.places:
        if isinstance(layer, nn.Embedding):
            assert isinstance(matrix, Int8Matrix)
            packed = PackedEmbedding(matrix, getattr(layer, "embed_scale", None))
        else:
            packed = PackedLinear(matrix, getattr(layer, "bias", None))
        setattr(holder, attribute, packed.eval())


def _keep(slot: Slot, tensor: Tensor) -> None:
    parameter = nn.Parameter(tensor, requires_grad=False)
    for module, attribute in slot.owners:
        if attribute in module._buffers:
            module._buffers[attribute] = tensor
        else:
            setattr(module, attribute, parameter)

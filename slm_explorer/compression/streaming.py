"""From a checkpoint on disk to a compressed one on disk, one tensor at a time.

The new folder is an ordinary checkpoint folder, but for its matrices, each stored in parts
(codes, scales, zeros), and the section of its config.json that says so. engines.checkpoint loads
it like any other.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from transformers import PretrainedConfig

from slm_explorer.compression.architectures import in_mlp
from slm_explorer.compression.choices import (
    Choice,
    choose_low_rank,
    not_finite,
    quantize,
    report,
)
from slm_explorer.compression.loading import (
    assemble_tied,
    choice_for,
    compute_dtype,
    part_name,
    skeleton,
)
from slm_explorer.compression.moments import InputMoments
from slm_explorer.compression.recipes import (
    READ_PARAMETERS,
    SECTION,
    CompressionResult,
    LayerReport,
    Recipe,
    Step,
    StepReport,
    parse_recipe,
    storage_step,
    why_not,
)
from slm_explorer.compression.slots import Slot, StandIn
from slm_explorer.compression.workspace import (
    MOST_COPIED_BYTES,
    check_target,
    copy_files,
    new_folder,
)
from slm_explorer.compression.writer import Entry, SafetensorsWriter
from slm_explorer.engines.folder import read_config, weight_files
from slm_explorer.engines.memory import private_memory
from slm_explorer.engines.weights import StoredWeights
from slm_explorer.errors import Cancelled, InvalidRequest, UnsupportedModel

FORMAT = 1
_CASTS = {"f32": torch.float32, "bf16": torch.bfloat16, "f16": torch.float16}
Report = Callable[[float, LayerReport | None], None]
"""Called with (fraction 0..1, the layer that is done, or None between them)."""


@dataclass(frozen=True)
class _Item:
    """One tensor of the old checkpoint and what becomes of it; `choice` None: copied."""

    name: str
    source: Any
    slot: Slot | None
    choice: Choice | None


def compress_checkpoint(
    source: Path,
    out: Path,
    recipe: str,
    report_progress: Report,
    cancelled: Callable[[], bool],
    *,
    whole: str | None = None,
    text: str | None = None,
    sample: str = "",
) -> CompressionResult:
    """Write the checkpoint in `source`, compressed, as the new folder `out`.

    `recipe` is one step; `whole` the recipe of which it is the last, None: there is no other.
    A refined one reads `text`, see moments.InputMoments for None and `sample`; a model of more
    than READ_PARAMETERS it does not read.
    Raises InvalidRequest for an unknown recipe or where `out` exists, UnsupportedModel where the
    recipe cannot be used on this model, BadCheckpoint for one that is broken or holds NaN or
    infinite weights, StorageError for a full disk, Cancelled; nothing is left then.
    """
    started = time.perf_counter()
    asked, step = parse_recipe(recipe)[-1], storage_step(recipe)
    check_target(out)
    config = read_config(source)
    if step.storage == "native":
        raise InvalidRequest("The recipe native changes nothing: choose another one.")
    reason = why_not(recipe, config.to_dict())
    if reason is not None:
        raise UnsupportedModel(f"{source.name} cannot be made {recipe}. {reason}")
    files = weight_files(source)
    with StoredWeights(files, lambda _fraction, _stage: None) as stored:
        dtype = _CASTS.get(step.name) or compute_dtype(stored.dtype, step, config)
        items, paths = _plan(config, source.name, stored.tensors, asked, dtype)
        entries = _entries(items, step, dtype)
        after = sum(entry.nbytes for entry in entries.values())
        parameters = sum(prod(item.source.shape) for item in items if item.source.dtype)
        report, moments = report_progress, None
        detail = {"read": f"nothing: over {READ_PARAMETERS:,} parameters"} if step.refined else {}
        if step.refined and parameters <= READ_PARAMETERS:
            reading, report = _halves(report_progress)
            places = {item.name: paths[item.name] for item in items if _has_four_bits(item)}
            for item in items:
                _read(item)
            moments = InputMoments(source, places, text, sample, reading, cancelled)
            detail = {"read": moments.text}
        with new_folder(out, after + MOST_COPIED_BYTES // 64) as work:
            with SafetensorsWriter(work / "model.safetensors", entries) as writer:
                layers = _write(writer, items, step, dtype, moments, report, cancelled)
            copy_files(source, work)
            _write_config(source, work, whole or recipe, dtype, items, layers, step, parameters)
        before = sum(tensor.nbytes for tensor in stored.tensors.values())
    done = StepReport(asked.text, time.perf_counter() - started, after, detail)
    return CompressionResult(
        recipe=whole or recipe,
        seconds=done.seconds,
        peak_memory_bytes=private_memory().peak,
        bytes_before=before,
        bytes_after=after,
        layers=layers,
        steps=(done,),
    )


def _plan(
    config: PretrainedConfig,
    name: str,
    tensors: Mapping[str, Any],
    asked: Step,
    dtype: torch.dtype,
) -> tuple[list[_Item], dict[str, str]]:
    """What becomes of each tensor; a second copy of a tied one is left out. And where in the
    model each matrix is used first, as a module's path.
    """
    stand_ins = {
        key: StandIn(source.shape, dtype)
        for key, source in tensors.items()
        if source.dtype is not None
    }
    model, slots, copies = assemble_tied(
        lambda: skeleton(config, name, stand_ins, dtype), stand_ins, tensors
    )
    names = {id(module): path for path, module in model.named_modules()}
    paths = {key: names[id(slot.places[0][2])] for key, slot in slots.items() if slot.places}
    items = []
    for key, source in tensors.items():
        slot = slots.get(key)
        choice = None
        if slot is not None and asked.recipe.storage == "low-rank":
            if slot.role == "linear" and in_mlp(paths[key], config.model_type):
                rows, columns = source.shape[::-1] if slot.transposed else source.shape
                choice = choose_low_rank(asked.value or 100, rows, columns, dtype)
        elif slot is not None and asked.recipe.storage != "cast":
            choice = choice_for(slot, source.shape, asked.recipe, dtype)
        if choice is not None or slot is not None or key not in copies:
            items.append(_Item(key, source, slot, choice))
    if asked.recipe.storage in ("low-rank", "quanto") and not any(
        item.choice is not None and item.choice.method != "kept" for item in items
    ):
        reasons = {item.choice.reason for item in items if item.choice is not None}
        raise UnsupportedModel(
            f"{asked.text} would leave {name} as it is ({'; '.join(map(str, reasons))}): choose "
            "another recipe."
        )
    return items, paths


def _has_four_bits(item: _Item) -> bool:
    return item.choice is not None and item.choice.method == "int4"


def _read(item: _Item) -> Tensor:
    tensor: Tensor = item.source[...]
    if tensor.is_floating_point() and not bool(torch.isfinite(tensor).all()):
        raise not_finite(item.name)
    return tensor


def _halves(report_progress: Report) -> tuple[Callable[[float], None], Report]:
    return (
        lambda fraction: report_progress(fraction / 2, None),
        lambda fraction, layer: report_progress(0.5 + fraction / 2, layer),
    )


def _entries(items: list[_Item], step: Recipe, dtype: torch.dtype) -> dict[str, Entry]:
    entries = {}
    for item in items:
        if item.choice is None or item.choice.method == "kept":
            kind = _kept_dtype(item, step, dtype)
            entries[item.name] = (
                Entry(item.source.kind, item.source.shape, item.source.nbytes)
                if kind is None
                else Entry.of(kind, item.source.shape)
            )
            continue
        for suffix, (kind, shape) in item.choice.parts.items():
            entries[part_name(item.name, item.choice, suffix)] = Entry.of(kind or dtype, shape)
    return entries


def _kept_dtype(item: _Item, step: Recipe, dtype: torch.dtype) -> torch.dtype | None:
    """What a tensor that is not quantized is stored as; None: its bytes as they are."""
    return dtype if step.storage == "cast" and item.source.dtype is not None else None


def _write(
    writer: SafetensorsWriter,
    items: list[_Item],
    step: Recipe,
    dtype: torch.dtype,
    moments: InputMoments | None,
    report_progress: Report,
    cancelled: Callable[[], bool],
) -> tuple[LayerReport, ...]:
    total = max(1, sum(item.source.nbytes for item in items))
    done = 0
    layers: list[LayerReport] = []
    for item in items:
        if cancelled():
            raise Cancelled("The compression was stopped.")
        layer = None
        if item.choice is None or item.choice.method == "kept":
            tensor = _read(item)
            kind = _kept_dtype(item, step, dtype)
            writer.write(item.name, tensor if kind is None else tensor.to(kind))
            if item.choice is not None:
                layer = report(item.name, item.choice, item.source.dtype or dtype, None)
        else:
            assert item.slot is not None
            made = quantize(
                item.name,
                item.source,
                item.choice,
                step,
                dtype,
                transposed=item.slot.transposed,
                moment=moments.of(item.name) if moments and _has_four_bits(item) else None,
                cancelled=cancelled,
            )
            for suffix in item.choice.parts:
                writer.write(part_name(item.name, item.choice, suffix), made.parts[suffix])
            layer = report(item.name, item.choice, dtype, made.relative_error)
        done += item.source.nbytes
        if layer is not None:
            layers.append(layer)
        report_progress(done / total, layer)
    return tuple(layers)


def _write_config(
    source: Path,
    work: Path,
    recipe: str,
    dtype: torch.dtype,
    items: list[_Item],
    layers: tuple[LayerReport, ...],
    step: Recipe,
    parameters: int,
) -> None:
    values = json.loads((source / "config.json").read_text(encoding="utf-8"))
    name = str(dtype).removeprefix("torch.")
    if step.storage == "cast":
        values["dtype"] = name
        values.pop("torch_dtype", None)
    else:
        places = {item.name: item for item in items if item.choice is not None}
        values[SECTION] = {
            "format": FORMAT,
            "recipe": recipe,
            "dtype": name,
            "parameters": parameters,
            "layers": [layer.row() | _layout(places[layer.name]) for layer in layers],
        }
    (work / "config.json").write_text(json.dumps(values, indent=2) + "\n", encoding="utf-8")


def _layout(item: _Item) -> dict[str, object]:
    assert item.choice is not None
    return {
        "shape": [item.choice.rows, item.choice.columns],
        "width": item.choice.width,
        "transposed": item.slot is not None and item.slot.transposed,
        **({} if item.choice.rank is None else {"rank": item.choice.rank}),
        **({} if item.choice.study is None else {"study": item.choice.study}),
    }

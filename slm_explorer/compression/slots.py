"""Which of a checkpoint's tensors are matrices of layers that can be packed.

The names in a checkpoint and the places in a model are matched by transformers itself: the model
is built from stand-ins without data, and each stand-in is found again where it was put. So every
renaming and tying that the library knows holds here too, and nothing is read yet.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

import torch
from torch import Tensor, nn
from transformers.pytorch_utils import Conv1D

SlotRole = Literal["linear", "embedding", "other"]

# Subclasses of nn.Linear and nn.Embedding that compute what their base does, in other words.
_PLAIN_LINEARS = frozenset(("FalconLinear",))
_SCALED_EMBEDDINGS = ("ScaledWordEmbedding",)
READ_WEIGHTS = frozenset(
    ("MobileBertLMPredictionHead", "LSHSelfAttention", "MambaMixer", "Mamba2Mixer")
)
"""Modules that read the weights of their layers instead of calling them."""


@dataclass
class Slot:
    """One stored matrix and everywhere in the model that it is used.

    `places` are (module that holds the layer, the layer's name in it, the layer).
    """

    name: str
    role: SlotRole
    transposed: bool
    places: list[tuple[nn.Module, str, nn.Module]]
    owners: list[tuple[nn.Module, str]] = field(default_factory=list)
    reason: str | None = None


class StandIn:
    """Looks like a matrix of `shape` and holds one number: two of the same shape and number are
    equal, so that transformers ties them where the configuration says so.
    """

    def __init__(self, shape: tuple[int, ...], dtype: torch.dtype, number: float = 0.0) -> None:
        self._one = torch.full((1,), number, dtype=dtype)
        self.shape, self.dtype = shape, dtype

    @property
    def address(self) -> int:
        return self._one.data_ptr()

    def __getitem__(self, _everything: object) -> Tensor:
        return self._one.expand(self.shape)


def find_slots(model: Any, stand_ins: Mapping[str, StandIn]) -> dict[str, Slot]:
    """The slots of the stand-ins that the model holds unchanged, by their names."""
    names = {stand_in.address: name for name, stand_in in stand_ins.items()}
    owners: dict[str, list[tuple[nn.Module, str]]] = {}
    for module in model.modules():
        for attribute, tensor in _tensors(module):
            name = names.get(tensor.data_ptr()) if tensor.dim() == 2 else None
            if name is not None:
                owners.setdefault(name, []).append((module, attribute))
    holders: dict[int, list[tuple[nn.Module, str]]] = {}
    for module in model.modules():
        for attribute, child in module.named_children():
            holders.setdefault(id(child), []).append((module, attribute))
    tables = {id(each) for each in _token_tables(model)}
    return {name: _slot(name, found, holders, tables) for name, found in owners.items()}


def _tensors(module: nn.Module) -> Iterable[tuple[str, Tensor]]:
    for name, tensor in (*module._parameters.items(), *module._buffers.items()):
        if tensor is not None:
            yield name, tensor


def _token_tables(model: Any) -> Iterable[nn.Module]:
    for module in model.modules():
        if hasattr(module, "get_input_embeddings"):
            try:
                table = module.get_input_embeddings()
            except (NotImplementedError, AttributeError):
                continue
            if isinstance(table, nn.Module):
                yield table


def _slot(
    name: str,
    owners: list[tuple[nn.Module, str]],
    holders: Mapping[int, list[tuple[nn.Module, str]]],
    tables: set[int],
) -> Slot:
    places = [
        (holder, attribute, module)
        for module, _ in owners
        for holder, attribute in holders.get(id(module), ())
    ]
    kinds = {_kind(module, attribute, tables) for module, attribute in owners}
    readers = {type(holder).__name__ for holder, _, _ in places} & READ_WEIGHTS
    reason = None
    if readers:
        reason = f"{min(readers)} reads these weights itself"
    elif None in kinds:
        odd = next(type(m).__name__ for m, a in owners if _kind(m, a, tables) is None)
        reason = f"used by {odd}, which no packed layer stands in for"
    elif {"conv1d"} < kinds:
        reason = "used both ways round"
    if reason is not None:
        return Slot(name, "other", False, places, owners, reason)
    role: SlotRole = "embedding" if "embedding" in kinds else "linear"
    return Slot(name, role, kinds == {"conv1d"}, places, owners)


def _kind(module: nn.Module, attribute: str, tables: set[int]) -> str | None:
    if attribute != "weight":
        return None
    plain = type(module).__name__
    if isinstance(module, nn.Linear) and (
        type(module).forward is nn.Linear.forward or plain in _PLAIN_LINEARS
    ):
        return "linear"
    if isinstance(module, Conv1D):
        return "conv1d"
    if (
        isinstance(module, nn.Embedding)
        and id(module) in tables
        and (type(module).forward is nn.Embedding.forward or plain.endswith(_SCALED_EMBEDDINGS))
        and module.max_norm is None
    ):
        return "embedding"
    return None

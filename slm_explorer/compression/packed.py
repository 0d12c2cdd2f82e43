"""Layers whose weights are quantized matrices: they stand where a model's own layers stood."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from slm_explorer.compression.matrices import Int4Matrix, Int8Matrix, Matrix


class ShapeOnly(Tensor):
    """What a packed layer shows as its weight: a shape and a dtype, and no numbers.

    Some models ask for their weights' dtype. Computing with it raises TypeError; a tensor on
    the meta device would not do, since a product with one gives noise (torch 2.13).
    """

    @staticmethod
    def __new__(cls: type[ShapeOnly], rows: int, columns: int, dtype: torch.dtype) -> ShapeOnly:
        made: ShapeOnly = Tensor._make_wrapper_subclass(cls, (rows, columns), dtype=dtype)
        return made

    @classmethod
    def __torch_dispatch__(cls, *_call: Any) -> Any:
        raise TypeError("a packed layer's weights cannot be read: call the layer")


class PackedLinear(nn.Module):
    """Stands in for nn.Linear and for GPT-2's Conv1D. `weight` tells its shape and dtype only."""

    def __init__(self, matrix: Matrix, bias: nn.Parameter | None) -> None:
        super().__init__()
        self.matrix = matrix
        self.bias = bias
        self.in_features = matrix.columns
        self.out_features = matrix.rows

    @property
    def weight(self) -> Tensor:
        return ShapeOnly(self.out_features, self.in_features, self.matrix.dtype)

    def forward(self, inputs: Tensor) -> Tensor:
        result = self.matrix.product(inputs.reshape(-1, self.in_features))
        if self.bias is not None:
            result = result + self.bias
        return result.view(*inputs.shape[:-1], self.out_features)

    def extra_repr(self) -> str:
        return f"{self.in_features} to {self.out_features}, {type(self.matrix).__name__}"


class PackedEmbedding(nn.Module):
    """A table looked up from 8-bit rows; a tied head may hold the same matrix. `scale` is what
    some models multiply their embeddings with.
    """

    def __init__(self, matrix: Int8Matrix, scale: Tensor | None = None) -> None:
        super().__init__()
        self.matrix = matrix
        self.num_embeddings = matrix.rows
        self.embedding_dim = matrix.columns
        self._scale = scale

    @property
    def weight(self) -> Tensor:
        return ShapeOnly(self.num_embeddings, self.embedding_dim, self.matrix.dtype)

    def forward(self, ids: Tensor) -> Tensor:
        rows = self.matrix.take(ids)
        return rows if self._scale is None else rows * self._scale.to(rows.dtype)


def fused(layers: list[PackedLinear]) -> PackedLinear | None:
    """One layer that gives the layers' outputs side by side, or None where their weights cannot
    lie side by side. The layers themselves are emptied: no second copy of their weights stays.
    """
    matrices = [layer.matrix for layer in layers]
    joined: Matrix | None = None
    if all(isinstance(each, Int4Matrix) for each in matrices):
        joined = Int4Matrix.beside([each for each in matrices if isinstance(each, Int4Matrix)])
    elif all(isinstance(each, Int8Matrix) for each in matrices):
        joined = Int8Matrix.beside([each for each in matrices if isinstance(each, Int8Matrix)])
    biases = [layer.bias for layer in layers]
    present: list[Tensor] = [bias for bias in biases if bias is not None]
    if joined is None or len(present) not in (0, len(layers)):
        return None
    bias = nn.Parameter(torch.cat(present), requires_grad=False) if present else None
    for layer in layers:
        del layer.matrix
    return PackedLinear(joined, bias)


def packed_layers(model: Any) -> list[PackedLinear | PackedEmbedding]:
    """Every packed layer of a model, each once."""
    return [each for each in model.modules() if isinstance(each, PackedLinear | PackedEmbedding)]


def packed_bytes(model: Any) -> int:
    """Bytes of all packed matrices; one that several layers share counts once."""
    matrices = {id(layer.matrix): layer.matrix for layer in packed_layers(model)}
    return sum(matrix.nbytes for matrix in matrices.values())


def packed_parameters(model: Any) -> int:
    """How many weights the packed matrices stand for; shared ones count once."""
    matrices = {id(layer.matrix): layer.matrix for layer in packed_layers(model)}
    return sum(matrix.rows * matrix.columns for matrix in matrices.values())

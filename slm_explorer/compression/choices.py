"""What each matrix of a model gets under a recipe, and the making of it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Literal, Protocol

import torch
from torch import Tensor
from torch.nn import functional as F

from slm_explorer.compression import quanto
from slm_explorer.compression.cores import on_all_cores
from slm_explorer.compression.low_rank import LowRankMatrix, factorize, rank_of
from slm_explorer.compression.matrices import (
    INT4_GROUPS,
    INT4_ROWS,
    INT8_COLUMNS,
    SCALES,
    Int4Matrix,
    Int8Matrix,
    Matrix,
    pair_codes,
)
from slm_explorer.compression.quantizers import error_factor, quantize_int4, quantize_int8
from slm_explorer.compression.recipes import LayerReport, Method, Recipe
from slm_explorer.errors import BadCheckpoint, Cancelled

Role = Literal["linear", "embedding"]

# Weights read at a time: enough to keep the disk busy, and no second copy of a large table.
_READ = 2**20


class Source(Protocol):
    """A tensor that can be read whole, or along its first dimension."""

    shape: tuple[int, ...]
    dtype: torch.dtype | None

    def __getitem__(self, _everything: object) -> Tensor: ...

    def rows(self, start: int, end: int) -> Tensor: ...


@dataclass(frozen=True)
class Choice:
    """What one matrix of `rows` x `columns` gets. `width` is its columns with padding, `rank`
    that of its two factors, `study` the recipe whose numbers quanto.py makes.
    """

    method: Method
    rows: int
    columns: int
    width: int
    group: int | None = None
    reason: str | None = None
    rank: int | None = None
    study: str | None = None

    @property
    def parts(self) -> Mapping[str, tuple[torch.dtype | None, tuple[int, ...]]]:
        """The stored tensors by their suffix: dtype (None: the compute dtype) and shape."""
        if self.method == "int8":
            return {
                "codes": (torch.int8, (self.rows, self.columns)),
                "scales": (SCALES, (self.rows,)),
            }
        if self.rank is not None:
            return {
                "left": (None, (self.rows, self.rank)),
                "right": (None, (self.rank, self.columns)),
            }
        if self.study is not None:
            return quanto.parts_of(self.study, self.rows, self.columns)
        assert self.group is not None
        groups = (self.rows, self.width // self.group)
        return {
            "codes": (torch.uint8, (self.rows, self.width // 2)),
            "scales": (SCALES, groups),
            "zeros": (SCALES, groups),
        }

    def stored_bytes(self, dtype: torch.dtype) -> int:
        total = 0
        for kind, shape in self.parts.values():
            size = (kind or dtype).itemsize
            for length in shape:
                size *= length
            total += size
        return total


@dataclass(frozen=True)
class Quantized:
    """The stored tensors of one matrix by their suffix, and how far they are from the weights."""

    parts: Mapping[str, Tensor]
    relative_error: float


def choose(step: Recipe, role: Role, rows: int, columns: int, dtype: torch.dtype) -> Choice:
    """The best that the kernels allow for a matrix of this shape; never larger than it was.

    Tables of tokens, and heads tied to them, get 8 bits under the 4-bit recipes too: there the
    loss feels every bit, and they are read by rows.
    """
    plain = rows * columns * dtype.itemsize
    eight = Choice("int8", rows, columns, columns, reason=_padding(columns, INT8_COLUMNS))
    found = eight
    if step.storage == "quanto":
        if role == "embedding":
            reason = "the study is of layers, not of the table of tokens"
            return Choice("kept", rows, columns, columns, reason=reason)
        group = quanto.group_of(step.name, columns)
        found = Choice("quanto", rows, columns, columns, group, study=step.name)
    elif step.storage == "int4" and role == "embedding":
        found = Choice("int8", rows, columns, columns, reason="8 bits for the table of tokens")
    elif step.storage == "int4":
        four = _four_bits(rows, columns, step.group)
        # What padding makes larger than 8 bits would be is better off with 8 bits.
        if four.stored_bytes(dtype) < eight.stored_bytes(dtype):
            found = four
        else:
            found = Choice("int8", rows, columns, columns, reason="too narrow for groups in 4 bits")
    if found.stored_bytes(dtype) >= plain:
        return Choice("kept", rows, columns, columns, reason="too small to become smaller")
    return found


def choose_low_rank(percent: float, rows: int, columns: int, dtype: torch.dtype) -> Choice:
    """Two factors of a rank that is `percent` of the full one; the matrix itself where those would
    be larger than it is.
    """
    rank = rank_of(rows, columns, percent)
    found = Choice("low-rank", rows, columns, columns, rank=rank)
    if found.stored_bytes(dtype) < rows * columns * dtype.itemsize:
        return found
    reason = f"two factors of rank {rank} would be larger than the matrix"
    return Choice("kept", rows, columns, columns, reason=reason)


def _four_bits(rows: int, columns: int, asked: int) -> Choice:
    groups = [each for each in INT4_GROUPS if each <= asked]
    group = next((each for each in groups if columns % each == 0), groups[-1])
    width = columns + -columns % group
    reasons = [_padding(columns, group), _padding(rows, INT4_ROWS, "outputs")]
    if group != asked:
        reasons.insert(0, f"groups of {group}: {columns} inputs do not divide by {asked}")
    said = "; ".join(each for each in reasons if each)
    return Choice("int4", rows, columns, width, group, said or None)


def _padding(length: int, multiple: int, what: str = "inputs") -> str | None:
    missing = -length % multiple
    return f"{what} padded from {length} to {length + missing}" if missing else None


def quantize(
    name: str,
    source: Source,
    choice: Choice,
    step: Recipe,
    dtype: torch.dtype,
    *,
    transposed: bool = False,
    moment: Tensor | None = None,
    cancelled: Callable[[], bool] = lambda: False,
) -> Quantized:
    """Read a matrix piece by piece and quantize it; `transposed` where it is stored [inputs,
    outputs]. With the `moment` of its inputs [columns, columns], 4-bit errors are passed on to
    the weights that are still to be rounded. BadCheckpoint names a tensor that holds NaN or
    infinite weights; Cancelled once `cancelled()` says so.
    """
    whole = source[...].t() if transposed else None
    if choice.rank is not None or choice.study is not None:
        if cancelled():
            raise Cancelled("The compression was stopped.")
        return _from_whole(name, source[...] if whole is None else whole, choice, dtype)
    parts = {
        suffix: torch.empty(shape, dtype=kind or dtype)
        for suffix, (kind, shape) in choice.parts.items()
    }
    lines = max(1, _READ // max(1, choice.columns))
    factor = None
    if moment is not None:
        padding = choice.width - choice.columns
        factor = error_factor(F.pad(moment, (0, padding, 0, padding)))

    def work(start: int) -> tuple[float, float]:
        if cancelled():
            raise Cancelled("The compression was stopped.")
        end = min(choice.rows, start + lines)
        piece = source.rows(start, end) if whole is None else whole[start:end].contiguous()
        if choice.method == "int8":
            eight = quantize_int8(piece, SCALES)
            parts["codes"][start:end], parts["scales"][start:end] = eight.codes, eight.scales
            return eight.squared_error, eight.squared_norm
        assert choice.group is not None
        if choice.width != choice.columns:
            piece = F.pad(piece, (0, choice.width - choice.columns))
        four = quantize_int4(piece, choice.group, SCALES, refined=step.refined, factor=factor)
        parts["codes"][start:end] = pair_codes(four.codes)
        parts["scales"][start:end], parts["zeros"][start:end] = four.scales, four.zeros
        return four.squared_error, four.squared_norm

    sums = on_all_cores(work, range(0, choice.rows, lines))
    error, norm = (sum(each) for each in zip(*sums, strict=True))
    # One of them is not finite where a single weight is not.
    if not norm + error < float("inf"):
        raise not_finite(name)
    return Quantized(parts, (error / norm) ** 0.5 if norm else 0.0)


def _from_whole(name: str, weight: Tensor, choice: Choice, dtype: torch.dtype) -> Quantized:
    """What cannot be made piece by piece."""
    if not bool(torch.isfinite(weight).all()):
        raise not_finite(name)
    parts: Mapping[str, Tensor]
    if choice.rank is not None:
        parts = dict(zip(("left", "right"), factorize(weight, choice.rank, dtype), strict=True))
    else:
        assert choice.study is not None
        parts = quanto.quantize(weight, choice.study, dtype)
    norm = float(weight.float().norm())
    error = float((matrix_of(choice, parts, dtype).exact() - weight.float()).norm())
    return Quantized(parts, error / norm if norm else 0.0)


def not_finite(name: str) -> BadCheckpoint:
    return BadCheckpoint(
        f"The tensor {name} holds NaN or infinite weights, so the model cannot be compressed: "
        "download it again, or take another checkpoint."
    )


def matrix_of(choice: Choice, parts: Mapping[str, Tensor], dtype: torch.dtype) -> Matrix:
    """The matrix that multiplies with the stored tensors, in a model that computes in `dtype`."""
    if choice.rank is not None:
        return LowRankMatrix(parts["left"], parts["right"])
    if choice.study is not None:
        return quanto.QuantoMatrix(choice.study, choice.rows, choice.columns, parts)
    if choice.method == "int8":
        return Int8Matrix(parts["codes"], parts["scales"], dtype)
    return Int4Matrix(parts["codes"], parts["scales"], parts["zeros"], dtype, choice.columns)


def report(name: str, choice: Choice, dtype: torch.dtype, error: float | None) -> LayerReport:
    """What to say of a matrix. `dtype` is that of its scales, or its own where it was kept."""
    count = max(1, choice.rows * choice.columns)
    stored = 8 * dtype.itemsize if choice.method == "kept" else None
    return LayerReport(
        name=name,
        method=choice.method,
        bits=float(stored) if stored else 8 * choice.stored_bytes(dtype) / count,
        group=choice.group,
        relative_error=error,
        reason=choice.reason,
    )

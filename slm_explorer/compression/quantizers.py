"""From a matrix of floats to integers and scales: near-pure functions, one matrix at a time.

Rows are output channels. Scales and offsets are rounded to the dtype in which they are stored
before the integers are chosen, so that the integers make up for that rounding.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from slm_explorer.compression.kernel_order import MIDDLE

# Rows are worked on in pieces of about this many weights, which stay in the processor's caches.
_PIECE = 2**18
_LEVELS = 15
# The search of refined int4: widths tried, as shares of the full range, and how often each is
# fitted again. More of either changes the error by less than a hundredth.
_WIDTHS = (1.0, 0.92, 0.84, 0.76)
_FITS = 3
# A share of the mean input is added to every input's own moment, so that the inverse exists.
_DAMPING = 0.01


@dataclass(frozen=True)
class Int8Rows:
    """`codes` int8 [rows, columns] and `scales` [rows]: a weight is code x scale."""

    codes: Tensor
    scales: Tensor
    squared_error: float
    squared_norm: float


@dataclass(frozen=True)
class Int4Groups:
    """`codes` uint8 [rows, columns] of 0 to 15, `scales` and `zeros` [rows, columns / group]:
    a weight is (code - 8) x scale + zero.
    """

    codes: Tensor
    scales: Tensor
    zeros: Tensor
    squared_error: float
    squared_norm: float


def quantize_int8(weight: Tensor, dtype: torch.dtype) -> Int8Rows:
    """Round `weight` [rows, columns] to 8 bits, symmetric, each row by its largest magnitude.

    `dtype` is that of the scales. A row that is not finite gives an infinite squared_norm.
    """
    rows, columns = weight.shape
    codes = torch.empty(rows, columns, dtype=torch.int8)
    scales = torch.empty(rows, dtype=dtype)
    error = norm = 0.0
    for start, end in _pieces(rows, columns):
        piece = weight[start:end].float()
        scale = _storable(piece.abs().amax(dim=1, keepdim=True) / 127, dtype)
        scales[start:end] = scale[:, 0]
        step = scale.float()
        code = (piece / step).round_().clamp_(-127, 127)
        codes[start:end] = code
        norm += _sum_of_squares(piece)
        error += _sum_of_squares(code.mul_(step).sub_(piece))
    return Int8Rows(codes, scales, error, norm)


def quantize_int4(
    weight: Tensor,
    group: int,
    dtype: torch.dtype,
    *,
    refined: bool,
    factor: Tensor | None = None,
) -> Int4Groups:
    """Round `weight` [rows, columns] to 4 bits by groups of `group` neighbours in a row;
    `columns` must be a multiple of it. `dtype` is that of scales and offsets.

    Plain: from each group's smallest to its largest weight. Refined: see `_refine`. With a
    `factor` (see `error_factor`) errors are passed on, see `_pass_on`.
    """
    rows, columns = weight.shape
    codes = torch.empty(rows, columns, dtype=torch.uint8)
    scales = torch.empty(rows, columns // group, dtype=dtype)
    zeros = torch.empty_like(scales)
    error = norm = 0.0
    for start, end in _pieces(rows, columns):
        piece = weight[start:end].float().view(end - start, columns // group, group)
        if factor is None:
            scale, zero = _range(piece, dtype, refined=refined)
            code = _codes(piece, scale, zero)
        else:
            code, scale, zero = _pass_on(piece, factor, dtype, refined=refined)
        codes[start:end] = code.view(end - start, columns)
        scales[start:end], zeros[start:end] = scale[..., 0], zero[..., 0]
        norm += _sum_of_squares(piece)
        error += _sum_of_squares(_restored(code, scale, zero).sub_(piece))
    return Int4Groups(codes, scales, zeros, error, norm)


def error_factor(moment: Tensor) -> Tensor | None:
    """What `quantize_int4` passes errors on by: the upper Cholesky factor of the inverse of a
    layer's input moments [columns, columns], damped; None where they have none.
    """
    mean = float(moment.diagonal().mean())
    damped = moment + _DAMPING * (mean or 1.0) * torch.eye(moment.shape[0])
    lower, failed = torch.linalg.cholesky_ex(damped)
    if int(failed) or not math.isfinite(mean):
        return None
    factor: Tensor = torch.linalg.cholesky(torch.cholesky_inverse(lower), upper=True)
    return factor


def _pass_on(
    piece: Tensor, factor: Tensor, dtype: torch.dtype, *, refined: bool
) -> tuple[Tensor, Tensor, Tensor]:
    """Codes [rows, groups, group], scales and offsets [rows, groups, 1]: columns are rounded one
    after another, and what each loses is made up for by those that are still to come, as far as
    the inputs' moments allow (Frantar et al., GPTQ, 2022, https://arxiv.org/abs/2210.17323).
    """
    rows, groups, group = piece.shape
    left = piece.reshape(rows, -1).clone()
    codes = torch.empty_like(piece)
    scales, zeros = (torch.empty(rows, groups, 1, dtype=dtype) for _ in range(2))
    for number in range(groups):
        start, end = number * group, (number + 1) * group
        block = left[:, start:end]
        errors = torch.empty_like(block)
        scale, zero = (each[:, 0] for each in _range(block[:, None], dtype, refined=refined))
        for at in range(group):
            column = block[:, at : at + 1]
            code = _codes(column, scale, zero)
            row = factor[start + at]
            error = (column - _restored(code, scale, zero)) / row[start + at]
            block[:, at:] -= error * row[start + at : end]
            errors[:, at : at + 1] = error
            codes[:, number, at : at + 1] = code
        left[:, end:] -= errors @ factor[start:end, end:]
        scales[:, number], zeros[:, number] = scale, zero
    return codes, scales, zeros


def _range(weight: Tensor, dtype: torch.dtype, *, refined: bool) -> tuple[Tensor, Tensor]:
    low, high = weight.amin(dim=-1, keepdim=True), weight.amax(dim=-1, keepdim=True)
    return _refine(weight, low, high, dtype) if refined else _span(low, high, dtype)


def _pieces(rows: int, columns: int) -> list[tuple[int, int]]:
    step = max(1, _PIECE // max(1, columns))
    return [(start, min(rows, start + step)) for start in range(0, rows, step)]


def _sum_of_squares(values: Tensor) -> float:
    flat = values.reshape(-1)
    return float(torch.dot(flat, flat))


def _storable(scale: Tensor, dtype: torch.dtype) -> Tensor:
    """Scales as they will be stored; never 0, which a group of zeros would ask for."""
    return scale.to(dtype).clamp_min(torch.finfo(dtype).tiny)


def _span(low: Tensor, high: Tensor, dtype: torch.dtype) -> tuple[Tensor, Tensor]:
    scale = _storable((high - low) / _LEVELS, dtype)
    return scale, (low + MIDDLE * scale.float()).to(dtype)


def _codes(weight: Tensor, scale: Tensor, zero: Tensor) -> Tensor:
    inverse = scale.float().reciprocal()
    offset = MIDDLE - zero.float() * inverse
    return torch.addcmul(offset, weight, inverse).round_().clamp_(0, _LEVELS)


def _restored(codes: Tensor, scale: Tensor, zero: Tensor) -> Tensor:
    step = scale.float()
    return torch.addcmul(zero.float() - MIDDLE * step, codes, step)


def _refine(weight: Tensor, low: Tensor, high: Tensor, dtype: torch.dtype) -> tuple[Tensor, Tensor]:
    """Scales and offsets [rows, groups, 1] of the least squared error that a search finds.

    From several widths of the range, each group alternates between rounding to the nearest
    code and the line that fits its codes best (least squares in closed form), and keeps the
    best it has seen. Half-quadratic quantization (Badri and Shaji, 2023) alternates likewise,
    over the offset alone.
    """
    group = weight.shape[-1]
    middle = (low + high) / 2
    total = weight.sum(dim=-1, keepdim=True)
    scale, zero = _span(low, high, dtype)
    least = _squared_error(weight, _codes(weight, scale, zero), scale, zero)
    for width in _WIDTHS:
        step = _storable((high - low) * (width / _LEVELS), dtype)
        # Codes reach from -8 to 7 around the offset, so the middle lies half a step below it.
        offset = (middle + step.float() / 2).to(dtype)
        code = _codes(weight, step, offset)
        for _ in range(_FITS):
            step, offset = _fitted(weight, code.sub_(MIDDLE), total, group, dtype)
            code = _codes(weight, step, offset)
            found = _squared_error(weight, code, step, offset)
            better = found < least
            least = torch.where(better, found, least)
            scale = torch.where(better, step, scale)
            zero = torch.where(better, offset, zero)
    return scale, zero


def _fitted(
    weight: Tensor, code: Tensor, total: Tensor, group: int, dtype: torch.dtype
) -> tuple[Tensor, Tensor]:
    """The least-squares line weight = code x scale + zero of every group."""
    codes = code.sum(dim=-1, keepdim=True)
    squares = (code * code).sum(dim=-1, keepdim=True)
    products = (code * weight).sum(dim=-1, keepdim=True)
    spread = (squares * group - codes * codes).clamp_min(1e-6)
    scale = _storable((products * group - codes * total) / spread, dtype)
    return scale, ((total - codes * scale.float()) / group).to(dtype)


def _squared_error(weight: Tensor, code: Tensor, scale: Tensor, zero: Tensor) -> Tensor:
    difference = _restored(code, scale, zero).sub_(weight)
    return difference.mul_(difference).sum(dim=-1, keepdim=True)

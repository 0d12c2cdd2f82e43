"""How whole conversations lie end to end in a batch, and how attention sees each one alone."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.autograd.function import FunctionCtx

_ROWS, _COLUMNS = 2, 48


@dataclass(frozen=True, slots=True)
class Layout:
    """Where each conversation of a batch lies, in a row of T tokens that ends in a spare one.

    positions: (T,), counted within the conversation. sizes: for each group of conversations of like
    length, how many and how long. index: (slots,), the token in each slot of the groups, one group
    after the other; empty slots name the spare last token. back: (T,), the slot of each token;
    tokens of no conversation name an empty slot.
    """

    positions: Tensor
    sizes: tuple[tuple[int, int], ...]
    index: Tensor
    back: Tensor


def lay_out(lengths: NDArray[np.int64], tokens: int) -> Layout:
    """Lay out conversations of these lengths at the start of a row of `tokens` tokens.

    Groups have few different sizes, since a CPU's matrix library writes new code for each.
    """
    starts = np.concatenate([[0], np.cumsum(lengths)])
    if starts[-1] >= tokens:
        raise ValueError(f"{starts[-1]} tokens leave no spare one in {tokens}")
    # One slot more than the longest needs, so that each row ends in an empty one.
    widths = -(-(lengths + 1) // _COLUMNS) * _COLUMNS
    sizes: list[tuple[int, int]] = []
    positions = np.zeros(tokens, dtype=np.int64)
    back = np.full(tokens, widths.min() - 1, dtype=np.int64)
    index: list[NDArray[np.int64]] = []
    slot = 0
    for columns in np.unique(widths):
        members = np.flatnonzero(widths == columns)
        rows = -(-len(members) // _ROWS) * _ROWS
        group = np.full((rows, columns), tokens - 1, dtype=np.int64)
        for row, (start, length) in enumerate(zip(starts[members], lengths[members], strict=True)):
            group[row, :length] = np.arange(start, start + length)
            back[start : start + length] = slot + row * columns + np.arange(length)
            positions[start : start + length] = np.arange(length)
        sizes.append((rows, int(columns)))
        index.append(group.ravel())
        slot += group.size
    return Layout(
        torch.from_numpy(positions),
        tuple(sizes),
        torch.from_numpy(np.concatenate(index)),
        torch.from_numpy(back),
    )


class _Take(torch.autograd.Function):
    """Rows by index, whose gradient is taken by rows too."""

    @staticmethod
    def forward(ctx: FunctionCtx, x: Tensor, index: Tensor, back: Tensor) -> Tensor:
        ctx.back = back  # type: ignore[attr-defined]
        return x.index_select(0, index)

    @staticmethod
    def backward(ctx: FunctionCtx, grad: Tensor) -> tuple[Tensor, None, None]:
        return grad.index_select(0, ctx.back), None, None  # type: ignore[attr-defined]


def take(x: Tensor, index: Tensor, back: Tensor) -> Tensor:
    """Take rows of x by `index`; the gradient is taken back by `back`.

    Right where each row is taken once, and rows taken for padding have no gradient. Much faster on
    a CPU than the scatter that indexing uses.
    """
    taken: Tensor = _Take.apply(x, index, back)  # type: ignore[no-untyped-call]
    return taken

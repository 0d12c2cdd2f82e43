"""Products whose rows do not depend on each other: what a token's numbers are must not depend on
who else is answered in the same step.

Kernels sum in another order for one row than for many. Which ones do is asked of the kernels
themselves, once, when a model is loaded. On an AVX-512 processor with bf16 instructions (torch
2.13): torch's int8 and int4 kernels never do; oneDNN's bf16 product does where the inputs are
wider than 1,024, and then only for one row, so that one is given a twin; float32 products
always do, so their rows are multiplied one by one, and a batch gains little.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import torch
from torch import Tensor

from slm_explorer.compression.matrices import Int4Matrix, Int8Matrix
from slm_explorer.engines.projections import Projection

BATCH_ROWS = 16
"""Rows that one product takes at most: more sequences are multiplied in several."""

# Up to here oneDNN's bf16 product sums one row as it sums many; above, rows differ so seldom (an
# output in ten thousand) that a probe may miss it.
_NARROW = 1024
# Int8's kernel is left for another way above twelve rows.
_FEW = 8
# Torch gives more elements than these to several threads; where one takes over in the middle of a
# row, the last few before it are computed without vector instructions, and may differ.
_GRAIN = 32768
_COUNTS = (2, 3, 5, 8, 12, 16)

Way = Callable[[Projection], Projection]


class SteadyRows:
    """Makes products steady; each kind of product of each shape is asked once."""

    def __init__(self, dtype: torch.dtype) -> None:
        self._dtype = dtype
        self._ways: dict[object, Way] = {}

    def steady(self, project: Projection, features: int) -> Projection:
        """The same product, [rows, features] to [rows, outputs], for a token of each of some
        sequences: every row comes out as if it were alone.
        """
        generator = torch.Generator().manual_seed(0)
        probe = torch.randn(BATCH_ROWS, features, generator=generator).to(self._dtype)
        with torch.inference_mode():
            key = (*_kind(project), features, project(probe[:1]).shape[1])
        if key not in self._ways:
            self._ways[key] = self._way(project, probe)
        return self._ways[key](project)

    def _way(self, project: Projection, probe: Tensor) -> Way:
        ways: list[Way] = [_whole, _few, _with_twin]
        if self._dtype is torch.bfloat16 and _is_plain(project) and probe.shape[1] > _NARROW:
            ways = [_with_twin]
        return next((way for way in ways if _rows_are_steady(way(project), probe)), _one_by_one)


def _kind(project: Projection) -> tuple[object, ...]:
    if isinstance(project, partial):
        parts = project.args[0] if project.args else ()
        return (project.func, *(_kind(part) for part in parts))
    owner = getattr(project, "__self__", project)
    return (type(owner), type(getattr(owner, "matrix", None)))


def _is_plain(project: Projection) -> bool:
    """Not one of torch's int8 and int4 kernels alone."""
    owner = getattr(project, "__self__", project)
    return not isinstance(getattr(owner, "matrix", owner), Int8Matrix | Int4Matrix)


@torch.inference_mode()
def _rows_are_steady(project: Projection, probe: Tensor) -> bool:
    alone = torch.cat([project(row) for row in torch.split(probe, 1)])
    return all(torch.equal(project(probe[:count]), alone[:count]) for count in _COUNTS)


def _whole(project: Projection) -> Projection:
    return _in_pieces(project, BATCH_ROWS)


def _few(project: Projection) -> Projection:
    return _in_pieces(project, _FEW)


def _in_pieces(project: Projection, most: int) -> Projection:
    def product(rows: Tensor) -> Tensor:
        if rows.shape[0] <= most:
            return project(rows)
        return torch.cat([project(piece) for piece in torch.split(rows, most)])

    return product


def _with_twin(project: Projection) -> Projection:
    def product(rows: Tensor) -> Tensor:
        if rows.shape[0] == 1:
            return project(rows.expand(2, -1))[:1]
        if rows.shape[0] <= BATCH_ROWS:
            return project(rows)
        return torch.cat([product(piece) for piece in torch.split(rows, BATCH_ROWS)])

    return product


def _one_by_one(project: Projection) -> Projection:
    def product(rows: Tensor) -> Tensor:
        if rows.shape[0] == 1:
            return project(rows)
        return torch.cat([project(row) for row in torch.split(rows, 1)])

    return product


def steady_elements(function: Callable[[Tensor], Tensor]) -> Callable[[Tensor], Tensor]:
    """The same function of each element, [rows, width], whatever the number of rows."""

    def apply(rows: Tensor) -> Tensor:
        if rows.shape[0] == 1 or rows.numel() <= _GRAIN:
            return function(rows)
        return torch.cat([function(row) for row in torch.split(rows, 1)])

    return apply

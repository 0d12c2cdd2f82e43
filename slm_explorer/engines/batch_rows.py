"""Products whose rows do not depend on each other: what a token's numbers are must not depend on
who else is answered in the same step.

Kernels sum in another order for one row than for many. Which ones do is asked of the kernels
themselves: of one row beside another when a model is loaded, since that settles how a row alone
is multiplied, of more rows when a batch first needs them, since every number of rows leaves
kernels of its own in memory. On an AVX-512 processor with bf16 instructions (torch 2.13): torch's
int8 and int4 kernels never do; oneDNN's bf16 product does where the inputs are wider than 1,024,
and then only for one row, so that one is given a twin; float32 products always do, so their rows
are multiplied one by one, and a batch gains little.
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
        self._ways_of_many: dict[object, Way] = {}

    def steady(self, project: Projection, features: int) -> Projection:
        """The same product, [rows, features] to [rows, outputs], for a token of each of some
        sequences: every row comes out as if it were alone.
        """
        probe = self._probe(features)
        with torch.inference_mode():
            key = (*_kind(project), features, project(probe[:1]).shape[1])
        if key not in self._ways:
            self._ways[key] = self._way(project, probe, key)
        return self._ways[key](project)

    def _probe(self, features: int) -> Tensor:
        generator = torch.Generator().manual_seed(0)
        return torch.randn(BATCH_ROWS, features, generator=generator).to(self._dtype)

    def _way(self, project: Projection, probe: Tensor, key: object) -> Way:
        def later(alone: Projection) -> Projection:
            return self._asked_later(alone, key, probe.shape[1])

        if self._dtype is torch.bfloat16 and _is_plain(project) and probe.shape[1] > _NARROW:
            return lambda project: later(_with_twin(project))
        if _rows_are_steady(project, probe, (2,)):
            return later
        if _rows_are_steady(_with_twin(project), probe):
            return lambda project: _whole(_with_twin(project))
        return _one_by_one

    def _asked_later(self, alone: Projection, key: object, features: int) -> Projection:
        """A row goes through `alone`; how several do is asked when they first come."""
        several: Projection | None = None

        def product(rows: Tensor) -> Tensor:
            nonlocal several
            if rows.shape[0] == 1:
                return alone(rows)
            if several is None:
                if key not in self._ways_of_many:
                    probe = self._probe(features)
                    ways = (way for way in (_whole, _few) if _rows_are_steady(way(alone), probe))
                    self._ways_of_many[key] = next(ways, _one_by_one)
                several = self._ways_of_many[key](alone)
            return several(rows)

        return product


def _kind(project: Projection) -> tuple[object, ...]:
    if isinstance(project, partial):
        return (project.func, *(_kind(part) for part in _parts(project)))
    owner = getattr(project, "__self__", project)
    return (type(owner), type(getattr(owner, "matrix", None)))


def _parts(project: partial[Tensor]) -> tuple[Projection, ...]:
    """What projections.py makes this of."""
    first = project.args[0] if project.args else ()
    return first if isinstance(first, tuple) else (first,)


def _is_plain(project: Projection) -> bool:
    """Not one of torch's int8 and int4 kernels alone."""
    if isinstance(project, partial) and project.args:
        return any(_is_plain(part) for part in _parts(project))
    owner = getattr(project, "__self__", project)
    return not isinstance(getattr(owner, "matrix", owner), Int8Matrix | Int4Matrix)


@torch.inference_mode()
def _rows_are_steady(project: Projection, probe: Tensor, counts: tuple[int, ...] = _COUNTS) -> bool:
    alone = torch.cat([project(row) for row in torch.split(probe, 1)])
    return all(
        torch.equal(torch.cat([project(rows) for rows in torch.split(probe, count)]), alone)
        for count in counts
    )


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
        return project(rows.expand(2, -1))[:1] if rows.shape[0] == 1 else project(rows)

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

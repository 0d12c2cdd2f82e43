"""Products whose rows do not depend on each other: what a token's numbers are must not depend on
who else is answered in the same step.

Kernels sum in another order for one row than for many. Which ones do is asked of the kernels
themselves, once, when a model is loaded. On an AVX-512 processor with bf16 instructions (torch
2.13): torch's int8 and int4 kernels never do; oneDNN's bf16 product does where the inputs are
wider than 1,024, and then only for one row, so that one is given a twin; float32 products
always do, so their rows are multiplied one by one, and a batch gains little.
"""

from __future__ import annotations

import torch
from torch import Tensor

from slm_explorer.engines.projections import Projection

BATCH_ROWS = 16
"""Rows that one product takes at most: more sequences are multiplied in several."""

_PROBE_ROWS = 24
_COUNTS = (2, 3, 4, 5, 8, 12, 15, 16)
# Int8's kernel is left for another way above twelve rows.
_FEW = 8


def steady(project: Projection, features: int, dtype: torch.dtype) -> Projection:
    """The same product, [rows, features] to [rows, outputs], for a token of each of some
    sequences: every row comes out as if it were alone.
    """
    probe = torch.randn(
        _PROBE_ROWS, features, generator=torch.Generator().manual_seed(0), dtype=torch.float32
    ).to(dtype)
    for way in (_in_pieces(project, BATCH_ROWS), _in_pieces(project, _FEW), _with_twin(project)):
        if _rows_are_steady(way, probe):
            return way
    return _one_by_one(project)


@torch.inference_mode()
def _rows_are_steady(project: Projection, probe: Tensor) -> bool:
    alone = torch.cat([project(row) for row in torch.split(probe, 1)])
    return all(
        torch.equal(project(probe[at : at + count]), alone[at : at + count])
        for count in _COUNTS
        for at in (0, _PROBE_ROWS - count)
    )


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

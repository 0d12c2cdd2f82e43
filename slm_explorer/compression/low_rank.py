"""A matrix as the product of two thin ones: the nearest of that rank (Eckart and Young, 1936)."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F


class LowRankMatrix:
    """`left` [rows, rank] times `right` [rank, columns], never multiplied out."""

    def __init__(self, left: Tensor, right: Tensor) -> None:
        self.rows, self.columns = left.shape[0], right.shape[1]
        self.dtype = left.dtype
        self._left, self._right = left, right

    def product(self, inputs: Tensor) -> Tensor:
        return F.linear(F.linear(inputs, self._right), self._left)

    def exact(self) -> Tensor:
        return self._left.float() @ self._right.float()

    @property
    def nbytes(self) -> int:
        return self._left.nbytes + self._right.nbytes


def rank_of(rows: int, columns: int, percent: float) -> int:
    """The rank that is `percent` of the full one, at least 1."""
    return max(1, round(min(rows, columns) * percent / 100))


def factorize(weight: Tensor, rank: int, dtype: torch.dtype) -> tuple[Tensor, Tensor]:
    """The two factors of `weight` [rows, columns] in `dtype`.

    The directions are the leading eigenvectors of the smaller of its two Gram matrices, in
    float64; for the largest singular values that is as good as an SVD and several times faster.
    """
    exact = weight.double()
    wide = exact.shape[0] <= exact.shape[1]
    gram = exact @ exact.t() if wide else exact.t() @ exact
    leading = torch.linalg.eigh(gram).eigenvectors[:, -rank:]
    if wide:
        return leading.to(dtype).contiguous(), (leading.t() @ exact).to(dtype).contiguous()
    return (exact @ leading).to(dtype).contiguous(), leading.t().to(dtype).contiguous()

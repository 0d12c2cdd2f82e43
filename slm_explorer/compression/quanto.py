"""Studies with the quantizers of optimum-quanto: 2, 4 and 8-bit integers, 8-bit floats.

Its numbers, and not its kernels: those are compiled on the first call, which needs a C++
compiler, a place to write in the installed package, and hangs for ever where such a call was
once killed (optimum-quanto 0.2.7). Here weights are restored and multiplied by torch, so that
what was written is read without the library, under torch.inference_mode as well.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from slm_explorer.errors import UnsupportedModel

Parts = Mapping[str, tuple[torch.dtype | None, tuple[int, ...]]]

_BITS = {"quanto-int2": 2, "quanto-int4": 4}
_BYTES = {"quanto-int8": torch.int8, "quanto-float8": torch.float8_e4m3fn}
_LARGEST_GROUP, _GROUP_STEP, _SMALLEST_GROUP = 128, 32, 32


def group_of(recipe: str, columns: int) -> int | None:
    """Weights that share a scale, as the library chooses; None: a whole row."""
    group = _LARGEST_GROUP
    if recipe not in _BITS or columns <= group:
        return None
    while columns % group and group > _SMALLEST_GROUP:
        group -= _GROUP_STEP
    return None if columns % group else group


def parts_of(recipe: str, rows: int, columns: int) -> Parts:
    """The stored tensors by their suffix: dtype (None: the compute dtype) and shape."""
    if recipe in _BYTES:
        return {"codes": (_BYTES[recipe], (rows, columns)), "scales": (None, (rows,))}
    groups = rows * columns // (group_of(recipe, columns) or columns)
    packed = -(-rows * columns * _BITS[recipe] // 8)
    return {
        "codes": (torch.uint8, (packed,)),
        "scales": (None, (groups,)),
        "shifts": (None, (groups,)),
    }


def quantize(weight: Tensor, recipe: str, dtype: torch.dtype) -> dict[str, Tensor]:
    """The stored tensors of `weight` [rows, columns]. UnsupportedModel where the library is not
    installed.
    """
    quanto = _library()
    exact = weight.to(dtype)
    columns = exact.shape[1]
    if recipe in _BYTES:
        kind = quanto.qtypes["qint8" if recipe == "quanto-int8" else "qfloat8"]
        scale = _usable(quanto.AbsmaxOptimizer()(exact, kind, 0))
        codes = torch.ops.quanto.quantize_symmetric(exact, kind.dtype, 0, scale)
        return {"codes": codes, "scales": scale.flatten()}
    bits = _BITS[recipe]
    group = group_of(recipe, columns)
    scale, shift = quanto.MaxOptimizer()(exact, quanto.qtypes[f"qint{bits}"], 0, group)
    scale = _usable(scale)
    codes = torch.ops.quanto.quantize_affine(exact, bits, 0, group, scale, shift)
    return {
        "codes": _packed(codes.flatten(), bits),
        "scales": scale.flatten(),
        "shifts": shift.flatten(),
    }


class QuantoMatrix:
    """A matrix in the stored tensors of `quantize`."""

    def __init__(self, recipe: str, rows: int, columns: int, parts: Mapping[str, Tensor]) -> None:
        self.rows, self.columns = rows, columns
        self.dtype = parts["scales"].dtype
        self._bits = _BITS.get(recipe)
        self._parts = dict(parts)

    def product(self, inputs: Tensor) -> Tensor:
        return F.linear(inputs, self._restored(self.dtype))

    def exact(self) -> Tensor:
        return self._restored(torch.float32)

    @property
    def nbytes(self) -> int:
        return sum(part.nbytes for part in self._parts.values())

    def _restored(self, dtype: torch.dtype) -> Tensor:
        scales = self._parts["scales"].to(dtype).unsqueeze(1)
        if self._bits is None:
            return self._parts["codes"].to(dtype) * scales
        codes = _unpacked(self._parts["codes"], self._bits)[: self.rows * self.columns]
        grouped = codes.view(scales.shape[0], -1).to(dtype)
        shifts = self._parts["shifts"].to(dtype).unsqueeze(1)
        return (grouped * scales - shifts).view(self.rows, self.columns)


def _usable(scale: Tensor) -> Tensor:
    """Equal weights have no span: any scale restores them."""
    return torch.where(scale == 0, torch.ones_like(scale), scale)


def _library() -> Any:
    try:
        from optimum import quanto
    except ImportError as error:
        raise UnsupportedModel(
            "The quanto recipes need optimum-quanto, which is not installed: type "
            "`pip install optimum-quanto`."
        ) from error
    return quanto


def _packed(codes: Tensor, bits: int) -> Tensor:
    """Codes [count] side by side in bytes, the first in the lowest bits."""
    share = 8 // bits
    lanes = F.pad(codes.to(torch.uint8), (0, -codes.numel() % share)).view(-1, share)
    shifts = torch.arange(0, 8, bits, dtype=torch.uint8)
    packed: Tensor = (lanes << shifts).sum(dim=1).to(torch.uint8)
    return packed


def _unpacked(packed: Tensor, bits: int) -> Tensor:
    shifts = torch.arange(0, 8, bits, dtype=torch.uint8)
    codes: Tensor = (packed.unsqueeze(1) >> shifts) & (2**bits - 1)
    return codes.flatten()

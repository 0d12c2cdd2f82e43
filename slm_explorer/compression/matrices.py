"""Quantized matrices as torch's CPU kernels read them: products, rows, and the exact values.

A matrix is [rows, columns] = [outputs, inputs]. The kernels beat an ordinary product for a few
input rows only, because they restore the weights anew for every few of them; above that, a block
of weights is restored once in the processor's cache and multiplied as usual: 4-bit ones where
oneDNN reads them, if its layout is known (see blocked.py).

The kernels' own limits (torch 2.13, CPU): int8 crashes the process unless the columns divide by
16; int4 wants rows that divide by 16 and columns that divide by the group of 32, 64, 128 or 256.
Both are met here by padding with zeros, so any shape is safe. And only for bf16 inputs are they
written in vector instructions: in float16 and float32 they take 15 to 30 times as long. So products
are computed in bf16, sums in float32, whatever dtype the model around them computes in.
"""

from __future__ import annotations

import threading
from typing import Protocol

import torch
from torch import Tensor
from torch.nn import functional as F

from slm_explorer.compression import blocked
from slm_explorer.compression.cores import multiplies_bf16
from slm_explorer.compression.kernel_order import MIDDLE, find_lanes, pack, unpacked

INT8_COLUMNS = 16
INT4_ROWS = 16
INT4_GROUPS = (128, 64, 32)
# Input rows up to which the kernel is the faster way. Two cores of a Zen 4, 5632 x 2048 in bf16,
# ms: kernel 0.14 a row; restored and multiplied, 64 rows in int8 4.8, and in int4 10 to 11.
_INT8_FEW = 12
_INT4_FEW = 80
# Weights restored at a time: 8 MB in bf16. In smaller pieces the operators wait for each other.
_RESTORED = 2**22
# Two cores of a Zen 4, 3072 x 768, one row, ms: int8 0.06 in bf16, 1.2 in float16, 1.0 in float32;
# int4 0.07, 2.2 and 2.0.
SCALES = torch.bfloat16
"""The dtype of scales and offsets, which the kernels want to be that of the inputs."""
# Restored weights are multiplied in bf16 where the processor has instructions for it.
_RESTORED_DTYPE = torch.bfloat16 if multiplies_bf16() else torch.float32
# The overload itself: finding it anew takes as long as a small product.
_int4_kernel = torch.ops.aten._weight_int4pack_mm_for_cpu.default


class _Scratch:
    """Memory for restored weights, kept: what is given back after every piece is faulted in anew
    for the next, which takes longer than a product of few rows. Use it with `lock`.
    """

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self._kept = torch.empty(0)

    def of(self, numbers: int, dtype: torch.dtype) -> Tensor:
        """So many, whose values are anything."""
        if self._kept.dtype is not dtype or self._kept.numel() < numbers:
            # What is made in inference mode could be written to in no other.
            with torch.inference_mode(False):
                self._kept = torch.empty(numbers, dtype=dtype)
        return self._kept[:numbers]


_scratch = _Scratch()


class Matrix(Protocol):
    """A quantized matrix that can be multiplied. `dtype` is the model's own."""

    rows: int
    columns: int
    dtype: torch.dtype

    def product(self, inputs: Tensor) -> Tensor:
        """`inputs` [count, columns] times the transpose: [count, rows], in the inputs' dtype."""
        ...

    def exact(self) -> Tensor:
        """The weights that the integers stand for, float32 [rows, columns]."""
        ...

    @property
    def nbytes(self) -> int: ...


class Int8Matrix:
    """8-bit integers with a scale a row. `codes` int8 [rows, columns], `scales` [rows]."""

    def __init__(self, codes: Tensor, scales: Tensor, dtype: torch.dtype) -> None:
        self.rows, self.columns = codes.shape
        self.dtype = dtype
        self._pad = -self.columns % INT8_COLUMNS
        self._codes = F.pad(codes, (0, self._pad)) if self._pad else codes
        self._scales = scales.to(SCALES)

    def product(self, inputs: Tensor) -> Tensor:
        if self._pad:
            inputs = F.pad(inputs, (0, self._pad))
        if inputs.shape[0] <= _INT8_FEW:
            few = _as_kernels_read(inputs)
            found: Tensor = torch._weight_int8pack_mm(few, self._codes, self._scales)
            return found if found.dtype is inputs.dtype else found.to(inputs.dtype)
        return self._product_by_blocks(inputs.to(_RESTORED_DTYPE)).to(inputs.dtype)

    def _product_by_blocks(self, inputs: Tensor) -> Tensor:
        width = self._codes.shape[1]
        # Pieces of one size: oneDNN makes a program for each.
        pieces = -(-self.rows * width // _RESTORED)
        step = -(-self.rows // pieces)
        scales = self._scales.to(inputs.dtype)
        result = inputs.new_empty(inputs.shape[0], self.rows)
        with _scratch.lock:
            weights = _scratch.of(step * width, inputs.dtype).view(step, width)
            for start in range(0, self.rows, step):
                rows = slice(start, min(start + step, self.rows))
                piece = weights[: rows.stop - start].copy_(self._codes[rows])
                torch.mul(F.linear(inputs, piece), scales[rows], out=result[:, rows])
        return result

    def take(self, ids: Tensor) -> Tensor:
        """Rows by their numbers: [*ids.shape, columns] in the model's dtype."""
        rows = self._codes[ids][..., : self.columns]
        return rows.to(self.dtype) * self._scales[ids].unsqueeze(-1).to(self.dtype)

    def exact(self) -> Tensor:
        return self._codes[:, : self.columns].float() * self._scales.float().unsqueeze(1)

    @property
    def nbytes(self) -> int:
        return self._codes.nbytes + self._scales.nbytes

    @staticmethod
    def beside(parts: list[Int8Matrix]) -> Int8Matrix:
        """One matrix with the rows of all; their columns must be as many."""
        codes = torch.cat([part._codes[:, : part.columns] for part in parts])
        return Int8Matrix(codes, torch.cat([part._scales for part in parts]), parts[0].dtype)


class Int4Matrix:
    """4-bit integers with a scale and an offset a group, packed for the kernel of this processor.

    `codes` uint8 [rows, columns / 2], two a byte, the even column in the low half; `scales` and
    `zeros` [rows, columns / group]. `columns` may be fewer than the codes have: the rest is
    padding.
    """

    def __init__(
        self,
        codes: Tensor,
        scales: Tensor,
        zeros: Tensor,
        dtype: torch.dtype,
        columns: int | None = None,
    ) -> None:
        self.rows = codes.shape[0]
        self._width = codes.shape[1] * 2
        self.columns = self._width if columns is None else columns
        self.dtype = dtype
        self._group = self._width // scales.shape[1]
        self._lanes = find_lanes()
        padding = -self.rows % INT4_ROWS
        self._packed = pack(F.pad(codes, (0, 0, 0, padding)) if padding else codes, self._lanes)
        both = torch.stack((scales, zeros), dim=-1).to(SCALES)
        both = F.pad(both, (0, 0, 0, 0, 0, padding)) if padding else both
        self._scales_and_zeros = both.transpose(0, 1).contiguous()

    def product(self, inputs: Tensor) -> Tensor:
        if self._width != self.columns:
            inputs = F.pad(inputs, (0, self._width - self.columns))
        if inputs.shape[0] <= _INT4_FEW or self._lanes is None:
            few = _as_kernels_read(inputs)
            result: Tensor = _int4_kernel(few, self._packed, self._group, self._scales_and_zeros)
        else:
            many = inputs.to(_RESTORED_DTYPE)
            placed = self._product_in_place(many)
            result = self._product_by_blocks(many, self._lanes) if placed is None else placed
        if result.dtype is not inputs.dtype:
            result = result.to(inputs.dtype)
        return result if self.rows == self._packed.shape[0] else result[:, : self.rows]

    def _product_in_place(self, inputs: Tensor) -> Tensor | None:
        """With weights restored where oneDNN reads them; None where its layout is not known."""
        padded, width = self._packed.shape[0], self._width
        if self._lanes != blocked.BLOCK or padded % blocked.BLOCK:
            return None
        blocks = padded // blocked.BLOCK
        # Pieces of one size: the last may restore again what the one before it did.
        pieces = -(-padded * width // _RESTORED)
        step = -(-blocks // pieces) * blocked.BLOCK
        room = blocked.rooms.of(step, width)
        if room is None:
            return None
        inputs = inputs.contiguous()
        if step == padded:
            return self._in_room(room, slice(0, padded), inputs)
        result = inputs.new_empty(inputs.shape[0], padded)
        for start in range(0, padded, step):
            rows = slice(min(start, padded - step), min(start + step, padded))
            result[:, rows] = self._in_room(room, rows, inputs)
        return result

    def _in_room(self, room: blocked.Room, rows: slice, inputs: Tensor) -> Tensor:
        packed = self._packed[rows].view(-1, self._width, blocked.BLOCK // 2)
        scales, zeros = self._scales_and_zeros[:, rows].unbind(-1)
        with room.lock:
            blocked.restore(packed, scales, zeros, room)
            return room.product(inputs)

    def _product_by_blocks(self, inputs: Tensor, lanes: int) -> Tensor:
        count, padded, half = inputs.shape[0], self._packed.shape[0], lanes // 2
        full = padded // lanes * lanes
        result = inputs.new_empty(count, padded)
        step = min(full, max(1, _RESTORED // (self._width * lanes)) * lanes)
        codes = torch.empty(step * self._width, dtype=torch.uint8)
        weights = inputs.new_empty(step * self._width)
        for start in range(0, full, step or 1):
            rows = slice(start, min(full, start + step))
            found = torch.matmul(inputs, self._halves(rows, lanes, codes, weights))
            found = found.view(2, count, -1, half).permute(1, 2, 0, 3)
            result[:, rows].view(count, -1, 2, half).copy_(found)
        if full < padded:
            result[:, full:] = inputs @ self._restored(full, padded, lanes, inputs.dtype)
        return result

    def _halves(self, rows: slice, lanes: int, codes: Tensor, weights: Tensor) -> Tensor:
        """The weights of `rows` (whole packed blocks) as [2, width, half of the rows]: the first
        halves of the blocks, then the second ones, as they lie in the bytes. Operators that go
        through memory in one line are several times as fast as those that interleave. `codes`
        and `weights` are room for one of each, used again for the next block.
        """
        blocks = self._packed[rows].view(-1, self._width, lanes // 2)
        turned = blocks.transpose(0, 1).reshape(self._width, -1)
        shape = (2, *turned.shape)
        codes = codes[: 2 * turned.numel()].view(shape)
        codes.copy_(turned)
        # Eight codes at a time; what is shifted into a code from its neighbour is masked.
        eights = codes.view(torch.int64)
        eights[1] >>= 4
        eights &= 0x0F0F0F0F0F0F0F0F
        weights = weights[: codes.numel()].view(shape)
        weights.copy_(codes.sub_(MIDDLE).view(torch.int8))
        grouped = weights.view(2, -1, self._group, weights.shape[-1])
        both = self._scales_and_zeros[:, rows].to(weights.dtype)
        both = both.view(both.shape[0], -1, 2, lanes // 2, 2).permute(4, 2, 0, 1, 3)
        scales, zeros = both.reshape(2, 2, both.shape[2], 1, -1)
        torch.addcmul(zeros, grouped, scales, out=grouped)
        return weights

    def _restored(self, start: int, end: int, lanes: int, dtype: torch.dtype) -> Tensor:
        """Rows `start` to `end` (`start` a multiple of `lanes`) as [width, end - start]."""
        codes = unpacked(self._packed, start, end, lanes).sub_(MIDDLE).view(torch.int8)
        weights = codes.to(dtype).view(-1, self._group, end - start)
        both = self._scales_and_zeros[:, start:end].to(dtype)
        scales, zeros = both[:, None, :, 0].contiguous(), both[:, None, :, 1].contiguous()
        return torch.addcmul(zeros, weights, scales, out=weights).view(self._width, end - start)

    def exact(self) -> Tensor:
        padded = self._packed.shape[0]
        if self._lanes is not None:
            turned = self._restored(0, padded, self._lanes, torch.float32)
        else:
            # A processor whose packing is not known here: multiplying by one is exact.
            turned = _int4_kernel(
                torch.eye(self._width),
                self._packed,
                self._group,
                self._scales_and_zeros.float(),
            )
        return turned.t()[: self.rows, : self.columns].contiguous()

    @property
    def nbytes(self) -> int:
        return self._packed.nbytes + self._scales_and_zeros.nbytes

    @staticmethod
    def beside(parts: list[Int4Matrix]) -> Int4Matrix | None:
        """One matrix with the rows of all, or None where their groups differ, or where rows
        that were padded would come between.
        """
        first = parts[0]
        alike = all(
            (part._group, part._width, part.columns) == (first._group, first._width, first.columns)
            for part in parts
        )
        whole = first._lanes is not None and all(
            part.rows % first._lanes == 0 for part in parts[:-1]
        )
        if not alike or not whole:
            return None
        joined = object.__new__(Int4Matrix)
        joined.rows = sum(part.rows for part in parts)
        joined.columns, joined.dtype = first.columns, first.dtype
        joined._width, joined._group, joined._lanes = first._width, first._group, first._lanes
        joined._packed = torch.cat([part._packed for part in parts])
        joined._scales_and_zeros = torch.cat([part._scales_and_zeros for part in parts], dim=1)
        return joined


def _as_kernels_read(inputs: Tensor) -> Tensor:
    """In the kernels' dtype, with rows side by side in memory: they read them as if they were.
    Asking first is worth it: a conversion to what a tensor is already costs a microsecond.
    """
    if inputs.dtype is not SCALES:
        inputs = inputs.to(SCALES)
    return inputs if inputs.is_contiguous() else inputs.contiguous()


def pair_codes(codes: Tensor) -> Tensor:
    """Two 4-bit codes a byte: [rows, columns] to [rows, columns / 2]."""
    return codes[:, 0::2] | (codes[:, 1::2] << 4)

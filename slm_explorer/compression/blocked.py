"""4-bit weights restored straight into the layout in which oneDNN multiplies bf16.

An ordinary product first brings its weights into that layout, and one whose columns come in
another order has its result put right afterwards; neither is needed for weights that are written
where they belong. What torch's oneDNN tensors look like inside is no promise of torch's, so the
layout is looked at for every shape before it is used.
"""

from __future__ import annotations

import ctypes
import threading
from collections import OrderedDict

import torch
from torch import Tensor

from slm_explorer.compression.cores import multiplies_bf16
from slm_explorer.compression.kernel_order import MIDDLE

BLOCK = 64
"""Rows of a block, in this layout and in that of the 4-bit kernel with AVX-512."""
_HALF = BLOCK // 2
_LOW_HALVES = 0x0F0F0F0F0F0F0F0F
# Of rooms that are kept: room for the shapes of one layer, in pieces where they are large.
_KEPT_BYTES = 48 * 2**20


class Room:
    """Room for bf16 weights [rows, columns] in oneDNN's layout: for every 64 rows, for every two
    columns, the rows one after another, each with its two values. `weights` is all of it in one
    line; one thread at a time may use it, with `lock`. ValueError where the layout is another one.
    """

    def __init__(self, rows: int, columns: int) -> None:
        # Neighbours differ in their bits, which are copied as they are.
        numbers = torch.arange(rows * columns, dtype=torch.int32).to(torch.int16)
        numbers = numbers.view(rows, columns)
        self._opaque = torch.ops.mkldnn._reorder_linear_weight(numbers.view(torch.bfloat16), 1)
        self.nbytes = torch.ops.mkldnn._nbytes(self._opaque)
        if rows % BLOCK or columns % 2 or self.nbytes != numbers.nbytes:
            raise ValueError(f"oneDNN pads {rows} x {columns} weights")
        memory = ctypes.c_char * self.nbytes
        place = torch.ops.mkldnn.data_ptr(self._opaque)
        self.weights = torch.frombuffer(memory.from_address(place), dtype=torch.bfloat16)
        expected = numbers.view(-1, BLOCK, columns // 2, 2).transpose(1, 2)
        if not torch.equal(self.weights.view(torch.int16).view(expected.shape), expected):
            raise ValueError(f"oneDNN lays {rows} x {columns} weights out in another way")
        self.lock = threading.Lock()

    def product(self, inputs: Tensor) -> Tensor:
        """`inputs` bf16 [count, columns] times the transpose: [count, rows]."""
        found: Tensor = torch.ops.mkldnn._linear_pointwise(
            inputs, self._opaque, None, "none", [], ""
        )
        return found


class Rooms:
    """The rooms used last; of a shape whose layout is another one, only that."""

    def __init__(self, max_bytes: int) -> None:
        self._max_bytes = max_bytes
        self._lock = threading.Lock()
        self._kept: OrderedDict[tuple[int, int], Room | None] = OrderedDict()

    def of(self, rows: int, columns: int) -> Room | None:
        """Room for this shape, kept for the next product, or None: without bf16 instructions or
        another layout than the known one.
        """
        if rows % BLOCK or not multiplies_bf16() or not hasattr(torch.ops.mkldnn, "data_ptr"):
            return None
        shape = rows, columns
        with self._lock:
            if shape not in self._kept:
                self._kept[shape] = _room(rows, columns)
            self._kept.move_to_end(shape)
            while self.nbytes > self._max_bytes and len(self._kept) > 1:
                self._kept.popitem(last=False)
            return self._kept[shape]

    @property
    def nbytes(self) -> int:
        return sum(room.nbytes for room in self._kept.values() if room is not None)


def _room(rows: int, columns: int) -> Room | None:
    try:
        # What is made in inference mode could be written to in no other.
        with torch.inference_mode(False):
            return Room(rows, columns)
    except ValueError:
        return None


rooms = Rooms(_KEPT_BYTES)


def restore(packed: Tensor, scales: Tensor, zeros: Tensor, room: Room) -> None:
    """Write the weights that 4-bit codes stand for into the room.

    `packed` uint8 [blocks, columns, 32] as the kernel reads it with AVX-512: row j of a block in
    the low half of a byte, row j + 32 in the high half. `scales` and `zeros` bf16 [groups, rows].
    """
    blocks, columns, _ = packed.shape
    groups = scales.shape[0]
    pairs = packed.view(blocks, columns // 2, 2, _HALF)
    # Two columns of a row side by side in 16 bits; then eight codes at a time.
    beside = pairs[:, :, 0].to(torch.int16)
    beside |= pairs[:, :, 1].to(torch.int16).bitwise_left_shift_(8)
    four = beside.view(torch.int64)
    codes = torch.empty(blocks, columns // 2, 2, 2 * _HALF, dtype=torch.uint8)
    low, high = codes.view(torch.int64).unbind(2)
    torch.bitwise_and(four, _LOW_HALVES, out=low)
    # What is shifted into a code from its neighbour is masked.
    torch.bitwise_right_shift(four, 4, out=high).bitwise_and_(_LOW_HALVES)
    weights = room.weights.view(blocks, groups, -1, 2 * BLOCK)
    weights.copy_(codes.sub_(MIDDLE).view(torch.int8).view(weights.shape))
    torch.addcmul(_twice(zeros, blocks), weights, _twice(scales, blocks), out=weights)


def _twice(by_row: Tensor, blocks: int) -> Tensor:
    """[groups, rows] as [blocks, groups, 1, 128]: a row's value for both of its columns."""
    # Both halves of 32 bits at once: a copy of two at a time takes ten times as long.
    pairs = by_row.view(torch.int16).to(torch.int32).bitwise_and_(0xFFFF).mul_(0x10001)
    return pairs.view(torch.bfloat16).view(-1, blocks, 1, 2 * BLOCK).transpose(0, 1)

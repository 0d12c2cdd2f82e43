"""The order in which torch's 4-bit kernel reads codes on this processor, written and read back."""

from __future__ import annotations

import torch
from torch import Tensor

from slm_explorer.compression.cores import on_all_cores

MIDDLE = 8
"""The 4-bit code that stands for a group's offset alone."""
# Codes packed at a time by one core: in its cache.
_BLOCK = 2**19


def pack(pairs: Tensor, lanes: int | None) -> Tensor:
    """The kernel's own order. Full blocks are put together here, which is three times as fast as
    torch's conversion from 4 bytes a code; that one does the rest.
    """
    rows, half = pairs.shape
    packed = torch.empty(rows, half, dtype=torch.uint8)
    unit = lanes or 64
    step = max(1, _BLOCK // (2 * half * unit)) * unit

    def work(start: int) -> None:
        end = min(rows, start + step)
        full = 0 if lanes is None else (end - start) // lanes * lanes
        codes = torch.stack((pairs[start:end] & 15, pairs[start:end] >> 4), dim=-1).flatten(1)
        if full and lanes is not None:
            blocks = codes[:full].view(full // lanes, 2, lanes // 2, 2 * half)
            joined = blocks[:, 0] | (blocks[:, 1] << 4)
            target = packed[start : start + full].view(full // lanes, 2 * half, lanes // 2)
            target.copy_(joined.transpose(1, 2))
        if start + full < end:
            packed[start + full : end] = torch.ops.aten._convert_weight_to_int4pack_for_cpu(
                codes[full:].int(), 1
            )

    on_all_cores(work, range(0, rows, step))
    return packed


def unpacked(packed: Tensor, start: int, end: int, lanes: int) -> Tensor:
    """Codes of rows `start` to `end` as uint8 [width, end - start], columns first.

    A full block of `lanes` rows lies column by column, row j beside row j + lanes/2 in a byte;
    the rows after the last full block lie column by column too, neighbours in a byte.
    """
    half = packed.shape[1]
    width, full = 2 * half, (end - start) // lanes * lanes
    codes = torch.empty(width, end - start, dtype=torch.uint8)
    if full:
        blocks = packed[start : start + full].view(full // lanes, width, lanes // 2)
        turned = blocks.transpose(0, 1).contiguous()
        inside = codes[:, :full].view(width, full // lanes, 2, lanes // 2)
        torch.bitwise_and(turned, 15, out=inside[:, :, 0])
        torch.bitwise_right_shift(turned, 4, out=inside[:, :, 1])
    if full < end - start:
        rest = packed[start + full : end].reshape(width, (end - start - full) // 2)
        codes[:, full:] = torch.stack((rest & 15, rest >> 4), dim=-1).flatten(1)
    return codes


def find_lanes() -> int | None:
    """Rows of a packed block on this processor: 64 with AVX-512, 32 with AVX2, None where the
    order is another one. Found by packing a small matrix and reading it back.
    """
    codes = (torch.arange(80 * 32, dtype=torch.int32) * 7 % 16).view(80, 32)
    packed = torch.ops.aten._convert_weight_to_int4pack_for_cpu(codes, 1)
    for lanes in (64, 32):
        if torch.equal(unpacked(packed, 0, 80, lanes).t().int(), codes):
            return lanes
    return None

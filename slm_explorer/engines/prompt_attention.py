"""Causal attention over a long prompt on a CPU, as fast as its products can be.

torch's own attention multiplies bf16 in float32 arithmetic there. Here some queries at a time are
multiplied with all keys up to the last one's by oneDNN, in bf16 with float32 sums. The softmax is
in float32, and the shares it gives are rounded to bf16 before they meet the values, as torch's are.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor

from slm_explorer.compression.cores import multiplies_bf16

LONG = 320
"""Queries from which on this is the faster way."""
_STRETCH = 128
# Scores at a time, 4 MB: they stay in the processor's caches.
_SCORES = 2**20


def faster(queries: Tensor) -> bool:
    """Whether `attend` is the faster way for these queries, [tokens, heads, width]."""
    return (
        queries.shape[0] >= LONG
        and queries.dtype is torch.bfloat16
        and queries.device.type == "cpu"
        and multiplies_bf16()
        # Since torch 2.9.
        and hasattr(torch.backends.mkldnn, "matmul")
    )


def attend(queries: Tensor, keys: Tensor, values: Tensor, scale: float) -> Tensor:
    """Each token's attention to itself and those before it: [tokens, heads, width]. `queries`
    [tokens, heads, width], `keys` and `values` [KV heads, tokens, width], all bf16.
    """
    count, heads, width = queries.shape
    kv_heads = keys.shape[0]
    group = heads // kv_heads
    # The queries of a KV head are rows of one product, those of a token beside one another.
    rows = queries.view(count, kv_heads, group, width).transpose(0, 1)
    mixed = queries.new_empty(kv_heads, count * group, width)
    at_once = min(kv_heads, max(1, _SCORES // (_STRETCH * group * count)))
    room = torch.empty(at_once * _STRETCH * group * count)
    rounded = torch.empty_like(room, dtype=queries.dtype)
    later = torch.full((_STRETCH, _STRETCH), float("-inf")).triu_(1).unsqueeze(1)
    for first in range(0, kv_heads, at_once):
        some = slice(first, min(kv_heads, first + at_once))
        parts = some.stop - first
        asking = rows[some].float().reshape(parts, count * group, width)
        asked = keys[some].float().transpose(1, 2)
        for start in range(0, count, _STRETCH):
            end = min(count, start + _STRETCH)
            own, here = end - start, slice(start * group, end * group)
            shape = parts, own * group, end
            scores, shares = (each[: math.prod(shape)].view(shape) for each in (room, rounded))
            with _bf16_products():
                torch.baddbmm(
                    scores, asking[:, here], asked[..., :end], beta=0, alpha=scale, out=scores
                )
            scores.view(parts, own, group, end)[..., start:] += later[:own, :, :own]
            shares.copy_(torch.softmax(scores, -1, out=scores))
            torch.bmm(shares, values[some, :end], out=mixed[some, here])
    return mixed.view(kv_heads, count, group, width).transpose(0, 1).reshape(queries.shape)


@contextmanager
def _bf16_products() -> Iterator[None]:
    """Products of float32 by bf16 instructions: exact for numbers that were bf16 before."""
    matmul = torch.backends.mkldnn.matmul  # type: ignore[attr-defined]
    before = matmul.fp32_precision
    matmul.fp32_precision = "bf16"
    try:
        yield
    finally:
        matmul.fp32_precision = before

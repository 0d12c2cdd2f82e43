"""Work spread over the processor's cores by pieces, instead of operator by operator."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

import torch

Result = TypeVar("Result")


def on_all_cores(work: Callable[[int], Result], starts: Sequence[int]) -> list[Result]:
    """`work` on each start, in order; as many at a time as torch may use threads.

    Small operators that each ask all cores wait for one another more than they compute, most
    of all where other processes want the cores too.
    """
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        if len(starts) <= 1 or threads == 1:
            return [work(start) for start in starts]
        with ThreadPoolExecutor(threads) as pool:
            return list(pool.map(work, starts))
    finally:
        torch.set_num_threads(threads)


def multiplies_bf16() -> bool:
    """Whether oneDNN has bf16 instructions on this processor."""
    return torch.backends.mkldnn.is_available() and bool(  # type: ignore[no-untyped-call]
        torch.ops.mkldnn._is_mkldnn_bf16_supported()
    )

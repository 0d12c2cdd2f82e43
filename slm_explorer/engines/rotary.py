"""Rotary position embeddings (Su et al. 2021, arXiv:2104.09864) in few operators, with the bits of
transformers: the halves change places as a roll does, and one of them is negated in the
sines, once for all layers.
"""

from __future__ import annotations

import inspect
import sys
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

_POSITIONS = 512
_NAME = "apply_rotary_pos_emb"
_WORDS = ["q", "k", "cos", "sin", "unsqueeze_dim"]

Turn = Callable[..., tuple[Tensor, Tensor]]


class RotaryTables:
    """Cosines and signed sines by position, from a model's own rotary module, so that its scaling
    is its own. `width` is that of a head.
    """

    def __init__(self, rotary: Any, width: int, dtype: torch.dtype) -> None:
        self._rotary, self._half, self._dtype = rotary, width // 2, dtype
        self._cosines, self._sines = self._tables(_POSITIONS)

    def of(self, start: int, end: int) -> tuple[Tensor, Tensor]:
        """Both [tokens, 1, head width] of the positions from `start` to before `end`."""
        if end > self._cosines.shape[0]:
            self._cosines, self._sines = self._tables(max(end, 2 * self._cosines.shape[0]))
        return self._cosines[start:end], self._sines[start:end]

    def of_each(self, positions: Sequence[int]) -> tuple[Tensor, Tensor]:
        """The same for positions that do not follow one another."""
        if len(positions) == 1:
            return self.of(positions[0], positions[0] + 1)
        self.of(0, max(positions) + 1)
        chosen = torch.tensor(positions)
        return self._cosines[chosen], self._sines[chosen]

    @torch.inference_mode()
    def _tables(self, positions: int) -> tuple[Tensor, Tensor]:
        cosines, sines = self._rotary(
            torch.empty(1, dtype=self._dtype), torch.arange(positions).unsqueeze(0)
        )
        return cosines[0].unsqueeze(1), _signed(sines[0], self._half).unsqueeze(1)


def _signed(sines: Tensor, half: int) -> Tensor:
    return torch.cat((-sines[..., :half], sines[..., half:]), dim=-1)


class _TurnOne:
    """Stands where the function stood by which a model of transformers turns queries and keys, and
    asks it for everything but one token. Most modules have the same one, word for word.
    """

    def __init__(self, whole: Turn) -> None:
        self.whole = whole
        self._given: Tensor | None = None
        self._cosines = self._sines = torch.empty(0)

    def __call__(
        self, q: Tensor, k: Tensor, cos: Tensor, sin: Tensor, unsqueeze_dim: int = 1
    ) -> tuple[Tensor, Tensor]:
        width = q.shape[-1]
        alike = cos.shape[-1] == width and cos.dtype is q.dtype
        if q.shape[-2] != 1 or unsqueeze_dim != 1 or not alike:
            return self.whole(q, k, cos, sin, unsqueeze_dim)
        half = width // 2
        if self._given is not sin:
            # The tensor itself is kept, not its id, which another could be given meanwhile.
            self._given = sin
            self._cosines = cos.unsqueeze(1)
            self._sines = _signed(sin, half).unsqueeze(1)
        cosines, sines = self._cosines, self._sines
        return (
            q * cosines + q.roll(half, -1) * sines,
            k * cosines + k.roll(half, -1) * sines,
        )


def turn_one_token_faster(model: Any) -> None:
    """Replace the function in the module of this model, if it gives the same bits on a probe."""
    module = sys.modules[type(model).__module__]
    whole = getattr(module, _NAME, None)
    if whole is None or isinstance(whole, _TurnOne):
        return
    if list(inspect.signature(whole).parameters) != _WORDS:
        return
    faster = _TurnOne(whole)
    draw = torch.Generator().manual_seed(0)
    queries, keys = (torch.randn(1, n, 1, 16, generator=draw).bfloat16() for n in (4, 2))
    cosines, sines = (torch.randn(1, 1, 16, generator=draw).bfloat16() for _ in range(2))
    with torch.inference_mode():
        ours = faster(queries, keys, cosines, sines)
        pairs = zip(ours, whole(queries, keys, cosines, sines), strict=True)
        if all(torch.equal(one, other) for one, other in pairs):
            setattr(module, _NAME, faster)

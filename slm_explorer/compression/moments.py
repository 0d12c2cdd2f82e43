"""What passes through a model's matrices on a text: the second moments of their inputs, which say
how much an error in one weight can be made up for by the others of its row.

Decoders read what they have written themselves, so that no text is needed; other models read
the one they are given.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from slm_explorer.compression.calibration import Cancel, read, reads_left_to_right, windows_of
from slm_explorer.compression.training_text import can_begin, parents_text
from slm_explorer.engines.checkpoint import LoadedModel, load_model
from slm_explorer.types import ModelSpec

# A model reads so many rows of so many tokens that it has written; large ones fewer and shorter.
_ROWS, _WINDOW = 64, 256
_LARGE_ROWS, _LARGE_WINDOW = 32, 128
_LARGE_PARAMETERS = 100_000_000
_ROWS_AT_A_TIME = 8
# Where its texts end before the rows do it writes more of them, until they are this full.
_ENOUGH, _MOST_PARTS = 0.75, 6
# Moments held at a time: a model of which more would be needed reads its text several times.
_HELD_BYTES = 2**29


class InputMoments:
    """Mean products of the inputs of the matrices `places` (a stored tensor's name to its
    module's path), asked for in that order. `text` None: the model's own, or `sample` for one
    that writes none. `.text` says what was read.
    """

    def __init__(
        self,
        source: Path,
        places: Mapping[str, str],
        text: str | None,
        sample: str,
        tell: Callable[[float], None],
        cancelled: Cancel,
    ) -> None:
        spec = ModelSpec(model=source.name, path=str(source), threads=torch.get_num_threads())
        self._loaded = load_model(spec, lambda _fraction, _stage: None)
        self._cancelled = cancelled
        modules = dict(self._loaded.model.named_modules())
        self._waiting = {name: modules[path] for name, path in places.items() if path in modules}
        self._held: dict[str, Tensor] = {}
        self._batches, self.text = self._texts(text, sample, tell)
        self._counted: Tensor | None = None

    def of(self, name: str) -> Tensor | None:
        """[inputs, inputs] float32; None for a tensor whose module was not found."""
        if name in self._waiting:
            self._read_for(self._next(name))
        return self._held.pop(name, None)

    def _next(self, name: str) -> dict[str, nn.Module]:
        """`name` and those after it whose moments may be held together."""
        chosen: dict[str, nn.Module] = {}
        room = _HELD_BYTES
        for each in list(self._waiting)[list(self._waiting).index(name) :]:
            room -= 4 * _inputs(self._waiting[each]) ** 2
            if chosen and room < 0:
                break
            chosen[each] = self._waiting[each]
        for each in chosen:
            del self._waiting[each]
        return chosen

    def _read_for(self, chosen: Mapping[str, nn.Module]) -> None:
        sums = {name: torch.zeros(_inputs(m), _inputs(m)) for name, m in chosen.items()}
        rows = dict.fromkeys(chosen, 0)

        def hook(name: str) -> Callable[[nn.Module, tuple[Tensor, ...]], None]:
            def add(_module: nn.Module, args: tuple[Tensor, ...]) -> None:
                inputs = args[0].reshape(-1, sums[name].shape[0]).float()
                if self._counted is not None:
                    inputs = inputs[self._counted]
                sums[name].addmm_(inputs.t(), inputs)
                rows[name] += inputs.shape[0]

            return add

        hooks = [module.register_forward_pre_hook(hook(name)) for name, module in chosen.items()]
        try:
            for batch in self._batches:
                self._counted = batch.counted
                read(self._loaded.model, batch.ids, self._cancelled)
        finally:
            for each in hooks:
                each.remove()
        self._held |= {name: total / rows[name] for name, total in sums.items() if rows[name]}

    def _texts(
        self, text: str | None, sample: str, tell: Callable[[float], None]
    ) -> tuple[Sequence[_Batch], str]:
        writes = reads_left_to_right(self._loaded.model) and can_begin(self._loaded)
        if text is None and writes:
            return _own_text(self._loaded, tell, self._cancelled)
        windows = windows_of(self._loaded, sample if text is None else text)
        tokens = sum(window.numel() for window in windows)
        whose = "a shipped sample" if text is None else "the text that was given"
        return [_Batch(window, None) for window in windows], f"{whose}, {tokens:,} tokens"


@dataclass(frozen=True)
class _Batch:
    """Tokens [rows, tokens] read at a time; `counted` bool [rows x tokens], None: all of them."""

    ids: Tensor
    counted: Tensor | None


def _own_text(
    loaded: LoadedModel, tell: Callable[[float], None], cancelled: Cancel
) -> tuple[list[_Batch], str]:
    """What stands after the end of a text is not counted: the model has not learnt what to make of
    it, and where its texts are short it would be most of what it reads.
    """
    large = loaded.info.parameters > _LARGE_PARAMETERS
    rows, window = (_LARGE_ROWS, _LARGE_WINDOW) if large else (_ROWS, _WINDOW)
    torch.manual_seed(0)
    batches: list[_Batch] = []
    tokens = 0
    for part in range(_MOST_PARTS):
        with torch.inference_mode():
            written = parents_text(
                loaded, rows, window, lambda: False, cancelled, lambda _done: None
            )
        batches += [
            _Batch(ids, _counted(learnt))
            for ids, learnt in zip(
                torch.split(written.ids, _ROWS_AT_A_TIME),
                torch.split(written.learnt, _ROWS_AT_A_TIME),
                strict=True,
            )
        ]
        tokens += written.tokens
        tell(min(1.0, max(tokens / (rows * window), (part + 1) / _MOST_PARTS)))
        if tokens >= _ENOUGH * rows * window:
            break
    return batches, f"text that it wrote itself, {tokens:,} tokens"


def _counted(learnt: Tensor) -> Tensor:
    """The tokens that the model wrote, and those before them, as every text begins."""
    begins = learnt.cumsum(dim=1) == 0
    return (learnt | begins).flatten()


def _inputs(module: Any) -> int:
    """A Conv1D stores [inputs, outputs]."""
    return int(module.in_features if hasattr(module, "in_features") else module.weight.shape[0])

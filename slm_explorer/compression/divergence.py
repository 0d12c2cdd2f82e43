"""How far has a child strayed from its parent? Both read the same tokens in one process."""

from __future__ import annotations

import random
import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from slm_explorer.compression.outputs import answer, measure_of, questions
from slm_explorer.compression.recipes import Divergence
from slm_explorer.engines.checkpoint import LoadedModel, load_model
from slm_explorer.engines.decoder import Decoder
from slm_explorer.engines.lean import lean_decoder
from slm_explorer.engines.lighter import light_decoder
from slm_explorer.engines.scoring import score_text
from slm_explorer.errors import Cancelled, InvalidRequest
from slm_explorer.types import Done, ModelSpec, ScoreRequest, ScoreStats, ScoreWindow

_ROWS = 128
_RESAMPLES = 1000


def compare(
    parent: Path,
    child: Path,
    text: str,
    *,
    window: int,
    threads: int,
    report: Callable[[float], None],
    stop: threading.Event,
) -> Divergence:
    """Load both folders and read `text` with both, window by window. `measure` of the result says
    what was predicted: next tokens, or what outputs.measure_of names.

    KL is of the parent's next-token distribution from the child's, in nats; intervals are 95 %
    percentile bootstraps over windows (1,000 resamples, fixed seed), None for a single window.
    Raises InvalidRequest where their tokenizers differ, and what loading raises; Cancelled.
    """
    models = [_loaded(folder, threads) for folder in (parent, child)]
    measure = measure_of(models[0])
    if measure is not None:
        return _compare_outputs(models, text, window, measure, report, stop)
    sides = [(loaded, _remembering(loaded)) for loaded in models]
    request = ScoreRequest(id="compare", visitor="lab", text=text, window=window)
    ids = [loaded.tokenizer and loaded.tokenizer(text).input_ids for loaded, _ in sides]
    if ids[0] != ids[1]:
        raise InvalidRequest("The two models read text as different tokens: compare bits per byte.")
    runs = [score_text(loaded, decoder, request, stop) for loaded, decoder in sides]
    distances: list[tuple[int, float, int]] = []
    found: list[ScoreStats] = []
    for events in zip(*runs, strict=True):
        for event in events:
            if isinstance(event, Done):
                assert isinstance(event.stats, ScoreStats)
                found.append(event.stats)
        if not found:
            first, second = (decoder.last for _, decoder in sides)
            assert first is not None
            assert second is not None
            distances.append(_distance(first, second))
            report(events[0].fraction if not isinstance(events[0], Done) else 1.0)
    before, after = (stats.windows for stats in found)
    return Divergence(
        before=before,
        after=after,
        kl=_mean(distances, 1),
        kl_interval=_interval(distances, 1),
        top1_agreement=_mean(distances, 2),
        top1_interval=_interval(distances, 2),
    )


class _Remembering:
    """A decoder that keeps the logits it gave last."""

    def __init__(self, decoder: Decoder) -> None:
        self._decoder = decoder
        self.last: Tensor | None = None

    def last_logits(self, ids: Tensor, cache: Any) -> Tensor:
        return self._decoder.last_logits(ids, cache)

    def all_logits(self, ids: Tensor) -> Tensor:
        self.last = self._decoder.all_logits(ids)
        return self.last


def _compare_outputs(
    models: Sequence[LoadedModel],
    text: str,
    window: int,
    measure: str,
    report: Callable[[float], None],
    stop: threading.Event,
) -> Divergence:
    """The same for models that predict no next token. Without targets there are no windows."""
    distances: list[tuple[int, float, int]] = []
    windows: tuple[list[ScoreWindow], list[ScoreWindow]] = ([], [])
    for done, question in questions(models[0], text, window):
        if stop.is_set():
            raise Cancelled("The measurement was stopped.")
        first, second = (answer(loaded, question) for loaded in models)
        distances.append(_distance(first, second))
        for scored, logits in zip(windows, (first, second), strict=True):
            if question.targets:
                wanted = torch.tensor(question.targets)
                nll = torch.nn.functional.cross_entropy(logits, wanted, reduction="sum")
                scored.append(ScoreWindow(len(wanted), question.bytes, float(nll)))
        report(done)
    return Divergence(
        before=tuple(windows[0]),
        after=tuple(windows[1]),
        kl=_mean(distances, 1),
        kl_interval=_interval(distances, 1),
        top1_agreement=_mean(distances, 2),
        top1_interval=_interval(distances, 2),
        measure=measure,
    )


def _loaded(folder: Path, threads: int) -> LoadedModel:
    spec = ModelSpec(model=folder.name, path=str(folder), threads=threads)
    return load_model(spec, lambda _fraction, _stage: None)


def _remembering(loaded: LoadedModel) -> _Remembering:
    return _Remembering(lean_decoder(loaded.model) or light_decoder(loaded.model))


@torch.inference_mode()
def _distance(parent: Tensor, child: Tensor) -> tuple[int, float, int]:
    """Tokens, the sum of their KL in nats, and how many have the same likeliest next token."""
    total, same = 0.0, 0
    for at in range(0, parent.shape[0], _ROWS):
        first = parent[at : at + _ROWS].float().log_softmax(dim=-1)
        second = child[at : at + _ROWS].float().log_softmax(dim=-1)
        total += float((first.exp() * (first - second)).sum())
        same += int((first.argmax(dim=-1) == second.argmax(dim=-1)).sum())
    return parent.shape[0], total, same


def _mean(windows: Sequence[tuple[int, float, int]], field: int) -> float:
    return sum(each[field] for each in windows) / sum(each[0] for each in windows)


def _interval(windows: Sequence[tuple[int, float, int]], field: int) -> tuple[float, float] | None:
    if len(windows) < 2:
        return None
    draw = random.Random(0)
    values = sorted(_mean(draw.choices(windows, k=len(windows)), field) for _ in range(_RESAMPLES))
    return values[int(0.025 * _RESAMPLES)], values[int(0.975 * _RESAMPLES) - 1]

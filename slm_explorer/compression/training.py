"""Training a student on its parent's text: one loop for distillation and for healing.

The student is trained in float32 (products in bfloat16 where the processor has them) with AdamW
(Loshchilov and Hutter 2017, arXiv 1711.05101).
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from slm_explorer.compression.distillation import (
    Batch,
    Losses,
    Sums,
    losses,
    masked_tokens,
    next_tokens,
)
from slm_explorer.compression.structure import save_checkpoint
from slm_explorer.compression.training_budget import (
    batch_rows,
    fast_bf16,
    highest_rate,
    rate_share,
    rows_at_once,
)
from slm_explorer.compression.training_pair import Pair, load_pair
from slm_explorer.compression.training_plan import (
    Ending,
    TrainingControl,
    TrainingPlan,
    TrainingPoint,
    TrainingSummary,
)
from slm_explorer.compression.training_text import (
    TrainingText,
    continuation,
    parents_text,
    user_text,
)
from slm_explorer.engines.folder import weight_files
from slm_explorer.engines.weights import StoredWeights
from slm_explorer.errors import (
    BadCheckpoint,
    Cancelled,
    InvalidRequest,
    TrainingDiverged,
)

Report = Callable[[str, float, TrainingPoint | None], None]
"""Called with (what is being done, its fraction 0..1, a point of the learning or None)."""

_POINT_S, _SAMPLE_S = 1.0, 15.0
# The parent writes for this share of the time, and no more rows than can be learnt from soon.
_WRITING_SHARE = 0.25
_MOST_WRITTEN = 4096


def train(
    parent: Path,
    student: Path,
    out: Path,
    plan: TrainingPlan,
    report: Report,
    cancelled: Callable[[], bool],
    control: TrainingControl,
    text: str | None = None,
) -> TrainingSummary:
    """Train the checkpoint in `student` with the one in `parent` as its teacher, on `text` or on
    what the parent writes, and write it as the new folder `out` in the dtype that it had.

    Raises InvalidRequest for a text that is too short or models of different vocabularies,
    UnsupportedModel for a kind that cannot be trained, DoesNotFit where one row is too large for
    `plan.memory_bytes`, TrainingDiverged where the loss is no number, BadCheckpoint for weights
    that are broken, StorageError for a full disk, Cancelled; `out` may be there in part then.
    """
    report("reading both models", 0.0, None)
    run = _Run(load_pair(parent, student), plan, report, cancelled, control)
    summary = run.train(text)
    with StoredWeights(weight_files(student), lambda _fraction, _stage: None) as stored:
        dtype = stored.dtype
    save_checkpoint(run.pair.student.model.to(dtype), student, out, cancelled)
    return summary


class _Clock:
    """Seconds since the start, without pauses."""

    def __init__(self) -> None:
        self._started = time.monotonic()

    def now(self) -> float:
        return time.monotonic() - self._started

    def leave_out(self, seconds: float) -> None:
        self._started += seconds


class _Run:
    """One training, from its text to its summary."""

    def __init__(
        self,
        pair: Pair,
        plan: TrainingPlan,
        report: Report,
        cancelled: Callable[[], bool],
        control: TrainingControl,
    ) -> None:
        self.pair, self._plan = pair, plan
        self._report, self._cancelled, self._control = report, cancelled, control
        self._model = pair.student.model
        self._teacher = pair.parent.model if plan.teacher_share else None
        self._bf16 = fast_bf16()
        self._clock = _Clock()
        self._step = self._tokens = 0
        self._window = min(plan.window, pair.student.context_length or plan.window)
        self._rows = batch_rows(self._model, self._teacher, self._window)
        self._at_once = rows_at_once(pair.student, self._window, self._rows, plan.memory_bytes)

    def train(self, text: str | None) -> TrainingSummary:
        """Learn until the plan's end, or until somebody asks to finish."""
        learnt, held_out = self._text(text).split(self._plan.seed)
        rate = self._plan.learning_rate or highest_rate(self._model.config.hidden_size)
        parent_loss = None
        if self._teacher is not None:
            parent_loss, _ = self._measured(self._teacher, held_out, "parent")
        before, kl_before = self._measured(self._model, held_out, "student")
        ended = self._learn(learnt, held_out.ids[0], rate)
        after, kl_after = self._measured(self._model, held_out, "student")
        return TrainingSummary(
            steps=self._step,
            seconds=self._clock.now(),
            tokens=self._tokens,
            text=learnt.origin,
            text_tokens=learnt.tokens,
            held_out_tokens=held_out.tokens,
            loss_before=before,
            loss_after=after,
            parent_loss=parent_loss,
            kl_before=kl_before,
            kl_after=kl_after,
            learning_rate=rate,
            batch_tokens=self._rows * self._window,
            precision="bfloat16 autocast" if self._bf16 else "float32",
            ended=ended,
        )

    def _text(self, text: str | None) -> TrainingText:
        plan, parent = self._plan, self.pair.parent
        if text is not None:
            return user_text(parent, text, self._window, encoder=self.pair.encoder)
        if self.pair.encoder:
            raise InvalidRequest(
                "An encoder writes no text to learn from: give a text of your own to train on."
            )
        torch.manual_seed(plan.seed)
        budget = plan.minutes * 60 * _WRITING_SHARE
        timed = plan.steps is None
        most = _MOST_WRITTEN if plan.steps is None else self._rows * plan.steps
        return parents_text(
            parent,
            max(2, min(_MOST_WRITTEN, most)),
            self._window,
            lambda: self._control.finishing or (timed and self._clock.now() >= budget),
            self._cancelled,
            lambda done: self._report(
                "the parent writes text",
                min(1.0, max(done, self._clock.now() / budget)) if timed else done,
                None,
            ),
        )

    def _learn(self, text: TrainingText, prompt: Tensor, rate: float) -> Ending:
        weights = list(self._model.requires_grad_(True).parameters())
        optimizer = torch.optim.AdamW(
            weights, lr=rate, betas=(0.9, 0.95), weight_decay=0.01, fused=True
        )
        batches = self._batches(text)
        begun = self._clock.now()
        told, sampled = begun, -math.inf
        sums = Sums()
        while True:
            self._pause_where_asked(begun)
            now, fraction = self._clock.now(), self._fraction(begun)
            ended = self._control.finishing or fraction >= 1
            if sums.targets and (ended or now - told >= _POINT_S):
                sample = None
                if not self.pair.encoder and (ended or now - sampled >= _SAMPLE_S):
                    sample = self._sample(prompt)
                    sampled = now
                loss, kl = sums.means
                point = TrainingPoint(self._step, now, self._tokens, loss, sample, kl)
                self._report("learning", min(1.0, fraction), point)
                told, sums = now, Sums()
            if ended:
                break
            optimizer.param_groups[0]["lr"] = rate * rate_share(fraction)
            self._one_step(next(batches), optimizer, weights, sums)
        self._model.requires_grad_(False)
        if self._control.finishing:
            return "finished"
        return "time" if self._plan.steps is None else "steps"

    def _sample(self, prompt: Tensor) -> str:
        try:
            return continuation(self.pair.student, prompt, self._cancelled)
        except BadCheckpoint:
            raise self._diverged() from None

    def _diverged(self) -> TrainingDiverged:
        return TrainingDiverged(
            f"The loss is no finite number any more after {self._step:,} steps, so the student is "
            "lost: try again with a lower learning rate or another text."
        )

    def _fraction(self, begun: float) -> float:
        """How much of the learning is over."""
        if self._plan.steps is not None:
            return self._step / self._plan.steps
        return (self._clock.now() - begun) / max(1e-9, self._plan.minutes * 60 - begun)

    def _pause_where_asked(self, begun: float) -> None:
        if not self._control.paused:
            return
        self._report("paused", min(1.0, self._fraction(begun)), None)
        at = time.monotonic()
        self._control.wait_while_paused(self._cancelled)
        self._clock.leave_out(time.monotonic() - at)

    def _batches(self, text: TrainingText) -> Iterator[Batch]:
        """Batches without end; every row comes once before any comes again."""
        random = torch.Generator().manual_seed(self._plan.seed)
        order = torch.empty(0, dtype=torch.long)
        while True:
            while len(order) < self._rows:
                order = torch.cat([order, torch.randperm(len(text.ids), generator=random)])
            yield self._batch(text, order[: self._rows], random)
            order = order[self._rows :]

    def _batch(self, text: TrainingText, rows: Tensor, random: torch.Generator) -> Batch:
        ids, learnt = text.ids[rows], text.learnt[rows]
        if not self.pair.encoder:
            return next_tokens(ids, learnt)
        tokenizer = self.pair.parent.tokenizer
        assert tokenizer is not None
        vocabulary = self.pair.parent.info.vocab_size
        return masked_tokens(ids, learnt, tokenizer.mask_token_id, vocabulary, random)

    def _one_step(
        self,
        batch: Batch,
        optimizer: torch.optim.Optimizer,
        weights: list[nn.Parameter],
        sums: Sums,
    ) -> None:
        count = max(1, batch.count)
        optimizer.zero_grad(set_to_none=True)
        for part in batch.parts(self._at_once):
            found = self._losses(self._model, part)
            if not math.isfinite(found.cross_entropy):
                raise self._diverged()
            sums.add(found, part.count)
            torch.autograd.backward(found.total / count)
        nn.utils.clip_grad_norm_(weights, 1.0)
        optimizer.step()
        self._step += 1
        self._tokens += batch.inputs.numel()

    @torch.no_grad()
    def _measured(
        self, model: Any, held_out: TrainingText, name: str
    ) -> tuple[float, float | None]:
        """(cross-entropy, KL from the parent), nats a token of the held-out text."""
        random = torch.Generator().manual_seed(self._plan.seed)
        batch = self._batch(held_out, torch.arange(len(held_out.ids)), random)
        sums = Sums()
        for part in batch.parts(self._at_once):
            sums.add(self._losses(model, part), part.count)
        loss, kl = sums.means
        if not math.isfinite(loss):
            if self._step:
                raise self._diverged()
            raise BadCheckpoint(
                f"The {name} computes numbers that are not finite on the text: its weights are "
                "broken."
            )
        return loss, kl

    def _losses(self, model: Any, batch: Batch) -> Losses:
        if self._cancelled():
            raise Cancelled("The compression was stopped.")
        with torch.autocast("cpu", torch.bfloat16, enabled=self._bf16):
            return losses(
                model,
                self._teacher,
                batch,
                self._plan.teacher_share,
                self._plan.temperature,
                hidden=self.pair.cosine,
            )

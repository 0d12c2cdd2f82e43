"""What a training is asked and what it tells: plain values, and the control from outside.

Standard library only: the app's side of a run reads and sends these too.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from slm_explorer.errors import InvalidRequest

TextOrigin = Literal["user", "parent"]
Ending = Literal["time", "steps", "finished"]

DEFAULT_MINUTES = 5.0
MAX_MINUTES = 24 * 60.0
MAX_STEPS = 1_000_000
# Below this a held-out part of the text would be too small to say anything.
MIN_TEXT_TOKENS = 1_000

# A waiting training looks this often whether it was cancelled meanwhile.
_LOOK_S = 0.1


@dataclass(frozen=True)
class TrainingPlan:
    """How a student learns from its parent.

    It ends after `steps` where they are given (then equal seeds give equal weights), otherwise
    after `minutes` of wall-clock time, text written by the parent included and pauses not.
    `teacher_share` of the loss compares with the parent's whole distribution, the rest with the
    text's own next token; 0 trains without a teacher. A `temperature` above 1 blurs both
    distributions: at 2, students of the Sprouts learnt less in as many steps. `learning_rate` is
    the highest, None: chosen by the student's width. `memory_bytes` is what the training may
    take, None: no limit is known.
    """

    minutes: float = DEFAULT_MINUTES
    steps: int | None = None
    teacher_share: float = 0.7
    temperature: float = 1.0
    learning_rate: float | None = None
    window: int = 256
    seed: int = 0
    memory_bytes: int | None = None

    def __post_init__(self) -> None:
        if not 0 < self.minutes <= MAX_MINUTES:
            raise InvalidRequest(
                f"A training lasts more than 0 and at most {MAX_MINUTES:,.0f} minutes, not "
                f"{self.minutes:g}."
            )
        if self.steps is not None and not 1 <= self.steps <= MAX_STEPS:
            raise InvalidRequest(f"A training has 1 to {MAX_STEPS:,} steps, not {self.steps:,}.")
        if not 0 <= self.teacher_share <= 1:
            raise InvalidRequest(f"A teacher's share is 0 to 1, not {self.teacher_share:g}.")


@dataclass(frozen=True)
class StudentPlan:
    """The student to make: `depth` layers, evenly spaced ones of the parent's or `fresh` (random)
    ones; `width` is its hidden size, None: the parent's.
    """

    depth: int
    width: int | None = None
    fresh: bool = False
    seed: int = 0


@dataclass(frozen=True)
class TrainingPoint:
    """Where a training is. `seconds` and `tokens` since its start, pauses left out; `loss` is the
    cross-entropy with the text and `kl` the divergence from the parent, both in nats a token and
    means since the point before (`kl` None without a teacher). `sample` is what the student
    writes at this moment, where it was asked.
    """

    step: int
    seconds: float
    tokens: int
    loss: float
    sample: str | None = None
    kl: float | None = None


@dataclass(frozen=True)
class TrainingSummary:
    """A finished training. Losses are cross-entropies in nats a token on `held_out_tokens` of the
    text that were not learnt from, `kl` there from the parent to the student (None without a
    teacher). `text` says whose the text was; `ended` why it ended.
    """

    steps: int
    seconds: float
    tokens: int
    text: TextOrigin
    text_tokens: int
    held_out_tokens: int
    loss_before: float
    loss_after: float
    parent_loss: float | None
    kl_before: float | None
    kl_after: float | None
    learning_rate: float
    batch_tokens: int
    precision: str
    ended: Ending


class TrainingControl:
    """What somebody else asks of a running training, from any thread."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._paused = False
        self._finishing = False

    @property
    def paused(self) -> bool:
        return self._paused

    @property
    def finishing(self) -> bool:
        return self._finishing

    def pause(self) -> None:
        """Learn nothing more until `resume`; takes effect within a step."""
        self._set(paused=True)

    def resume(self) -> None:
        self._set(paused=False)

    def finish(self) -> None:
        """End early, and keep what was learnt so far. Ends a pause too."""
        self._set(paused=False, finishing=True)

    def wait_while_paused(self, cancelled: Callable[[], bool]) -> None:
        """Return once nobody wants a pause, or the run was cancelled."""
        with self._changed:
            while self._paused and not cancelled():
                self._changed.wait(_LOOK_S)

    def _set(self, *, paused: bool, finishing: bool = False) -> None:
        with self._changed:
            self._paused = paused
            self._finishing |= finishing
            self._changed.notify_all()

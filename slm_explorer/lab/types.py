"""What the lab tells others: plain frozen values, sizes in bytes, times in seconds."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from slm_explorer.compression.recipes import LayerReport
from slm_explorer.compression.training_plan import TrainingPoint
from slm_explorer.errors import InvalidRequest
from slm_explorer.text import clean_text
from slm_explorer.types import Alternative

RunState = Literal["queued", "compressing", "proving", "done", "failed", "cancelled"]
ENDED: tuple[RunState, ...] = ("done", "failed", "cancelled")

MAX_TOKEN_TEXT = 2_000
"""Characters that both models read for the view of each token."""

MAX_TRAINING_TEXT = 5_000_000
"""Characters of a user's own text to train on: some minutes' worth for the smallest models."""

MAX_RECIPE = 400


@dataclass(frozen=True)
class Order:
    """What to do: `model` as chat takes it, a recipe, the text to train on where a step trains
    (None: text that the parent writes), and who asks.
    """

    model: str
    recipe: str
    text: str | None = None
    visitor: str = "local"

    def __post_init__(self) -> None:
        if len(self.recipe) > MAX_RECIPE:
            raise InvalidRequest(f"A recipe has at most {MAX_RECIPE} characters.")
        if self.text is not None:
            if len(self.text) > MAX_TRAINING_TEXT:
                raise InvalidRequest(
                    f"The text has {len(self.text):,} characters; the limit is "
                    f"{MAX_TRAINING_TEXT:,}: shorten it."
                )
            object.__setattr__(self, "text", clean_text(self.text))


@dataclass(frozen=True)
class Run:
    """One run as it is now. Frozen: ask again for a newer one.

    `ahead` runs go first while it is queued. `fraction` (0 to 1) is of the stage named by
    `stage`, in words. `layers` grows while matrices are compressed, `training` while a student
    learns; `paused` says that learning waits for `resume`, `can_pause` that it could. `seconds`
    is how long it has worked, `eta_s` how long it will still take, None while that cannot be
    told. `memory_bytes` is what its process takes to itself now (USS), `peak_memory_bytes` the
    most seen, of `memory_limit_bytes` for all models. `error` is one sentence with the next
    step. `report` is there once it is done: the keys of lab.report. `kept` says whether its model
    is on this disk.
    """

    id: str
    order: Order
    state: RunState
    created_at: float
    name: str = ""
    ahead: int = 0
    stage: str = ""
    fraction: float = 0.0
    layers: tuple[LayerReport, ...] = ()
    training: tuple[TrainingPoint, ...] = ()
    can_pause: bool = False
    paused: bool = False
    seconds: float = 0.0
    eta_s: float | None = None
    memory_bytes: int | None = None
    memory_limit_bytes: int | None = None
    peak_memory_bytes: int | None = None
    error: str | None = None
    kept: bool = False
    report: Mapping[str, object] | None = field(default=None, compare=False)

    @property
    def ended(self) -> bool:
        return self.state in ENDED

    @property
    def model_id(self) -> str | None:
        """What chat and the command line call its model; None where it has none."""
        return f"lab/{self.id}" if self.kept else None


@dataclass(frozen=True)
class Choice:
    """One step of a recipe for one model: may it be used, and what would come of it.

    `kind` is storage, structure, training or study. `reason_not` is why it cannot be used here
    with its default value, None where it can. `bytes_estimate` is of the weights on disk;
    `seconds_estimate` comes from this machine's earlier runs, the proof counted. Both are None
    where there is nothing to tell them from, and `estimate_reason` says what they rest on or why
    they are missing.
    """

    name: str
    kind: str
    summary: str
    effect: str
    paper: str | None
    reason_not: str | None
    bytes_estimate: int | None
    seconds_estimate: float | None
    estimate_reason: str = ""


@dataclass(frozen=True)
class TokenPair:
    """One token of a text under parent and child: the log-probability (nats) that each gave it
    after what stands before it, and what each thought likeliest there.
    """

    text: str
    parent_logprob: float
    child_logprob: float
    parent_top: tuple[Alternative, ...]
    child_top: tuple[Alternative, ...]


@dataclass(frozen=True)
class TokenComparison:
    """A text's tokens in order, each with both models' opinion of it."""

    tokens: tuple[TokenPair, ...]
    parent: str
    child: str


@dataclass(frozen=True)
class Sensitivity:
    """How much each layer changes what passes through it (block influence, 1 - cosine), from
    the first to the last; the layers with the least go first. `text` names what was read,
    `tokens` tokens of it. `loss` is the whole model's there, in nats a token, and
    `losses_without` that without each layer; None where that was not measured.
    """

    influence: tuple[float, ...]
    text: str
    tokens: int = 0
    loss: float | None = None
    losses_without: tuple[float, ...] | None = None

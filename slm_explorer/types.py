"""Values that cross module and process boundaries: requests, stream events, facts.

Frozen dataclasses, standard library only: they pickle, compare and print, hold no handle, and do
nothing but check their own values.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Literal

from slm_explorer.energy import Energy
from slm_explorer.errors import InvalidRequest
from slm_explorer.tasks import Task, TaskRequest, TaskStats
from slm_explorer.text import clean_text

Role = Literal["system", "user", "assistant"]
FinishReason = Literal["stop", "length", "context", "cancelled"]
WorkerPhase = Literal["loading", "idle", "busy", "stopping", "dead"]

# Longer than any context of the catalog in characters, and short enough to tokenize in well
# under a second. Enforced here because browser limits are not limits.
MAX_PROMPT_CHARS = 200_000
MAX_NEW_TOKENS = 8192
MAX_ALTERNATIVES = 20
ROLES: tuple[Role, ...] = ("system", "user", "assistant")


@dataclass(frozen=True)
class Message:
    """One turn of a conversation."""

    role: Role
    content: str

    def __post_init__(self) -> None:
        if self.role not in ROLES:
            raise InvalidRequest(
                f"A message's role is one of {', '.join(ROLES)}, not {self.role!r}."
            )
        object.__setattr__(self, "content", clean_text(self.content))


@dataclass(frozen=True)
class Sampling:
    """How the next token is chosen. Temperature 0 is greedy, and then nothing else matters.

    `top_k` 0, `top_p` 1, `min_p` 0 and `repetition_penalty` 1 switch that filter off.
    `ignore_eos` keeps on to `max_tokens`: measurements need a fixed length.
    """

    temperature: float = 0.0
    top_k: int = 0
    top_p: float = 1.0
    min_p: float = 0.0
    repetition_penalty: float = 1.0
    seed: int = 0
    max_tokens: int = 256
    stop: tuple[str, ...] = ()
    ignore_eos: bool = False

    def __post_init__(self) -> None:
        def within(name: str, value: float, low: float, high: float) -> None:
            if not math.isfinite(value) or not low <= value <= high:
                raise InvalidRequest(f"{name} must be between {low:g} and {high:g}, not {value:g}.")

        within("temperature", self.temperature, 0.0, 5.0)
        within("top-k", self.top_k, 0, 1_000_000)
        within("top-p", self.top_p, 0.0, 1.0)
        within("min-p", self.min_p, 0.0, 1.0)
        within("repetition penalty", self.repetition_penalty, 0.1, 5.0)
        within("seed", self.seed, 0, 2**63 - 1)
        within("max tokens", self.max_tokens, 1, MAX_NEW_TOKENS)


@dataclass(frozen=True)
class ModelSpec:
    """What one worker process runs. Equal specs share a worker.

    `path` is a folder with a Hugging Face checkpoint. Where it is None, `shape_config` is the
    JSON text of a transformers config, and the weights are random: for measurements only.
    `recipe` is a compression recipe; "native" keeps the stored dtype. `task` chooses the head;
    None is what the checkpoint was made for.
    """

    model: str
    path: str | None
    recipe: str = "native"
    engine: str = "torch"
    device: str = "cpu"
    threads: int = 1
    shape_config: str | None = None
    task: Task | None = None


@dataclass(frozen=True)
class ModelInfo:
    """What a worker says of the model that it has loaded. Sizes in bytes and tokens.

    `tasks` is what it can be asked. `warning` is what a user must know before believing it.
    `batch` is how many answers it writes at once.
    """

    parameters: int
    weights_bytes: int
    dtype: str
    context_length: int | None
    vocab_size: int
    has_chat_template: bool
    load_s: float
    tasks: tuple[Task, ...] = ("chat",)
    warning: str | None = None
    batch: int = 1


@dataclass(frozen=True)
class GenerateRequest:
    """Complete a conversation, a raw prompt, or token ids: exactly one of the three.

    `chat` names the conversation whose KV cache may be kept and reused; None keeps nothing.
    `visitor` is who asks, for fairness between visitors. `alternatives` asks for each token's
    log-probability and that many of its most likely rivals (0: neither). `exclusive` wants the
    worker for itself: measurements share no step with anybody else's answer.
    """

    id: str
    visitor: str
    sampling: Sampling
    messages: tuple[Message, ...] = ()
    raw: str | None = None
    prompt_ids: tuple[int, ...] = ()
    chat: str | None = None
    alternatives: int = 0
    exclusive: bool = False

    def __post_init__(self) -> None:
        given = (bool(self.messages), self.raw is not None, bool(self.prompt_ids))
        if sum(given) != 1:
            raise InvalidRequest("Give messages, a raw prompt or token ids: exactly one of them.")
        if self.raw is not None:
            object.__setattr__(self, "raw", clean_text(self.raw))
        written = self.raw if self.raw is not None else "".join(m.content for m in self.messages)
        if not self.prompt_ids and not written.strip():
            raise InvalidRequest("The prompt is empty: write something first.")
        if len(written) > MAX_PROMPT_CHARS:
            raise InvalidRequest(
                f"The prompt has {len(written):,} characters; the limit is {MAX_PROMPT_CHARS:,}: "
                "shorten it."
            )
        if self.messages and self.messages[-1].role != "user":
            raise InvalidRequest("The conversation must end with a user's message.")
        if not 0 <= self.alternatives <= MAX_ALTERNATIVES:
            raise InvalidRequest(f"alternatives must be between 0 and {MAX_ALTERNATIVES}.")


@dataclass(frozen=True)
class ScoreRequest:
    """How well does the model predict this text? Read in windows of `window` tokens, each
    after its BOS, without overlap, so that every token is predicted exactly once.
    `alternatives` asks for each token with that many of its likeliest rivals (0: for none).
    """

    id: str
    visitor: str
    text: str
    window: int = 512
    alternatives: int = 0

    def __post_init__(self) -> None:
        object.__setattr__(self, "text", clean_text(self.text))
        if not self.text.strip():
            raise InvalidRequest("The text to measure is empty.")
        if self.window < 2:
            raise InvalidRequest("A window has at least 2 tokens.")


Request = GenerateRequest | ScoreRequest | TaskRequest


@dataclass(frozen=True)
class Alternative:
    """A token the model might have chosen. `logprob` in nats, before sampling filters."""

    text: str
    logprob: float


@dataclass(frozen=True)
class TokenDetail:
    """One token with its log-probability (nats) and the likeliest ones at its place."""

    text: str
    logprob: float
    alternatives: tuple[Alternative, ...] = ()


@dataclass(frozen=True)
class GenerationStats:
    """Measured by the worker around one answer. Times in seconds, rates in tokens/s.

    `ttft_s` runs from the start of work on this request (queue and load excluded, they are
    apart) to the first token; None where it was stopped before one. `prefill_tps` counts the
    tokens really read, without the `cached_tokens` kept from earlier turns. `decode_tps` is
    over the tokens after the first; None where there are none. Memory is private to the worker
    (USS), see engines.memory. `energy` is the app's: None where nobody has measured it.
    `batch` is with how many answers it shared a step at most, itself included.
    """

    prompt_tokens: int
    cached_tokens: int
    output_tokens: int
    finish_reason: FinishReason
    ttft_s: float | None
    prefill_tps: float | None
    decode_tps: float | None
    seed: int
    load_s: float | None = None
    queue_s: float | None = None
    memory_bytes: int | None = None
    peak_memory_bytes: int | None = None
    energy: Energy | None = None
    batch: int = 1


@dataclass(frozen=True)
class ScoreWindow:
    """Sums over one window: predicted tokens, the UTF-8 bytes they stand for, nats lost."""

    tokens: int
    bytes: int
    nll: float


@dataclass(frozen=True)
class ScoreStats:
    """The windows of a scored text, in order; its tokens, in pieces of it, where asked for."""

    windows: tuple[ScoreWindow, ...]
    peak_memory_bytes: int | None = None
    tokens: tuple[TokenDetail, ...] = ()


Stats = GenerationStats | ScoreStats | TaskStats


@dataclass(frozen=True)
class Queued:
    """Waiting for the worker; `ahead` requests come first. Sent again whenever it changes."""

    ahead: int


@dataclass(frozen=True)
class Loading:
    """The model is being loaded: `fraction` 0..1 of `stage`."""

    fraction: float
    stage: str = "loading"


@dataclass(frozen=True)
class Delta:
    """New text. `tokens` may be 0 (held-back bytes flushed) or more than 1 (coalesced)."""

    text: str
    tokens: int
    details: tuple[TokenDetail, ...] = ()

    def then(self, other: Delta) -> Delta:
        """Both as one."""
        return Delta(
            self.text + other.text, self.tokens + other.tokens, self.details + other.details
        )


@dataclass(frozen=True)
class Progress:
    """Long work is at `fraction` 0..1 of `stage`."""

    stage: str
    fraction: float


@dataclass(frozen=True)
class Done:
    """The request succeeded (a cancelled generation too: finish_reason "cancelled")."""

    stats: Stats


@dataclass(frozen=True)
class Failed:
    """The request failed. `kind` is the class name in errors.py, `trace` is for a fold."""

    error: str
    kind: str = "SlmError"
    trace: str = field(default="", compare=False)


Event = Queued | Loading | Delta | Progress | Done | Failed


@dataclass(frozen=True)
class WorkerState:
    """One worker as the meters show it. Bytes; `cpu_percent` of one core; None is unknown.

    PSS adds up to a total without counting shared pages twice; USS is what unloading frees.
    `mapped_bytes` of the PSS are files. `tokens` are those written and `energy` what was spent
    since the process started, over all its answers; `cpu_seconds` are its process's.
    """

    key: str
    spec: ModelSpec
    pid: int | None
    phase: WorkerPhase
    loading_fraction: float
    info: ModelInfo | None
    predicted_bytes: int
    waiting: int
    idle_s: float
    pss_bytes: int | None = None
    uss_bytes: int | None = None
    peak_memory_bytes: int | None = None
    cpu_percent: float | None = None
    mapped_bytes: int | None = None
    cpu_seconds: float | None = None
    gpu_bytes: int | None = None
    tokens: int = 0
    energy: Energy | None = None

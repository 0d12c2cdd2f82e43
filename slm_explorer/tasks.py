"""What encoders are asked and what they answer: fill-mask, classification, similarity, and
extractive question answering. Values like those of types.py, for models that write no text.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from slm_explorer.energy import Energy
from slm_explorer.errors import InvalidRequest

Task = Literal[
    "chat",
    "text-to-text",
    "fill-mask",
    "text-classification",
    "sentence-similarity",
    "question-answering",
]
"""The uses of a model in the app; the first two answer a GenerateRequest, the others a
TaskRequest. Names are the Hub's pipeline tags where it has one."""

MASK = "[MASK]"
"""How a text marks the word to fill in, whatever the model's own mask token is called."""

MAX_TASK_CHARS = 20_000
MAX_TEXTS = 16
MAX_CANDIDATES = 50


def _checked(text: str, what: str) -> None:
    if not text.strip():
        raise InvalidRequest(f"The {what} is empty: write something first.")
    if len(text) > MAX_TASK_CHARS:
        raise InvalidRequest(
            f"The {what} has {len(text):,} characters; the limit is {MAX_TASK_CHARS:,}: shorten it."
        )


@dataclass(frozen=True)
class FillMask:
    """Which words fit where `text` says [MASK]? `top` candidates for each."""

    text: str
    top: int = 5

    def __post_init__(self) -> None:
        _checked(self.text, "text")
        if MASK not in self.text:
            raise InvalidRequest(f"Write {MASK} where the model is to fill in a word.")
        if not 1 <= self.top <= MAX_CANDIDATES:
            raise InvalidRequest(f"The number of candidates is between 1 and {MAX_CANDIDATES}.")


@dataclass(frozen=True)
class Classify:
    """Which of the head's labels does the text have?"""

    text: str

    def __post_init__(self) -> None:
        _checked(self.text, "text")


@dataclass(frozen=True)
class Compare:
    """How alike are these texts, each with each?"""

    texts: tuple[str, ...]

    def __post_init__(self) -> None:
        if not 2 <= len(self.texts) <= MAX_TEXTS:
            raise InvalidRequest(
                f"Give 2 to {MAX_TEXTS} texts to compare, not {len(self.texts)}: one a line."
            )
        for text in self.texts:
            _checked(text, "text")


@dataclass(frozen=True)
class AskContext:
    """Where in `context` does the answer to `question` stand?"""

    question: str
    context: str

    def __post_init__(self) -> None:
        _checked(self.question, "question")
        _checked(self.context, "context")


TaskInput = FillMask | Classify | Compare | AskContext


@dataclass(frozen=True)
class TaskRequest:
    """One input for an encoder. `visitor` is who asks, for fairness between visitors."""

    id: str
    visitor: str
    input: TaskInput


@dataclass(frozen=True)
class Candidate:
    """A word, label or span with its probability (0 to 1, by softmax)."""

    text: str
    probability: float


@dataclass(frozen=True)
class MaskFills:
    """The likeliest fillings of each mask in turn, best first."""

    masks: tuple[tuple[Candidate, ...], ...]


@dataclass(frozen=True)
class Labels:
    """Every label of the head, likeliest first."""

    labels: tuple[Candidate, ...]


@dataclass(frozen=True)
class SimilarityMatrix:
    """Cosine similarities (-1 to 1) of each text with each; `pooling` says how a text became
    one vector.
    """

    matrix: tuple[tuple[float, ...], ...]
    pooling: str


@dataclass(frozen=True)
class Spans:
    """Candidate answers, best first, as character ranges of the context."""

    spans: tuple[Candidate, ...]
    ranges: tuple[tuple[int, int], ...]


TaskResult = MaskFills | Labels | SimilarityMatrix | Spans


@dataclass(frozen=True)
class TaskStats:
    """One task's result and what it took. `seconds` is the forward pass and its reading, without
    queue and load; `warning` says why the result may mean nothing (an untrained head).
    """

    result: TaskResult
    tokens: int
    seconds: float
    warning: str | None = None
    load_s: float | None = None
    queue_s: float | None = None
    memory_bytes: int | None = None
    peak_memory_bytes: int | None = None
    energy: Energy | None = None


_OF_HEAD: dict[str, tuple[Task, ...]] = {
    "ForMaskedLM": ("fill-mask", "sentence-similarity"),
    "ForPreTraining": ("fill-mask", "sentence-similarity"),
    "ForSequenceClassification": ("text-classification",),
    "ForQuestionAnswering": ("question-answering",),
}
_OF_INPUT: dict[type[TaskInput], Task] = {
    FillMask: "fill-mask",
    Classify: "text-classification",
    Compare: "sentence-similarity",
    AskContext: "question-answering",
}


def task_of(given: TaskInput) -> Task:
    """The task that this input belongs to."""
    return _OF_INPUT[type(given)]


def tasks_of(kind: str | None, class_name: str | None) -> tuple[Task, ...]:
    """What a model can be asked that was saved as transformers' class `class_name`.

    `kind` is the architecture's: an encoder without a head still makes vectors of sentences.
    """
    if kind == "decoder":
        return ("chat",)
    if kind == "encoder-decoder":
        return ("text-to-text",)
    if kind != "encoder":
        return ()
    for ending, tasks in _OF_HEAD.items():
        if class_name is not None and class_name.endswith(ending):
            return tasks
    return ("sentence-similarity",)

"""The values of a class, as its service hands them to a screen. Frozen, nothing secret in them."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

PushKind = Literal["watch", "try", "question"]
SeatStatus = Literal["loading", "ready", "failed"]
AnswerStatus = Literal["waiting", "writing", "done", "failed"]
PUSH_KINDS: tuple[PushKind, ...] = ("watch", "try", "question")


@dataclass(frozen=True)
class Seat:
    """A model that the teacher allows. While it is `busy`, `waiting` requests are in its line, and
    `wait_s` is what one more would wait, from measured waits: None where nothing was measured.
    """

    model: str
    name: str
    status: SeatStatus
    fraction: float = 0.0
    error: str = ""
    busy: bool = False
    waiting: int = 0
    wait_s: float | None = None


@dataclass(frozen=True)
class ModelAnswer:
    """One model's answer to a pushed prompt, under a letter that does not give it away."""

    letter: str
    model: str
    name: str
    text: str = ""
    status: AnswerStatus = "waiting"
    error: str = ""
    output_tokens: int | None = None
    decode_tps: float | None = None


@dataclass(frozen=True)
class Push:
    """What the teacher has sent to every screen.

    watch: the models answer once, for all to see; with `voting` the class votes between them.
    try: every student may send the prompt to an allowed model. question: students answer, by one
    of `choices` where there are any. While not `revealed`, students see letters for names, and
    no counts. `open`: votes and answers are still taken.
    """

    number: int
    kind: PushKind
    text: str
    choices: tuple[str, ...] = ()
    answers: tuple[ModelAnswer, ...] = ()
    voting: bool = False
    revealed: bool = False
    open: bool = True


@dataclass(frozen=True)
class Reply:
    """A student's answer to a question: a text, or the index of a choice."""

    student: int
    name: str
    text: str
    choice: int | None = None


@dataclass(frozen=True)
class PushResults:
    """A push with what came of it: replies, votes by letter, and who asked a model for a "try"."""

    push: Push
    replies: tuple[Reply, ...] = ()
    votes: dict[str, int] = field(default_factory=dict)
    asked: int = 0


@dataclass(frozen=True)
class StudentRow:
    """A student as the teacher sees one. `here`: their page asked for news a moment ago."""

    id: int
    name: str
    here: bool
    answering: bool
    done: bool


@dataclass(frozen=True)
class TeacherState:
    """Everything on the teacher's screen; the newest push first."""

    code: str
    chat_open: bool
    seats: tuple[Seat, ...]
    students: tuple[StudentRow, ...]
    results: tuple[PushResults, ...]


@dataclass(frozen=True)
class StudentState:
    """Everything on one student's screen but their chat. `votes` are None until revealed."""

    name: str
    chat_open: bool
    seats: tuple[Seat, ...]
    push: Push | None
    reply: Reply | None = None
    vote: str | None = None
    votes: dict[str, int] | None = None


@dataclass(frozen=True)
class Turn:
    """One question of a student and the answer so far. `note` says why it ended early."""

    prompt: str
    model: str
    name: str
    text: str = ""
    running: bool = True
    failed: bool = False
    note: str = ""
    output_tokens: int | None = None
    ttft_s: float | None = None
    decode_tps: float | None = None
    queue_s: float | None = None

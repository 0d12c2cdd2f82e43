"""One class: who is in it, what was pushed, what was answered. Values and rules, no models."""

from __future__ import annotations

import secrets
import threading
from collections.abc import Callable, Collection
from dataclasses import dataclass, field, replace

from slm_explorer.classroom.codes import clean_name, new_code
from slm_explorer.classroom.limits import Allowance
from slm_explorer.classroom.types import (
    PUSH_KINDS,
    ModelAnswer,
    Push,
    PushKind,
    PushResults,
    Reply,
    StudentRow,
    Turn,
)
from slm_explorer.errors import InvalidRequest
from slm_explorer.text import clean_text

MAX_STUDENTS = 300
MAX_PUSHES = 200
MAX_PUSH_CHARS = 4000
MAX_CHOICES = 8
MAX_CHOICE_CHARS = 120
MAX_REPLY_CHARS = 1000
MAX_TURNS = 30
# Clicks and questions of one student; a person does not reach them.
CLICKS_PER_MINUTE = 60
ASKS_PER_MINUTE = 30
# A screen asks for news every two seconds while it is looked at.
HERE_S = 10.0
LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"


@dataclass
class Student:
    """Somebody in the class. `token` is their browser's secret; `visitor` is who they are to the
    line of a model. `cancel` is set to stop the answer that runs, None where none does.
    """

    id: int
    name: str
    joined_at: float
    seen_at: float
    token: str = field(default_factory=lambda: secrets.token_urlsafe(24))
    visitor: str = field(default_factory=lambda: f"class-{secrets.token_urlsafe(16)}")
    turns: list[Turn] = field(default_factory=list)
    cancel: threading.Event | None = None
    clicks: Allowance = field(default_factory=lambda: Allowance(CLICKS_PER_MINUTE, 60.0))
    asks: Allowance = field(default_factory=lambda: Allowance(ASKS_PER_MINUTE, 60.0))


@dataclass
class _Record:
    """A push with what came of it, by student."""

    push: Push
    replies: dict[int, Reply] = field(default_factory=dict)
    votes: dict[int, str] = field(default_factory=dict)
    asked: set[int] = field(default_factory=set)

    def did(self, student: int) -> bool:
        return student in self.replies or student in self.votes or student in self.asked


class Room:
    """Not thread-safe: the service's lock guards every call. Raises InvalidRequest with the next
    step for whatever a person may do wrong.
    """

    def __init__(self, clock: Callable[[], float]) -> None:
        self.code = new_code()
        self.chat_open = True
        self._clock = clock
        self._students: dict[str, Student] = {}
        self._records: list[_Record] = []
        self._numbers = 0

    # Students.

    def join(self, name: object) -> Student:
        if len(self._students) >= MAX_STUDENTS:
            raise InvalidRequest(f"The class is full: {MAX_STUDENTS} have joined.")
        names = [each.name for each in self._students.values()]
        self._numbers += 1
        now = self._clock()
        student = Student(self._numbers, clean_name(name, names), now, now)
        self._students[student.token] = student
        return student

    def student(self, token: object, *, click: bool = False) -> Student:
        """Whose token it is. `click`: they did something, which is counted."""
        found = self.find(token)
        if found is None:
            raise InvalidRequest("You are not in this class: join it first.")
        if click and (wait := found.clicks.take(self._clock())):
            raise InvalidRequest(f"That was too often: wait {wait:.0f} s and go on.")
        return found

    def find(self, token: object) -> Student | None:
        return self._students.get(token) if isinstance(token, str) else None

    def remove(self, student_id: object) -> None:
        """Send a student out; what they have answered and voted goes with them."""
        who = _number(student_id)
        for token, student in list(self._students.items()):
            if student.id == who:
                del self._students[token]
                _stop(student)
        for record in self._records:
            record.replies.pop(who, None)
            record.votes.pop(who, None)
            record.asked.discard(who)

    def stop_answers(self) -> None:
        for student in self._students.values():
            _stop(student)

    def rows(self) -> tuple[StudentRow, ...]:
        now, newest = self._clock(), self._records[-1] if self._records else None
        return tuple(
            StudentRow(
                id=each.id,
                name=each.name,
                here=now - each.seen_at < HERE_S,
                answering=each.cancel is not None,
                done=newest is not None and newest.did(each.id),
            )
            for each in self._students.values()
        )

    # What the teacher sends.

    def push(
        self, kind: object, text: object, choices: object, models: Collection[tuple[str, str]]
    ) -> Push:
        """A new push; the one before takes no more answers. `models` are (id, name)."""
        if kind not in PUSH_KINDS:
            raise InvalidRequest(f"A push is one of {', '.join(PUSH_KINDS)}.")
        if len(self._records) >= MAX_PUSHES:
            raise InvalidRequest(f"{MAX_PUSHES} pushes are kept: export them, and start anew.")
        words = checked("The prompt", text, MAX_PUSH_CHARS)
        if kind == "watch" and not models:
            raise InvalidRequest("Allow at least one model first: it is what the class watches.")
        options = _choices(choices) if kind == "question" else ()
        mixed = list(models) if kind == "watch" else []
        secrets.SystemRandom().shuffle(mixed)
        answers = tuple(
            ModelAnswer(letter, model, name)
            for letter, (model, name) in zip(LETTERS, mixed, strict=False)
        )
        if self._records:
            self._change(self._records[-1], open=False, voting=False)
        which: PushKind = "watch" if kind == "watch" else "try" if kind == "try" else "question"
        # Names stand beside the answers unless the class is to vote between them.
        push = Push(len(self._records) + 1, which, words, options, answers, revealed=True)
        self._records.append(_Record(push))
        return push

    def change(self, number: object, setting: object, on: object) -> None:
        """Switch "voting", "revealed" or "open" of a push."""
        record = self._record(number)
        if setting not in ("voting", "revealed", "open") or not isinstance(on, bool):
            raise InvalidRequest("A push has the switches voting, revealed and open.")
        if setting == "voting" and on:
            if len(record.push.answers) < 2:
                raise InvalidRequest("A vote needs the answers of at least two models.")
            self._change(record, voting=True, revealed=False, open=True)
        elif setting == "revealed" and on:
            self._change(record, revealed=True, voting=False)
        else:
            self._change(record, **{str(setting): on})

    def hide_names(self, push: Push) -> Push:
        """Begin a push as a vote: nobody may see the names before they vote."""
        return self._change(self._record(push.number), voting=True, revealed=False)

    def update_answer(self, number: int, answer: ModelAnswer) -> None:
        record = self._record(number)
        answers = tuple(
            answer if each.letter == answer.letter else each for each in record.push.answers
        )
        self._change(record, answers=answers)

    def drop_reply(self, number: object, student_id: object) -> None:
        self._record(number).replies.pop(_number(student_id), None)

    # What students send.

    def reply(self, student: Student, number: object, text: object, choice: object) -> None:
        record = self._current(number)
        push = record.push
        if push.kind != "question":
            raise InvalidRequest("This is no question: there is nothing to answer.")
        if not push.choices:
            words = checked("Your answer", text, MAX_REPLY_CHARS)
            record.replies[student.id] = Reply(student.id, student.name, words)
            return
        if isinstance(choice, bool) or not isinstance(choice, int):
            raise InvalidRequest("Choose one of the answers.")
        if not 0 <= choice < len(push.choices):
            raise InvalidRequest("Choose one of the answers.")
        found = Reply(student.id, student.name, push.choices[choice], choice)
        record.replies[student.id] = found

    def vote(self, student: Student, number: object, letter: object) -> None:
        record = self._current(number)
        if not record.push.voting:
            raise InvalidRequest("There is no vote now.")
        answer = next((each for each in record.push.answers if each.letter == letter), None)
        if answer is None or not answer.text:
            raise InvalidRequest("Vote for one of the answers on the screen.")
        record.votes[student.id] = str(letter)

    def note_asked(self, student: Student, number: object) -> None:
        """They have sent the prompt of a "try" to a model."""
        newest = self._records[-1] if self._records else None
        if newest is not None and newest.push.number == number and newest.push.kind == "try":
            newest.asked.add(student.id)

    # What there is to see.

    def current(self) -> Push | None:
        return self._records[-1].push if self._records else None

    def own(self, student: Student) -> tuple[Reply | None, str | None]:
        """A student's reply and vote on the newest push."""
        if not self._records:
            return None, None
        newest = self._records[-1]
        return newest.replies.get(student.id), newest.votes.get(student.id)

    def results(self) -> tuple[PushResults, ...]:
        """Everything that was pushed, the newest first."""
        return tuple(
            PushResults(
                record.push, tuple(record.replies.values()), _counts(record), len(record.asked)
            )
            for record in reversed(self._records)
        )

    def votes(self) -> tuple[tuple[int, str, str], ...]:
        """(push, student's name, letter) of every vote, oldest push first."""
        names = {each.id: each.name for each in self._students.values()}
        return tuple(
            (record.push.number, names.get(student, ""), letter)
            for record in self._records
            for student, letter in record.votes.items()
        )

    def _record(self, number: object) -> _Record:
        for record in self._records:
            if record.push.number == number:
                return record
        raise InvalidRequest("That push is not there any more: reload the page.")

    def _current(self, number: object) -> _Record:
        record = self._record(number)
        if record is not self._records[-1] or not record.push.open:
            raise InvalidRequest("This is closed: no more answers are taken.")
        return record

    def _change(self, record: _Record, **values: object) -> Push:
        record.push = replace(record.push, **values)  # type: ignore[arg-type]
        return record.push


def checked(what: str, text: object, limit: int) -> str:
    """A text of somebody's, within its limit and not empty. InvalidRequest."""
    if not isinstance(text, str):
        raise InvalidRequest(f"{what} must be text.")
    if len(text) > limit:
        raise InvalidRequest(f"{what} has {len(text):,} characters; the limit is {limit:,}.")
    clean = clean_text(text).replace("\x00", "").strip()
    if not clean:
        raise InvalidRequest(f"{what} is empty: write something first.")
    return clean


def _number(value: object) -> int:
    if isinstance(value, bool) or not isinstance(value, int):
        raise InvalidRequest("There is no such student.")
    return value


def _choices(given: object) -> tuple[str, ...]:
    if not isinstance(given, list | tuple) or len(given) > MAX_CHOICES:
        raise InvalidRequest(f"A question has at most {MAX_CHOICES} answers to choose from.")
    options = tuple(checked("A choice", each, MAX_CHOICE_CHARS) for each in given)
    if len(options) == 1 or len(set(options)) != len(options):
        raise InvalidRequest("Give at least two different answers to choose from, or none.")
    return options


def _counts(record: _Record) -> dict[str, int]:
    found = {answer.letter: 0 for answer in record.push.answers}
    for letter in record.votes.values():
        found[letter] += 1
    return found


def _stop(student: Student) -> None:
    if student.cancel is not None:
        student.cancel.set()

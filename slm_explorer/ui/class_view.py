"""A class as plain values for assets/page: the door, the student's screen, the teacher's."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence

import segno

from slm_explorer.classroom.types import (
    Push,
    PushResults,
    Seat,
    StudentState,
    TeacherState,
    Turn,
)
from slm_explorer.units import format_duration

TITLES = {
    "watch": "The models answer",
    "try": "Try it yourselves",
    "question": "A question for you",
}

View = dict[str, object]


def versioned(value: View) -> View:
    """The same with a name for its content, by which a screen says what it shows already."""
    text = json.dumps(value, sort_keys=True).encode()
    return {**value, "version": hashlib.sha256(text).hexdigest()[:16]}


def door_view(*, running: bool, may_start: bool, here_only: bool) -> View:
    """Nobody yet: join, start, or show the teacher's key."""
    return {"screen": "door", "running": running, "may_start": may_start, "here_only": here_only}


def qr_rows(text: str) -> list[str]:
    """A QR code's modules, a string of 0 and 1 for each row, with its quiet zone."""
    return [
        "".join(str(int(bool(module))) for module in row)
        for row in segno.make(text, error="m", micro=False).matrix_iter(border=4)
    ]


def teacher_view(
    state: TeacherState, models: Mapping[str, str], link: str | None, qr: Sequence[str]
) -> View:
    """`models` are all that could be allowed, names by id."""
    here = sum(student.here for student in state.students)
    count = len(state.students)
    seats = {seat.model: seat for seat in state.seats}
    offered = dict(models) | {seat.model: seat.name for seat in state.seats}
    return {
        "screen": "teacher",
        "code": state.code,
        "link": link,
        "qr": list(qr),
        "chat_open": state.chat_open,
        "joined": f"{count} {'student' if count == 1 else 'students'}, {here} here now",
        "students": [
            {
                "id": student.id,
                "name": student.name,
                "here": student.here,
                "state": "is being answered" if student.answering else "",
                "done": student.done,
            }
            for student in state.students
        ],
        "models": [
            {"id": model, "name": name, **_allowed(seats.get(model))}
            for model, name in offered.items()
        ],
        "pushes": [_result_view(result, count) for result in state.results],
    }


def student_view(state: StudentState) -> View:
    return {
        "screen": "student",
        "name": state.name,
        "chat_open": state.chat_open,
        "models": [
            {"id": seat.model, "name": seat.name, "ready": seat.status == "ready",
             "note": waiting_note(seat)}
            for seat in state.seats
        ],
        "push": None if state.push is None else _push_view(state.push, state.votes),
        "reply": None if state.reply is None else state.reply.text,
        "choice": None if state.reply is None else state.reply.choice,
        "vote": state.vote,
    }  # fmt: skip


def waiting_note(seat: Seat) -> str:
    """The place in line and the wait, before anybody asks."""
    if seat.status == "failed":
        return "could not be loaded"
    if seat.status == "loading":
        return f"loading, {seat.fraction:.0%}"
    if not seat.busy:
        return "free now"
    line = f"{seat.waiting} waiting" if seat.waiting else "you are next"
    if seat.wait_s is None:
        return f"{line}, wait n/a: not measured yet"
    return f"{line}, about {format_duration(seat.wait_s)}"


def talk_view(turns: Sequence[Turn], notice: str = "") -> View:
    """A student's own chat, the newest turn first. `notice` is why a question was refused."""
    shown = [
        {
            "key": f"{number}",
            "prompt": turn.prompt,
            "name": turn.name,
            "text": turn.text,
            "running": turn.running,
            "failed": turn.failed,
            "note": turn.note,
            "figures": _figures(turn),
        }
        for number, turn in enumerate(turns)
    ]
    return {
        "turns": shown[::-1],
        "running": any(turn.running for turn in turns),
        "notice": notice,
    }


def _allowed(seat: Seat | None) -> View:
    if seat is None:
        return {"on": False, "note": "", "error": ""}
    note = f"{seat.waiting} waiting" if seat.waiting else "ready"
    if seat.status != "ready":
        note = "failed" if seat.status == "failed" else f"loading, {seat.fraction:.0%}"
    return {"on": True, "note": note, "error": seat.error}


def _push_view(push: Push, votes: Mapping[str, int] | None) -> View:
    total = sum(votes.values()) if votes else 0
    return {
        "number": push.number,
        "kind": push.kind,
        "title": TITLES[push.kind],
        "text": push.text,
        "choices": list(push.choices),
        "voting": push.voting,
        "revealed": push.revealed,
        "open": push.open,
        "answers": [
            {
                "letter": answer.letter,
                "name": answer.name if push.revealed else "",
                "text": answer.text,
                "status": answer.status,
                "error": answer.error if push.revealed or not answer.error else "It failed.",
                "figures": _speed(answer.output_tokens, answer.decode_tps) if push.revealed else "",
                "votes": None if not votes or not total else votes.get(answer.letter, 0),
                "share": votes.get(answer.letter, 0) / total if votes and total else None,
            }
            for answer in push.answers
        ],
    }


def _result_view(result: PushResults, students: int) -> View:
    push, given = result.push, len(result.replies)
    voted = sum(result.votes.values())
    counts = [sum(reply.choice == index for reply in result.replies)
              for index in range(len(push.choices))]  # fmt: skip
    done, what = (given, "answered")
    if push.kind == "watch":
        done, what = voted, "voted"
    elif push.kind == "try":
        done, what = result.asked, "asked a model"
    quiet = push.kind == "watch" and not push.voting and not voted
    return {
        # The teacher's screen is on the wall: it keeps a vote's secrets as well.
        **_push_view(push, result.votes if push.revealed else None),
        "count": "" if quiet else f"{done} of {students} have {what}",
        "bars": [
            {"text": text, "count": count, "share": count / given if given else 0.0}
            for text, count in zip(push.choices, counts, strict=True)
        ],
        "replies": [
            {"student": reply.student, "name": reply.name, "text": reply.text}
            for reply in result.replies
        ],
    }


def _speed(tokens: int | None, decode_tps: float | None) -> str:
    if tokens is None:
        return ""
    return f"{tokens} tokens" if decode_tps is None else f"{tokens} tokens, {decode_tps:.3g} tok/s"


def _figures(turn: Turn) -> str:
    if turn.output_tokens is None:
        return ""
    waits = turn.queue_s is not None and turn.queue_s >= 0.05
    waited = f", waited {format_duration(turn.queue_s or 0.0)}" if waits else ""
    return _speed(turn.output_tokens, turn.decode_tps) + waited

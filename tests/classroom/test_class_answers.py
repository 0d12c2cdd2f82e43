"""What models answer in a class: on the teacher's push, voted on, and in each student's chat."""

from __future__ import annotations

import csv
import io
import threading

import pytest

from slm_explorer.classroom.export import class_csv
from slm_explorer.classroom.room import ASKS_PER_MINUTE
from slm_explorer.classroom.service import MAX_QUESTION_CHARS, ClassService
from slm_explorer.errors import InvalidRequest
from slm_explorer.services import Services
from slm_explorer.types import Done, Failed
from tests.classroom.acts import ask, code_of, eventually, ready, refused
from tests.classroom.conftest import MODEL, NAMES


def test_the_models_answer_and_the_class_votes_blind(classroom: ClassService) -> None:
    key = classroom.open()
    code = code_of(classroom, key)
    ada, bob = classroom.join(code, "Ada", "here"), classroom.join(code, "Bob", "here")
    classroom.allow(key, {**NAMES, "sprout-1m": "Sprout 1M"})
    number = classroom.push(key, "watch", "Tell me a story.", (), True)
    shown = classroom.student_state(ada).push
    assert shown is not None
    assert [answer.letter for answer in shown.answers] == ["A", "B"]
    assert "prout" not in repr(shown)
    with pytest.raises(InvalidRequest, match="on the screen"):
        classroom.vote(ada, number, "A")  # which has not said anything yet

    def answered() -> bool:
        answers = classroom.teacher_state(key).results[0].push.answers
        return all(answer.status in ("done", "failed") for answer in answers)

    eventually(answered)
    classroom.vote(ada, number, "A")
    classroom.vote(bob, number, "A")
    classroom.vote(bob, number, "B")
    for wrong in ("C", "", None, 0, ["A"]):
        with pytest.raises(InvalidRequest):
            classroom.vote(bob, number, wrong)
    seen = classroom.student_state(ada)
    assert seen.push is not None
    assert all(answer.text and answer.decode_tps is None for answer in seen.push.answers)
    assert "prout-" not in repr([(a.model, a.name) for a in seen.push.answers])
    assert seen.vote == "A"
    assert seen.votes is None
    classroom.change(key, number, "revealed", True)
    seen = classroom.student_state(ada)
    assert seen.votes == {"A": 1, "B": 1}
    assert seen.push is not None
    assert {answer.name for answer in seen.push.answers} == {"Sprout 300K", "Sprout 1M"}
    with pytest.raises(InvalidRequest, match="no vote"):
        classroom.vote(ada, number, "B")
    rows = list(
        csv.DictReader(
            io.StringIO(class_csv(classroom.teacher_state(key).results, classroom.votes(key)))
        )
    )
    assert [row["what"] for row in rows] == ["answer A", "answer B", "vote A", "vote B"]
    assert {row["who"] for row in rows} == {"", "Ada", "Bob"}


def test_a_student_chats_and_nobody_else_sees_it(classroom: ClassService) -> None:
    key = classroom.open()
    code = code_of(classroom, key)
    ada, bob = classroom.join(code, "Ada", "here"), classroom.join(code, "Bob", "here")
    assert "not allowed" in refused(ask(classroom, ada, "What is 2 + 2?"))
    ready(classroom, key)
    number = classroom.push(key, "try", "What is 2 + 2?")
    assert isinstance(ask(classroom, ada, "What is 2 + 2?", push=number)[-1], Done)
    (turn,) = classroom.turns(ada)
    assert turn.text
    assert not turn.running
    assert classroom.turns(bob) == ()
    assert classroom.teacher_state(key).results[0].asked == 1
    assert turn.text not in repr(classroom.teacher_state(key))
    assert turn.text not in repr(classroom.student_state(bob))
    for model in ("sprout-5m", "/etc", "", None, 7):
        assert "not allowed" in refused(ask(classroom, ada, "Hi", model=model))
    for text in ("", " ", "x" * (MAX_QUESTION_CHARS + 1), None, 7):
        assert "question" in refused(ask(classroom, ada, text))  # type: ignore[arg-type]
    for forged in ("", None, 7, key, ada + "x"):
        assert "join" in refused(ask(classroom, forged, "Hi"))  # type: ignore[arg-type]
    classroom.set_chat(key, False)
    assert "closed" in refused(ask(classroom, ada, "Hi"))


def test_who_has_the_whole_answer_may_clear_and_ask_again_at_once(classroom: ClassService) -> None:
    key = classroom.open()
    ada = classroom.join(code_of(classroom, key), "Ada", "here")
    ready(classroom, key)
    first = classroom.ask(ada, MODEL, "Hi", None, threading.Event())
    while not isinstance(next(first), Done):
        pass
    # The first stream has not been closed yet.
    classroom.clear(ada)
    cancel = threading.Event()
    second = classroom.ask(ada, MODEL, "Tell me a long story.", None, cancel)
    next(second)
    assert list(first) == []
    classroom.stop(ada)
    assert cancel.is_set()
    assert isinstance(list(second)[-1], Done | Failed)


def test_one_answer_at_a_time_and_a_limit_a_minute(classroom: ClassService) -> None:
    key = classroom.open()
    ada = classroom.join(code_of(classroom, key), "Ada", "here")
    ready(classroom, key)
    first = classroom.ask(ada, MODEL, "Tell me a story.", None, threading.Event())
    next(first)
    assert "still being answered" in refused(ask(classroom, ada, "Another."))
    first.close()  # type: ignore[attr-defined]
    (turn,) = classroom.turns(ada)
    assert not turn.running
    assert turn.note == "It was stopped."
    for _ in range(ASKS_PER_MINUTE - 1):
        stopped = threading.Event()
        stopped.set()
        ask(classroom, ada, "Hi", cancel=stopped)
    assert "quickly" in refused(ask(classroom, ada, "Hi"))


def test_the_class_ends_in_the_middle_of_an_answer(
    classroom: ClassService, services: Services
) -> None:
    key = classroom.open()
    ada = classroom.join(code_of(classroom, key), "Ada", "here")
    ready(classroom, key)
    stream = classroom.ask(ada, MODEL, "Tell me a long story.", None, threading.Event())
    next(stream)
    classroom.close(key)
    assert isinstance(list(stream)[-1], Done | Failed)
    for late in (classroom.turns, classroom.student_state, classroom.stop, classroom.clear):
        with pytest.raises(InvalidRequest, match="no class"):
            late(ada)
    eventually(lambda: all(state.phase == "idle" for state in services.manager.states()))


def test_a_student_who_is_sent_out_is_stopped_and_forgotten(classroom: ClassService) -> None:
    key = classroom.open()
    ada = classroom.join(code_of(classroom, key), "Ada", "here")
    ready(classroom, key)
    number = classroom.push(key, "question", "Why?")
    classroom.reply(ada, number, "rude", None)
    stream = classroom.ask(ada, MODEL, "Tell me a long story.", None, threading.Event())
    next(stream)
    classroom.remove(key, classroom.teacher_state(key).students[0].id)
    assert isinstance(list(stream)[-1], Done | Failed)
    assert not classroom.knows(ada)
    state = classroom.teacher_state(key)
    assert state.students == ()
    assert state.results[0].replies == ()

"""A class as its service runs it: who may do what, and what comes of it."""

from __future__ import annotations

import csv
import io
import threading
from collections.abc import Callable
from typing import Any

import pytest

from slm_explorer.classroom.codes import new_key
from slm_explorer.classroom.export import class_csv
from slm_explorer.classroom.room import ASKS_PER_MINUTE, CLICKS_PER_MINUTE, MAX_STUDENTS
from slm_explorer.classroom.service import MAX_QUESTION_CHARS, ClassService
from slm_explorer.errors import InvalidRequest
from slm_explorer.services import Services
from slm_explorer.types import Done, Event, Failed
from tests.classroom.conftest import LIMIT_S, MODEL, NAMES


def code_of(classroom: ClassService, key: str) -> str:
    return classroom.teacher_state(key).code


def eventually(true: Callable[[], bool]) -> None:
    """Wait for another thread; the suite's own limit ends a wait that is in vain."""
    step, waited = threading.Event(), 0.0
    while not true():
        step.wait(0.05)
        waited += 0.05
        assert waited < LIMIT_S


def ready(classroom: ClassService, key: str) -> None:
    classroom.allow(key, NAMES)
    eventually(lambda: classroom.teacher_state(key).seats[0].status == "ready")


def ask(classroom: ClassService, token: str, text: str, **words: Any) -> list[Event]:
    given = {"model": MODEL, "push": None, "cancel": threading.Event(), **words}
    return list(classroom.ask(token, given["model"], text, given["push"], given["cancel"]))


def refused(events: list[Event]) -> str:
    (event,) = events
    assert isinstance(event, Failed)
    return event.error


def test_nobody_but_the_key_is_the_teacher(classroom: ClassService) -> None:
    key = classroom.open()
    token = classroom.join(code_of(classroom, key), "Eve", "here")
    actions: list[Callable[[object], object]] = [
        classroom.close,
        classroom.renew,
        classroom.teacher_state,
        classroom.votes,
        lambda k: classroom.enter(k, "session"),
        lambda k: classroom.allow(k, NAMES),
        lambda k: classroom.set_chat(k, False),
        lambda k: classroom.push(k, "question", "Why?"),
        lambda k: classroom.change(k, 1, "revealed", True),
        lambda k: classroom.remove(k, 1),
        lambda k: classroom.drop_reply(k, 1, 1),
    ]
    for forged in ("", None, 0, token, code_of(classroom, key), new_key(), key[:-1], [key]):
        for action in actions:
            with pytest.raises(InvalidRequest):
                action(forged)
    assert classroom.knows(token)
    assert classroom.teacher_state(key).chat_open


def test_a_second_teacher_is_refused_and_the_first_comes_back(classroom: ClassService) -> None:
    key = classroom.open()
    with pytest.raises(InvalidRequest, match="running already"):
        classroom.open()
    classroom.enter(key.lower().replace("-", ""), "second screen")
    classroom.close(key)
    assert not classroom.running
    later = classroom.open()
    assert later != key
    with pytest.raises(InvalidRequest):
        classroom.close(key)


def test_the_next_class_knows_nobody_of_the_last(classroom: ClassService) -> None:
    key = classroom.open()
    code = code_of(classroom, key)
    ada = classroom.join(code, "Ada", "here")
    classroom.push(key, "question", "Why?")
    classroom.renew(key)
    assert not classroom.knows(ada)
    state = classroom.teacher_state(key)
    assert state.code != code
    assert (state.students, state.results) == ((), ())


def test_the_rest_of_the_app_is_the_teachers_while_a_class_runs(classroom: ClassService) -> None:
    classroom.admit("anybody")
    key = classroom.open()
    with pytest.raises(InvalidRequest, match="Class tab"):
        classroom.admit("anybody")
    classroom.enter(key, "teacher's page")
    classroom.admit("teacher's page")
    classroom.close(key)
    classroom.admit("anybody")


def test_two_hundred_join_and_there_is_an_end(classroom: ClassService) -> None:
    key = classroom.open()
    code = code_of(classroom, key)
    tokens: list[str] = []
    threads = [
        threading.Thread(target=lambda: tokens.append(classroom.join(code, "Sam", "here")))
        for _ in range(200)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(set(tokens)) == 200
    assert len({row.name for row in classroom.teacher_state(key).students}) == 200
    for _ in range(MAX_STUDENTS - 200):
        classroom.join(code, "Sam", "here")
    with pytest.raises(InvalidRequest, match="full"):
        classroom.join(code, "Sam", "here")


def test_guessing_codes_is_slowed_down_by_address(classroom: ClassService) -> None:
    key = classroom.open()
    code = code_of(classroom, key)
    for _ in range(60):
        with pytest.raises(InvalidRequest, match="not the code"):
            classroom.join("CCCCC" if code != "CCCCC" else "DDDDD", "Eve", "eve")
    with pytest.raises(InvalidRequest, match="wait"):
        classroom.join(code, "Eve", "eve")
    # A teacher behind the same address is not locked out, and neither is anybody elsewhere.
    classroom.enter(key, "session")
    classroom.join(code, "Ada", "ada")


def test_a_question_is_answered_by_choice_and_once_each(classroom: ClassService) -> None:
    key = classroom.open()
    ada, bob = (classroom.join(code_of(classroom, key), name, "here") for name in ("Ada", "Bob"))
    number = classroom.push(key, "question", "Which?", ["red", "blue"])
    classroom.reply(ada, number, None, 0)
    classroom.reply(ada, number, None, 1)
    for wrong in (2, -1, True, "0", None):
        with pytest.raises(InvalidRequest):
            classroom.reply(bob, number, "red", wrong)
    (result,) = classroom.teacher_state(key).results
    assert [(reply.name, reply.text) for reply in result.replies] == [("Ada", "blue")]
    assert [row.done for row in classroom.teacher_state(key).students] == [True, False]
    assert classroom.student_state(bob).reply is None
    classroom.change(key, number, "open", False)
    with pytest.raises(InvalidRequest, match="closed"):
        classroom.reply(bob, number, None, 0)


def test_an_older_question_takes_no_more_answers(classroom: ClassService) -> None:
    key = classroom.open()
    ada = classroom.join(code_of(classroom, key), "Ada", "here")
    first = classroom.push(key, "question", "One?")
    second = classroom.push(key, "question", "Two?")
    with pytest.raises(InvalidRequest, match="closed"):
        classroom.reply(ada, first, "late", None)
    classroom.reply(ada, second, "in time", None)
    classroom.drop_reply(key, second, classroom.teacher_state(key).students[0].id)
    assert classroom.student_state(ada).reply is None


@pytest.mark.parametrize(
    ("kind", "text", "choices"),
    [
        ("watch", "Hi", []),  # no model is allowed
        ("shout", "Hi", []),
        ("question", "", []),
        ("question", "x" * 5000, []),
        ("question", 7, []),
        ("question", "Hi", ["one"]),
        ("question", "Hi", ["one", "one"]),
        ("question", "Hi", ["one", ""]),
        ("question", "Hi", [str(n) for n in range(9)]),
        ("question", "Hi", "one, two"),
    ],
)
def test_a_wrong_push_is_one_sentence(
    classroom: ClassService, kind: object, text: object, choices: object
) -> None:
    key = classroom.open()
    with pytest.raises(InvalidRequest):
        classroom.push(key, kind, text, choices)
    assert classroom.teacher_state(key).results == ()


def test_clicks_of_one_student_have_a_limit(classroom: ClassService) -> None:
    key = classroom.open()
    code = code_of(classroom, key)
    ada, bob = classroom.join(code, "Ada", "here"), classroom.join(code, "Bob", "here")
    number = classroom.push(key, "question", "Why?")
    for each in range(CLICKS_PER_MINUTE):
        classroom.reply(ada, number, f"{each}", None)
    with pytest.raises(InvalidRequest, match="too often"):
        classroom.reply(ada, number, "again", None)
    classroom.reply(bob, number, "because", None)


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


def test_a_spreadsheet_runs_nothing(classroom: ClassService) -> None:
    key = classroom.open()
    ada = classroom.join(code_of(classroom, key), "=1+1", "here")
    number = classroom.push(key, "question", "@SUM(A1)")
    classroom.reply(ada, number, "=HYPERLINK(1)", None)
    text = class_csv(classroom.teacher_state(key).results, classroom.votes(key))
    (row,) = csv.DictReader(io.StringIO(text))
    assert row["who"] == "'=1+1"
    assert row["text"] == "'=HYPERLINK(1)"
    assert row["prompt"] == "'@SUM(A1)"

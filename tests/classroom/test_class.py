"""A class as its service runs it: who may do what, and what is pushed and answered by hand."""

from __future__ import annotations

import csv
import io
import threading
from collections.abc import Callable

import pytest

from slm_explorer.classroom.codes import new_key
from slm_explorer.classroom.export import class_csv
from slm_explorer.classroom.room import CLICKS_PER_MINUTE, MAX_STUDENTS
from slm_explorer.classroom.service import ClassService
from slm_explorer.errors import InvalidRequest
from tests.classroom.acts import code_of
from tests.classroom.conftest import NAMES


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

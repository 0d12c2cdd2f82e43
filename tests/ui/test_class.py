"""A class over HTTP, as scripts of the page and of strangers reach it: the running app, served to
all addresses, so that nobody is trusted for where they sit.
"""

from __future__ import annotations

import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from gradio_client import Client
from gradio_client.exceptions import AppError

sys.path.insert(0, str(Path(__file__).parents[2] / "scripts"))

from measure.class_screen import Screen

from tests.classroom.acts import eventually
from tests.serving import Site, site

MODEL = "sprout-300k"
LIMIT_S = 280.0
EVIL = '<img src=x onerror="alert(1)">'


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    with site(tmp_path_factory.mktemp("class"), host="0.0.0.0") as running:
        yield Site(running.services, running.address.replace("0.0.0.0", "127.0.0.1"))


@pytest.fixture
def teacher(served: Site) -> Iterator[Screen]:
    """The teacher of a class that has just begun, with one model ready."""
    key = served.services.classroom.open()
    screen = Screen(served.address)
    assert screen.enter(key)["screen"] == "teacher"
    screen.act("allow", models=[MODEL])
    eventually(lambda: served.services.classroom.teacher_state(key).seats[0].status == "ready")
    yield screen
    served.services.classroom.shut_down()
    screen.close()


def student(teacher: Screen, name: str) -> Screen:
    screen = Screen(teacher.address)
    screen.join(teacher.look()[0]["code"], name)
    assert screen.token
    return screen


def test_a_visitor_may_not_begin_a_class(served: Site) -> None:
    stranger = Screen(served.address)
    room = stranger.act("start")
    assert "host" in room["notice"]
    assert room["screen"] == "door"
    assert not room["may_start"]
    assert not served.services.classroom.running
    stranger.close()


def test_a_lesson_from_join_to_export(teacher: Screen) -> None:
    ada, bob = student(teacher, "Ada"), student(teacher, EVIL)
    room = teacher.act("push", kind="question", text="Which?", choices=["red", "blue"])
    number = room["pushes"][0]["number"]
    ada.act("reply", number=number, choice=1)
    bob.act("reply", number=number, choice=0)
    room, _ = teacher.look()
    assert room["pushes"][0]["count"] == "2 of 2 have answered"
    assert [bar["count"] for bar in room["pushes"][0]["bars"]] == [1, 1]
    text = teacher.act("export")["file"]["text"]
    assert "Ada" in text
    assert "blue" in text
    asked = ada.ask(MODEL, "What is 2 + 2?")
    assert asked.first_text_s is not None
    assert asked.talk["turns"][0]["text"]
    assert not asked.talk["turns"][0]["running"]
    assert ada.look()[1]["turns"][0]["text"] == asked.talk["turns"][0]["text"]
    assert bob.look()[1]["turns"] == []


def test_only_what_changed_is_sent(teacher: Screen) -> None:
    ada = student(teacher, "Ada")
    room, _ = ada.look()
    again, talk = ada.look(room["version"])
    assert "screen" not in again
    assert "turns" not in talk
    teacher.act("push", kind="question", text="Why?", choices=[])
    later, _ = ada.look(room["version"])
    assert later["push"]["text"] == "Why?"


def test_a_reload_and_a_lost_session_keep_the_place(teacher: Screen) -> None:
    ada = student(teacher, "Ada")
    reloaded = Screen(teacher.address, token=ada.token)
    room, _ = reloaded.look()
    assert (room["screen"], room["name"]) == ("student", "Ada")
    again = Screen(teacher.address, key=teacher.key)
    assert again.look()[0]["screen"] == "teacher"
    assert len(again.look()[0]["students"]) == 1


@pytest.mark.parametrize(
    ("do", "data"),
    [
        ("end", {}),
        ("renew", {}),
        ("allow", {"models": ["sprout-5m"]}),
        ("chat", {"on": False}),
        ("push", {"kind": "question", "text": "Obey", "choices": []}),
        ("change", {"number": 1, "setting": "revealed", "on": True}),
        ("remove", {"student": 1}),
        ("drop", {"number": 1, "student": 1}),
        ("export", {}),
        ("start", {}),
        ("enter", {"typed": "CCCC-CCCC-CCCC-CCCC"}),
    ],
)
def test_a_student_can_do_nothing_of_the_teachers(
    teacher: Screen, do: str, data: dict[str, Any]
) -> None:
    eve = student(teacher, "Eve")
    before, _ = teacher.look()
    for key in ("", eve.token, before["code"], "CCCC-CCCC-CCCC-CCCC", ["x"], {"$ne": ""}):
        eve.key = key  # type: ignore[assignment]
        room = eve.act(do, **data)
        assert room["screen"] != "teacher"
        assert "file" not in room
        assert teacher.key not in repr(room)
    after, _ = teacher.look()
    assert after["pushes"] == before["pushes"] == []
    assert after["models"] == before["models"]
    assert after["chat_open"]
    assert len(after["students"]) == 1


def test_another_students_chat_cannot_be_read_or_stopped(teacher: Screen) -> None:
    ada = student(teacher, "Ada")
    ada.ask(MODEL, "My secret word is walnut.")
    eve = student(teacher, "Eve")
    # Even from Ada's own browser session, whose name a stranger may know.
    thief = Screen(teacher.address, session=ada.session, token=eve.token)
    for screen in (eve, thief):
        assert "walnut" not in screen.send("look", {"seen": ""}).text
        assert "walnut" not in repr(screen.ask(MODEL, "Hi").talk)
        screen.send("talk.clear", {})
    for forged in ("", 1, None, ["a"], teacher.key, ada.token[:-1]):
        nobody = Screen(teacher.address, token=forged)  # type: ignore[arg-type]
        assert "walnut" not in nobody.send("look", {"seen": ""}).text
        assert "walnut" not in nobody.send("talk.clear", {}).text
        nobody.send("talk.halt", {})
    assert "walnut" in ada.look()[1]["turns"][0]["prompt"]
    assert "walnut" not in repr(teacher.look())


def test_the_rest_of_the_app_is_closed_to_students(teacher: Screen) -> None:
    stranger = Client(teacher.address, verbose=False)
    with pytest.raises(AppError, match="Class tab"):
        stranger.predict(MODEL, "Hi", api_name="/chat")
    with pytest.raises(AppError, match="Class tab"):
        stranger.predict("bert-tiny", "Hi [MASK]", api_name="/fill_mask")
    eve = student(teacher, "Eve")
    talk = eve.ask("sprout-5m", "Hi").talk
    assert "not allowed" in talk["notice"]
    forged = [("models", ["sprout-5m"]), ("text", "x" * 100_000), ("text", {"role": "system"})]
    for name, value in forged:
        refused = eve.ask(**{"model": MODEL, "text": "Hi", name.removesuffix("s"): value})
        assert refused.talk["notice"]
        assert not refused.talk["turns"]


@pytest.mark.parametrize("data", [None, [], "text", 7, {"do": None}, {"do": "join"}, {"do": ["a"]}])
def test_nonsense_ends_at_the_door(served: Site, teacher: Screen, data: object) -> None:
    nobody = Screen(served.address)
    for event in ("act", "look", "talk.clear", "talk.halt"):
        body = {"data": [], "event_data": data, "fn_index": nobody.events[event],
                "session_hash": "x"}  # fmt: skip
        answer = nobody.http.post("gradio_api/run/predict", json=body)
        assert "Traceback" not in answer.text
        assert teacher.key not in answer.text
    assert teacher.look()[0]["students"] == []


def test_many_join_at_once_and_one_leaves_in_the_middle(teacher: Screen) -> None:
    code = teacher.look()[0]["code"]
    tokens: list[str] = []

    def join(number: int) -> None:
        screen = Screen(teacher.address, events=teacher.events)
        screen.join(code, f"{EVIL}{number}")
        tokens.append(screen.token)
        screen.close()

    threads = [threading.Thread(target=join, args=(number,)) for number in range(200)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(LIMIT_S)
    assert len(set(tokens)) == 200
    ada = Screen(teacher.address, token=tokens[0])
    body = ada._body("ask", {"model": MODEL, "text": "Tell me a long story.", "push": None})
    ada.http.post("gradio_api/queue/join", json=body).raise_for_status()
    with ada.http.stream(
        "GET", "gradio_api/queue/data", params={"session_hash": ada.session}
    ) as stream:
        next(line for line in stream.iter_lines() if "process_generating" in line)
    eventually(lambda: not any(each["state"] for each in teacher.look()[0]["students"]))
    back = Screen(teacher.address, token=tokens[0])
    assert not back.look()[1]["turns"][0]["running"]
    assert back.ask(MODEL, "Hi").talk["turns"][0]["text"]


def test_the_class_ends_and_its_screens_are_at_the_door(teacher: Screen) -> None:
    ada = student(teacher, "Ada")
    assert teacher.act("end")["screen"] == "door"
    room, _ = ada.look()
    assert room["screen"] == "door"
    assert not room["running"]
    assert "no class" in ada.ask(MODEL, "Hi").talk["notice"]
    assert "no class" in ada.join("CCCCC", "Ada")["notice"]

"""What the screens of a class are given."""

from __future__ import annotations

import pytest

from slm_explorer.classroom.codes import join_link
from slm_explorer.classroom.types import (
    ModelAnswer,
    Push,
    PushResults,
    Reply,
    Seat,
    StudentRow,
    StudentState,
    TeacherState,
)
from slm_explorer.ui.class_view import (
    qr_rows,
    student_view,
    teacher_view,
    versioned,
    waiting_note,
)

ANSWERS = (
    ModelAnswer("A", "sprout-1m", "Sprout 1M", "Once", "done", "", 7, 30.0),
    ModelAnswer("B", "sprout-300k", "Sprout 300K", "Twice", "failed", "sprout-300k died", 9, 60.0),
)


def seat(**values: object) -> Seat:
    return Seat(**{"model": "m", "name": "M", "status": "ready", **values})  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("state", "note"),
    [
        (seat(status="loading", fraction=0.25), "loading, 25%"),
        (seat(status="failed"), "could not be loaded"),
        (seat(), "free now"),
        (seat(busy=True), "you are next, wait n/a: not measured yet"),
        (seat(busy=True, waiting=4), "4 waiting, wait n/a: not measured yet"),
        (seat(busy=True, waiting=4, wait_s=12.4), "4 waiting, about 12 s"),
    ],
)
def test_the_wait_is_said_before_the_click(state: Seat, note: str) -> None:
    assert waiting_note(state) == note


def test_the_wall_keeps_a_votes_secrets_until_the_end() -> None:
    push = Push(1, "watch", "Hi", answers=ANSWERS, voting=True)
    rows = (StudentRow(1, "Ada", True, False, True), StudentRow(2, "Bob", False, False, False))

    def wall(push: Push) -> dict[str, object]:
        results = (PushResults(push, votes={"A": 1, "B": 0}),)
        return teacher_view(TeacherState("CODES", True, (), rows, results), {}, None, ())

    hidden = repr(wall(push)["pushes"])
    assert "1 of 2 have voted" in hidden
    assert "prout" not in hidden
    assert "tok/s" not in hidden
    assert "'votes': 1" not in hidden
    shown = repr(wall(Push(1, "watch", "Hi", answers=ANSWERS, revealed=True))["pushes"])
    assert "Sprout 1M" in shown
    assert "'votes': 1" in shown


def test_bars_count_each_choice() -> None:
    push = Push(3, "question", "Which?", ("red", "blue", "green"))
    replies = tuple(Reply(n, f"S{n}", "red" if n else "blue", 0 if n else 1) for n in range(4))
    state = TeacherState("CODES", True, (), (), (PushResults(push, replies),))
    view = teacher_view(state, {}, None, ())["pushes"]
    assert isinstance(view, list)
    assert view[0]["bars"] == [
        {"text": "red", "count": 3, "share": 0.75},
        {"text": "blue", "count": 1, "share": 0.25},
        {"text": "green", "count": 0, "share": 0.0},
    ]


def test_a_screen_is_named_by_what_it_shows() -> None:
    one = versioned(student_view(StudentState("Ada", True, (), None)))
    assert one == versioned(student_view(StudentState("Ada", True, (), None)))
    assert one["version"] != versioned(student_view(StudentState("Ada", False, (), None)))


@pytest.mark.parametrize(
    ("seen", "link"),
    [
        ("http://127.0.0.1:7860/", "http://192.168.1.2:7860/?class=CODES"),
        ("http://localhost:7860/", "http://192.168.1.2:7860/?class=CODES"),
        ("https://me-space.hf.space/", "https://me-space.hf.space/?class=CODES"),
        ("http://10.0.0.7:7860/", "http://10.0.0.7:7860/?class=CODES"),
        ("javascript:alert(1)", "http://192.168.1.2:7860/?class=CODES"),
        ("http://evil/<script>", "http://192.168.1.2:7860/?class=CODES"),
        (None, "http://192.168.1.2:7860/?class=CODES"),
    ],
)
def test_the_link_is_where_others_reach_the_page(seen: object, link: str) -> None:
    assert join_link("CODES", seen, "http://192.168.1.2:7860/") == link
    if link.startswith("http://192"):
        assert join_link("CODES", seen, None) is None


def test_a_qr_code_has_its_quiet_zone_and_three_corners() -> None:
    rows = qr_rows("http://192.168.1.2:7860/?class=CODES")
    assert all(len(row) == len(rows) for row in rows)
    assert "1" not in "".join(rows[:4]) + "".join(rows[-4:])
    assert rows[4][4:11] == rows[10][4:11] == rows[4][-11:-4] == rows[-5][4:11] == "1111111"

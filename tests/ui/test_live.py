"""What the page asks for beside Gradio's events: who is heard, what is newer, what is given."""

from __future__ import annotations

from starlette.applications import Starlette
from starlette.testclient import TestClient

from slm_explorer.ui.live import HEARD_S, Live, LiveRuns


def nothing() -> None:
    """What a run is ended with, where that is not the question."""


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def test_a_run_is_heard_as_long_as_a_page_asks() -> None:
    clock = Clock()
    live = Live(nothing, clock)
    assert not live.heard
    live.newer(0)
    assert live.heard
    clock.now += HEARD_S
    assert not live.heard


def test_only_what_the_page_has_not_seen_is_given_and_only_the_newest() -> None:
    live = Live(nothing)
    assert live.newer(0) is None
    live.show(lambda: "one")
    live.show(lambda: "two")
    assert live.newer(0) == {"flush": 2, "shown": "two"}
    assert live.newer(2) is None


def test_what_nobody_asks_for_is_not_made() -> None:
    made: list[str] = []
    live = Live(nothing)
    for word in ("one", "two"):
        live.show(lambda word=word: made.append(word))  # type: ignore[misc]
    live.newer(2)
    assert not made
    live.newer(1)
    assert made == ["two"]


def test_an_address_for_each_run_and_one_for_the_strip() -> None:
    runs = LiveRuns()
    client = TestClient(Starlette(routes=[runs.routes(lambda: {"items": []})]))
    mine, yours = runs.start(nothing), runs.start(nothing)
    mine.show(lambda: "for me")
    assert client.get(f"/slm-live/run/{mine.ticket}?after=0").json()["shown"] == "for me"
    assert client.get(f"/slm-live/run/{yours.ticket}?after=0").status_code == 204
    assert client.get("/slm-live/strip").json() == {"items": []}
    runs.finish(mine)
    assert client.get(f"/slm-live/run/{mine.ticket}?after=0").status_code == 204


def test_a_page_that_is_closed_ends_its_own_run_only() -> None:
    ended: list[str] = []
    runs = LiveRuns()
    client = TestClient(Starlette(routes=[runs.routes(dict)]))
    mine = runs.start(lambda: ended.append("mine"))
    runs.start(lambda: ended.append("yours"))
    assert client.get("/slm-live/end/x").status_code == 204
    assert not ended
    assert client.get(f"/slm-live/end/{mine.ticket}").status_code == 204
    assert ended == ["mine"]


def test_a_question_that_makes_no_sense_gets_nothing() -> None:
    runs = LiveRuns()
    client = TestClient(Starlette(routes=[runs.routes(dict)]))
    live = runs.start(nothing)
    live.show(lambda: "words")
    for after in ("", "-1", "x", "1e9", "٣x", "9" * 5000):
        answer = client.get(f"/slm-live/run/{live.ticket}", params={"after": after})
        assert (answer.status_code, answer.content) == (204, b"")
    assert client.post(f"/slm-live/run/{live.ticket}").status_code == 405

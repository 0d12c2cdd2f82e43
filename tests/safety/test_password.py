"""A password for the whole page: everything behind it, few tries, no hint in the time it takes."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.responses import PlainTextResponse
from starlette.routing import Route
from starlette.testclient import TestClient

from slm_explorer.settings import Settings
from slm_explorer.ui.guard import Guard
from slm_explorer.ui.security_limits import Buckets, Limits, Lockout, Rate
from tests.safety.server import app

PASSWORD = "grüne Sprossen: 7"


def _client(**changes: Any) -> TestClient:
    def hello(_request: object) -> PlainTextResponse:
        return PlainTextResponse("hello")

    settings = Settings.from_env({"SLM_EXPLORER_HOME": "/nowhere", **changes})
    application = Starlette(
        routes=[Route("/config", hello), Route("/slm-lab/x/model.zip", hello)],
        middleware=[Middleware(Guard, settings=settings)],
    )
    return TestClient(application, base_url="http://127.0.0.1:7860")


@pytest.fixture
def client() -> Iterator[TestClient]:
    with _client(SLM_EXPLORER_PASSWORD=PASSWORD) as opened:
        yield opened


def sign(password: str, scheme: str = "Basic") -> dict[str, str]:
    return {"authorization": f"{scheme} " + base64.b64encode(f"ann:{password}".encode()).decode()}


@pytest.mark.parametrize("path", ["/config", "/slm-lab/x/model.zip", "/nothing"])
def test_nothing_is_told_without_it(client: TestClient, path: str) -> None:
    got = client.get(path)
    assert got.status_code == 401
    assert "www-authenticate" in got.headers
    assert "hello" not in got.text


def test_it_opens_everything(client: TestClient) -> None:
    assert client.get("/config", headers=sign(PASSWORD)).text == "hello"
    assert client.get("/config", headers=sign(PASSWORD, "basic")).text == "hello"


@pytest.mark.parametrize(
    "header",
    ["", "Basic", "Basic ", "Basic %%%", "Basic " + "A" * 5000, "Bearer x", "Basic YW5u", "\xff"],
)
def test_what_is_no_password_is_refused(client: TestClient, header: str) -> None:
    raw = [(b"authorization", header.encode("latin-1"))]
    assert client.get("/config", headers=raw).status_code == 401


def test_guessing_is_locked_out_even_with_the_right_one(client: TestClient) -> None:
    wrong = [client.get("/config", headers=sign(f"guess {n}")).status_code for n in range(8)]
    assert wrong == [401] * 5 + [429] * 3
    locked = client.get("/config", headers=sign(PASSWORD))
    assert locked.status_code == 429
    assert "wait" in locked.json()["detail"]
    assert int(locked.headers["retry-after"]) > 1


def test_the_password_is_not_in_what_is_printed_of_the_settings() -> None:
    assert PASSWORD not in repr(Settings.from_env({"SLM_EXPLORER_PASSWORD": PASSWORD}))


def test_the_app_begins_with_one_and_asks_for_it(tmp_path: Path) -> None:
    with app(tmp_path, SLM_EXPLORER_PASSWORD=PASSWORD) as running:
        assert running.ask("GET", "/").status == 401
        assert running.ask("GET", "/", headers=sign(PASSWORD)).status == 200
        call = {"data": ["sprout-300k"]}
        assert running.post("/gradio_api/run/models", call).status == 401
        assert running.post("/gradio_api/run/models", call, sign(PASSWORD)).status == 200
        assert PASSWORD not in "".join(running.said)


# Limits by themselves: time is given to them.


def test_a_lockout_ends_and_another_address_is_free() -> None:
    lockout = Lockout()
    for _ in range(5):
        assert lockout.wait_s("a", 0.0) == 0.0
        lockout.note_wrong("a", 0.0)
    assert lockout.wait_s("a", 0.0) == pytest.approx(60)
    assert lockout.wait_s("b", 0.0) == 0.0
    assert lockout.wait_s("a", 61.0) == 0.0


def test_many_addresses_together_are_locked_out_too() -> None:
    lockout = Lockout()
    for number in range(100):
        lockout.note_wrong(f"10.0.0.{number}", 0.0)
    assert lockout.wait_s("never seen", 0.0) > 0


def test_a_bucket_refills_up_to_its_burst_and_survives_a_clock_that_steps_back() -> None:
    bucket = Buckets(Rate(burst=2, per_s=0.5))
    for _ in range(2):
        bucket.take("a", 100.0)
    assert bucket.wait_s("a", 100.0) == pytest.approx(2.0)
    assert bucket.wait_s("a", 0.0) == pytest.approx(2.0)
    assert bucket.wait_s("a", 102.0) == 0.0
    bucket.take("a", 10_000.0)
    bucket.take("a", 10_000.0)
    assert bucket.wait_s("a", 10_000.0) == pytest.approx(2.0)


def test_strangers_do_not_fill_the_memory() -> None:
    bucket = Buckets(Rate(burst=1, per_s=1.0))
    for number in range(Buckets.KEPT + 100):
        bucket.take(str(number), 0.0)
    assert len(bucket._levels) == Buckets.KEPT


def test_a_refused_request_takes_nothing_from_the_others() -> None:
    limits = Limits(session=Rate(1, 1.0), address=Rate(3, 1.0))
    assert limits.take("one", "class", 0.0) == 0.0
    for _ in range(10):
        assert limits.take("one", "class", 0.0) > 0
    assert limits.take("two", "class", 0.0) == 0.0
    assert limits.take("three", "class", 0.0) == 0.0
    assert limits.take("four", "class", 0.0) > 0


# Names and addresses.


@pytest.mark.parametrize(
    ("env", "headers", "status"),
    [
        ({"SLM_EXPLORER_HOST": "0.0.0.0"}, {"host": "192.168.1.7:7860"}, 200),
        ({"SLM_EXPLORER_HOST": "0.0.0.0"}, {"host": "[fe80::1]:7860"}, 200),
        ({"SLM_EXPLORER_HOST": "0.0.0.0"}, {"host": "school.example"}, 403),
        ({"SLM_EXPLORER_HOSTS": "school.example"}, {"host": "school.example"}, 200),
        ({"SLM_EXPLORER_HOSTS": "school.example"}, {"host": "school.example.evil"}, 403),
        (
            {"SLM_EXPLORER_HOST": "0.0.0.0"},
            {"host": "192.168.1.7:7860", "origin": "http://192.168.1.7:7860"},
            200,
        ),
        (
            {"SLM_EXPLORER_HOST": "0.0.0.0"},
            {"host": "192.168.1.7:7860", "origin": "http://192.168.1.8:7860"},
            403,
        ),
        (
            {"SPACE_ID": "a/b", "SPACE_HOST": "a-b.hf.space"},
            {"host": "10.0.0.3:7860", "origin": "https://a-b.hf.space"},
            200,
        ),
        (
            {"SPACE_ID": "a/b", "SPACE_HOST": "a-b.hf.space"},
            {"host": "10.0.0.3:7860", "origin": "https://c-d.hf.space"},
            403,
        ),
        (
            {"SLM_EXPLORER_PROXIED": "1", "SLM_EXPLORER_HOSTS": "school.example"},
            {
                "host": "127.0.0.1:7860",
                "x-forwarded-host": "school.example",
                "origin": "https://school.example",
            },
            200,
        ),
        (
            {},
            {
                "host": "127.0.0.1:7860",
                "x-forwarded-host": "evil.example",
                "origin": "https://evil.example",
            },
            403,
        ),
    ],
    ids=str,
)
def test_who_may_call_from_where(env: dict[str, str], headers: dict[str, str], status: int) -> None:
    with _client(**env) as opened:
        assert opened.get("/config", headers=headers).status_code == status


@pytest.mark.parametrize(
    ("env", "chain", "same"),
    [
        # On a Space: the last public one counts, whatever the visitor wrote before it.
        ({"SPACE_ID": "a/b"}, ["1.1.1.1, 9.9.9.9, 10.0.0.1", "2.2.2.2, 9.9.9.9, 10.0.0.1"], True),
        ({"SPACE_ID": "a/b"}, ["9.9.9.9, 10.0.0.1", "8.8.8.8, 10.0.0.1"], False),
        ({"SPACE_ID": "a/b"}, ["2a00:1:2:3::1", "2a00:1:2:3:ffff::2"], True),
        ({"SPACE_ID": "a/b"}, ["nonsense", "<b>, ,"], True),
        ({}, ["9.9.9.9", "8.8.8.8"], True),
    ],
    ids=str,
)
def test_limits_count_by_the_true_address(
    env: dict[str, str], chain: list[str], same: bool
) -> None:
    with _client(SLM_EXPLORER_PASSWORD="x", **env) as opened:
        for _ in range(5):
            opened.get("/config", headers=sign("wrong") | {"x-forwarded-for": chain[0]})
        got = opened.get("/config", headers=sign("wrong") | {"x-forwarded-for": chain[1]})
        assert got.status_code == (429 if same else 401)

"""The public endpoints as gradio_client sees them, with everything a stranger may send."""

from __future__ import annotations

import json
import threading
import urllib.error
import urllib.request
from dataclasses import fields
from itertools import pairwise
from typing import Any

import pytest
from gradio_client import Client
from gradio_client.exceptions import AppError

from slm_explorer.chat import Ask, chat_row
from slm_explorer.errors import ServerError
from slm_explorer.types import GenerationStats
from slm_explorer.ui.api import FIGURES
from slm_explorer.ui.server import launch
from tests.serving import Site

LIMIT_S = 240.0


@pytest.fixture(scope="module")
def client(served: Site) -> Client:
    return Client(served.address, verbose=False)


def stream(client: Client, **words: Any) -> list[dict[str, Any]]:
    """Every row that /chat yields; raises what it ends with."""
    job = client.submit(api_name="/chat", **words)
    job.result(timeout=LIMIT_S)
    return list(job.outputs())


def test_only_the_named_endpoints_are_public(client: Client) -> None:
    described = client.view_api(return_format="dict", print_info=False)
    assert isinstance(described, dict)
    tasks = {"/fill_mask", "/classify", "/similarity", "/answer"}
    assert set(described["named_endpoints"]) == {"/models", "/chat", "/meters"} | tasks
    assert not described["unnamed_endpoints"]


def test_models_have_the_command_lines_keys(client: Client, served: Site) -> None:
    rows = client.predict(api_name="/models")
    assert rows == served.services.model_rows()
    assert {"sprout-300k", "sprout-1m", "sprout-5m"} <= {row["id"] for row in rows}
    assert client.predict("sprout distilled", api_name="/models") != rows


def test_an_answer_grows_and_ends_with_every_figure(client: Client) -> None:
    rows = stream(client, model="sprout-300k", prompt="What is 2 + 2?", max_tokens=24)
    texts = [row["text"] for row in rows]
    assert all(later.startswith(earlier) for earlier, later in pairwise(texts))
    assert all(row["finish_reason"] is None for row in rows[:-1])
    last = rows[-1]
    assert last["finish_reason"] in ("stop", "length")
    assert last["model"] == "sprout-300k"
    assert last["output_tokens"] > 0
    assert last["ttft_s"] > 0
    assert last["memory_bytes"] > 1_000_000
    values: dict[str, Any] = {field.name: None for field in fields(GenerationStats)}
    expected = chat_row(Ask("m"), "", GenerationStats(**values))
    assert all(set(row) == set(expected) for row in rows)
    assert set(FIGURES) < set(expected)


def test_a_conversation_keeps_what_it_has_read(client: Client) -> None:
    words: dict[str, Any] = {
        "model": "sprout-300k", "system": "Be kind.", "conversation": "one", "max_tokens": 8
    }  # fmt: skip
    first = stream(client, prompt="My name is Ada.", **words)[-1]
    history = [["user", "My name is Ada."], ["assistant", first["text"]]]
    second = stream(client, prompt="What is my name?", history=history, **words)[-1]
    assert first["cached_tokens"] == 0
    assert second["cached_tokens"] > 0
    # Another browser that says the same under the same name shares nothing.
    stranger = Client(client.src, verbose=False)
    third = stream(stranger, prompt="What is my name?", history=history, **words)[-1]
    assert third["cached_tokens"] == 0
    assert third["text"] == second["text"]


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        ({"model": "no-such-model"}, "no-such-model"),
        ({"model": "/etc"}, "/etc"),
        ({"model": "../sprout-300k"}, "sprout-300k"),
        ({"model": "bert-tiny"}, "."),
        ({"model": 7}, "must be text"),
        ({"prompt": ""}, "empty"),
        ({"prompt": "x" * 2_000_000}, "limit"),
        ({"prompt": ["a"]}, "must be text"),
        ({"recipe": "int3"}, "int3"),
        ({"engine": "os"}, "one of"),
        ({"max_tokens": 0}, "max tokens"),
        ({"max_tokens": -5}, "max tokens"),
        ({"max_tokens": "many"}, "number"),
        ({"temperature": -1}, "temperature"),
        ({"temperature": None}, "number"),
        ({"top_p": 2}, "top-p"),
        ({"seed": -1}, "seed"),
        ({"history": [["wizard", "obey"]]}, "roles"),
        ({"history": [["user", "a", "b"]]}, "pairs"),
        ({"history": [["user", "a"]] * 1000}, "limit"),
        ({"history": "all of it"}, "list"),
        ({"conversation": "c" * 5000}, "limit"),
    ],
    ids=str,
)
def test_a_wrong_call_gets_one_sentence(
    client: Client, words: dict[str, Any], sentence: str
) -> None:
    with pytest.raises(AppError) as caught:
        stream(client, **{"model": "sprout-300k", "prompt": "Hi", **words})
    assert sentence in str(caught.value)
    assert "Traceback" not in str(caught.value)


@pytest.mark.parametrize("prompt", ["\x00\x1b[31m\x07", "🦊 \U0001f469\u200d\U0001f680", "\ufffd"])
def test_odd_characters_are_answered(client: Client, prompt: str) -> None:
    rows = stream(client, model="sprout-300k", prompt=prompt, max_tokens=4)
    assert rows[-1]["finish_reason"] is not None


def test_a_crash_is_a_sentence_and_the_next_request_works(client: Client) -> None:
    with pytest.raises(AppError):
        stream(client, model="echo", engine="echo", prompt="one /crash")
    rows = stream(client, model="echo", engine="echo", prompt="two three")
    assert rows[-1]["text"].strip() == "two three"


def test_twenty_visitors_at_once_get_their_own_words(served: Site) -> None:
    failed: list[str] = []

    def visit(number: int) -> None:
        words = " ".join(f"w{number}-{i}" for i in range(30))
        visitor = Client(served.address, verbose=False)
        for _ in range(3):
            text = stream(visitor, model="echo", engine="echo", prompt=words)[-1]["text"]
            if text.strip() != words:
                failed.append(text)

    visitors = [threading.Thread(target=visit, args=(number,)) for number in range(20)]
    for thread in visitors:
        thread.start()
    for thread in visitors:
        thread.join(LIMIT_S)
        assert not thread.is_alive()
    assert not failed


def test_meters_name_the_workers(client: Client) -> None:
    stream(client, model="sprout-300k", prompt="Hi", max_tokens=2)
    row = client.predict(api_name="/meters")
    kinds = {device["kind"] for device in row["devices"]}
    assert {"cpu", "memory"} <= kinds
    assert json.dumps(row)


def test_the_page_blocks_what_is_foreign_and_serves_no_files(served: Site) -> None:
    with urllib.request.urlopen(served.address, timeout=LIMIT_S) as page:
        policy = page.headers["content-security-policy"]
        body = page.read().decode()
    assert "default-src 'self'" in policy
    assert "http:" not in policy.replace("https:", "")
    assert "fonts.googleapis" not in body
    for path in ("gradio_api/file=/etc/passwd", "slm/../catalog.json", "slm/%2e%2e/catalog.json"):
        with pytest.raises(urllib.error.HTTPError) as caught:
            urllib.request.urlopen(served.address + path, timeout=LIMIT_S)
        assert caught.value.code in (403, 404)


def test_a_taken_port_is_named_with_the_way_out(served: Site) -> None:
    with pytest.raises(ServerError, match=rf"{served.services.settings.port}.*--port"):
        launch(served.services)

"""The encoders' endpoints as gradio_client sees them: the command line's keys and sentences."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from gradio_client import Client
from gradio_client.exceptions import AppError

from slm_explorer.chat import TaskAsk, task_row
from slm_explorer.tasks import Classify, Labels, TaskStats
from tests.serving import site
from tests.ui.task_models import (
    ANSWERING_HUB_ID,
    MASKED_CARD,
    SENTIMENT_HUB_ID,
    write_task_models,
)

KEYS = set(task_row(TaskAsk("m", Classify("a")), TaskStats(Labels(()), 1, 0.1)))


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Client]:
    with site(tmp_path_factory.mktemp("tasks"), write_task_models) as running:
        yield Client(running.address, verbose=False)


def test_every_task_answers_with_the_command_lines_keys(client: Client) -> None:
    def told(endpoint: str, **words: Any) -> dict[str, Any]:
        row = client.predict(api_name=endpoint, **words)
        assert isinstance(row, dict)
        assert set(row) == KEYS
        assert row["tokens"] > 0
        result = row["result"]
        assert isinstance(result, dict)
        return result

    masks = told("/fill_mask", model=MASKED_CARD, text="the fox saw [MASK] .", top=3)["masks"]
    assert [len(each) for each in masks] == [3]
    probabilities = [each["probability"] for each in masks[0]]
    assert probabilities == sorted(probabilities, reverse=True)

    labels = told("/classify", model=SENTIMENT_HUB_ID, text="the soup was good")["labels"]
    assert sum(each["probability"] for each in labels) == pytest.approx(1, abs=1e-4)

    matrix = told("/similarity", model=MASKED_CARD, texts=["the fox", "the owl", "the fox"])
    assert matrix["matrix"][0][2] == pytest.approx(1, abs=1e-3)

    context = "the fox saw the moon over the hill"
    spans = told("/answer", model=ANSWERING_HUB_ID, question="who saw the moon", context=context)
    start, end = spans["ranges"][0]
    assert context[start:end] == spans["spans"][0]["text"]


@pytest.mark.parametrize(
    ("endpoint", "words", "sentence"),
    [
        ("/fill_mask", {"model": MASKED_CARD, "text": "no mask"}, "[MASK]"),
        ("/fill_mask", {"model": MASKED_CARD, "text": "a [MASK]", "top": 500}, "candidates"),
        ("/fill_mask", {"model": MASKED_CARD, "text": "a [MASK]", "top": "many"}, "number"),
        ("/fill_mask", {"model": "sprout-300k", "text": "a [MASK]"}, "Chat"),
        ("/classify", {"model": SENTIMENT_HUB_ID, "text": ""}, "empty"),
        ("/classify", {"model": SENTIMENT_HUB_ID, "text": "x" * 1_000_000}, "limit"),
        ("/classify", {"model": SENTIMENT_HUB_ID, "text": ["a"]}, "must be text"),
        ("/classify", {"model": "/etc", "text": "a"}, "/etc"),
        ("/classify", {"model": SENTIMENT_HUB_ID, "text": "a", "recipe": "int3"}, "int3"),
        ("/similarity", {"model": MASKED_CARD, "texts": ["alone"]}, "2 to"),
        ("/similarity", {"model": MASKED_CARD, "texts": "both"}, "list"),
        ("/similarity", {"model": MASKED_CARD, "texts": ["a"] * 900}, "list"),
        ("/answer", {"model": ANSWERING_HUB_ID, "question": "", "context": "a"}, "empty"),
    ],
    ids=str,
)
def test_a_wrong_call_gets_one_sentence(
    client: Client, endpoint: str, words: dict[str, Any], sentence: str
) -> None:
    with pytest.raises(AppError) as caught:
        client.submit(api_name=endpoint, **words).result(timeout=120)
    assert sentence in str(caught.value)
    assert "Traceback" not in str(caught.value)

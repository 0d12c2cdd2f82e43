"""The code that a card offers runs as it is, for every kind of model and each of its uses."""

from __future__ import annotations

import contextlib
import io
from pathlib import Path

import pytest

from slm_explorer.catalog.snippets import snippet
from slm_explorer.catalog.uses import uses_of
from slm_explorer.tasks import Task
from tests.engines.kinds import CATALOG, one_card_a_kind, save_kind, word_tokenizer
from tests.engines.models import build_tokenizer

KINDS = one_card_a_kind()
USES = [(kind, use) for kind, card in KINDS.items() for use in uses_of(card)]
HEADS: tuple[tuple[str, Task], ...] = (
    ("BertForSequenceClassification", "text-classification"),
    ("BertForQuestionAnswering", "question-answering"),
)


def run(code: str) -> str:
    said = io.StringIO()
    with contextlib.redirect_stdout(said):
        exec(compile(code, "snippet", "exec"), {"__name__": "snippet"})
    return said.getvalue()


@pytest.mark.parametrize(("kind", "use"), USES)
def test_a_cards_snippet_runs(kind: str, use: Task, tmp_path: Path) -> None:
    card = KINDS[kind]
    folder = save_kind(tmp_path / "model", card)
    if card.chat_template:
        build_tokenizer().save_pretrained(folder)
    code = snippet(card, use, str(folder))
    # Random weights may write nothing but special tokens, which print as an empty line.
    assert run(code)
    # Without a model of our own it names the card's, and nothing else changes.
    assert snippet(card, use).replace(f'"{card.hub_id}"', f'"{folder}"') == code


@pytest.mark.parametrize(("head", "use"), HEADS)
def test_a_snippet_of_a_fine_tuned_head_runs(head: str, use: Task, tmp_path: Path) -> None:
    card = CATALOG.get("bert-uncased-l-2-h-128-a-2")
    folder = save_kind(tmp_path / "model", card, head)
    word_tokenizer().save_pretrained(folder)
    printed = run(snippet(card, use, str(folder)))
    assert ("LABEL_1" in printed) == (use == "text-classification")

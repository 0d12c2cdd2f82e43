"""Encoders' results as the page is told to draw them."""

from __future__ import annotations

import json

import pytest

from slm_explorer.tasks import (
    AskContext,
    Candidate,
    Classify,
    Compare,
    FillMask,
    Labels,
    MaskFills,
    SimilarityMatrix,
    Spans,
    TaskStats,
)
from slm_explorer.ui.board import board_view
from slm_explorer.ui.conversation import Answer, Conversation, Turn
from slm_explorer.ui.results import AROUND_CHARS, percent, result_view


@pytest.mark.parametrize(
    ("probability", "text"),
    [
        (0.0, "0.0%"),
        (0.0004, "<0.1%"),
        (0.5, "50.0%"),
        (0.99949, "99.9%"),
        (0.9996, ">99.9%"),
        (1.0, "100.0%"),
    ],
)
def test_what_is_only_close_to_certain_is_not_called_so(probability: float, text: str) -> None:
    assert percent(probability) == text


def test_each_mask_is_filled_with_its_likeliest_word() -> None:
    masks = (
        (Candidate(" lantern", 0.8), Candidate("fire", 0.2)),
        (Candidate("home", 0.9),),
    )
    view = result_view(FillMask("[MASK] lit, he went [MASK]."), MaskFills(masks))
    assert view["text"] == [
        {"text": "lantern", "filled": True},
        {"text": " lit, he went ", "filled": False},
        {"text": "home", "filled": True},
        {"text": ".", "filled": False},
    ]
    assert json.dumps(view)


def test_a_mask_without_a_candidate_stays_a_mask() -> None:
    view = result_view(FillMask("a [MASK]"), MaskFills(()))
    assert view["text"] == [{"text": "a ", "filled": False}, {"text": "[MASK]", "filled": True}]


def test_the_closest_pair_is_named_and_never_a_text_with_itself() -> None:
    matrix = ((1.0000002, 0.2, 0.9), (0.2, 1.0, -0.3), (0.9, -0.3, 1.0))
    view = result_view(Compare(("a", "b", "c")), SimilarityMatrix(matrix, "mean pooling"))
    assert view["closest"] == "Most alike: 1 and 3 (0.90)"
    rows = view["rows"]
    assert isinstance(rows, list)
    assert rows[0][0] == {"text": "1.00", "fraction": 1.0}
    assert rows[1][2] == {"text": "-0.30", "fraction": 0.0}
    assert "mean pooling" in str(view["how"])


def test_a_found_answer_is_shown_in_its_surroundings_only() -> None:
    context = "x" * 5000 + "Mara" + "🦊" * 5000
    view = result_view(
        AskContext("Who?", context), Spans((Candidate("Mara", 0.5),), ((5000, 5004),))
    )
    found = view["found"]
    assert isinstance(found, dict)
    assert found["answer"] == "Mara"
    assert found["before"] == "…" + "x" * AROUND_CHARS
    assert found["after"] == "🦊" * AROUND_CHARS + "…"


def test_nothing_found_is_said() -> None:
    assert result_view(AskContext("Who?", "Nobody."), Spans((), ()))["found"] is None


def test_a_warning_and_the_figures_stand_beside_the_result() -> None:
    stats = TaskStats(
        Labels((Candidate("<b>", 0.6), Candidate("positive", 0.4))),
        tokens=12,
        seconds=0.0042,
        warning="This head is not trained.",
        load_s=1.5,
        memory_bytes=95_000_000,
        peak_memory_bytes=99_000_000,
    )
    done = Answer("m", status="done", stats=stats, together=True)
    chat = Conversation("k", (Turn(Classify("good"), (done, None, None, None)),))
    view = board_view(chat, [], {}, use="text-classification")
    turns = view["turns"]
    assert isinstance(turns, list)
    answer = turns[0]["answers"][0]
    assert answer["warning"] == "This head is not trained."
    said = {figure["text"]: figure["title"] for figure in answer["figures"]}
    assert list(said) == ["4 ms", "12 tokens", "95 MB", "load 1.50 s"]
    assert "Other lanes" in said["4 ms"]
    assert turns[0]["prompt"] == "good"
    assert not view["examples"]

"""Encoders on the command line: results for people and for programs, and refusals."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.conftest import Cli
from tests.engines.kinds import CATALOG, save_kind

BERT = CATALOG.get("bert-uncased-l-2-h-128-a-2")
KEYS = {"model", "task", "recipe", "result", "tokens", "seconds", "warning", "peak_memory_bytes"}


@pytest.fixture(scope="module")
def bert(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_kind(tmp_path_factory.mktemp("cli") / "bert", BERT)


def test_masks_are_filled_for_programs_and_for_people(cli: Cli, bert: Path) -> None:
    words = ("fill-mask", str(bert), "--text", "the [MASK] saw the moon", "--top", "2")
    (row,) = cli(*words, "--json").rows
    assert set(row) >= KEYS
    assert row["task"] == "fill-mask"
    for figure in ("load_s", "seconds", "memory_bytes", "peak_memory_bytes"):
        assert float(str(row[figure])) > 0, figure
    assert row["queue_s"] is not None
    assert row["warning"] is None
    result: Any = row["result"]
    assert len(result["masks"][0]) == 2
    shown = cli(*words).out
    assert result["masks"][0][0]["text"] in shown
    assert "%" in shown


def test_an_untrained_head_says_so_in_the_row_and_to_people(cli: Cli, bert: Path) -> None:
    words = ("classify", str(bert), "--text", "the good fox")
    (row,) = cli(*words, "--json").rows
    assert "not trained" in str(row["warning"])
    assert "warning:" in cli(*words).err


def test_texts_are_compared_each_with_each(cli: Cli, bert: Path) -> None:
    texts = ("--text", "the fox", "--text", "the fox", "--text", "a moon")
    (row,) = cli("similarity", str(bert), *texts, "--json").rows
    result: Any = row["result"]
    matrix = result["matrix"]
    assert [len(line) for line in matrix] == [3, 3, 3]
    assert matrix[0][1] == pytest.approx(1, abs=1e-5)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("fill-mask", "{}", "--text", "no gap"), "Write [MASK]"),
        (("similarity", "{}", "--text", "one"), "Give 2 to 16 texts"),
        (("answer", "sprout-300k", "--question", "who", "--context", "the fox"), "is for chat"),
        (("chat", "{}", "--prompt", "Hello"), "encoder"),
    ],
)
def test_what_makes_no_sense_is_one_sentence(
    cli: Cli, bert: Path, words: tuple[str, ...], said: str
) -> None:
    done = cli(*(word.format(bert) for word in words))
    assert done.code in (1, 2)
    assert said in done.err
    assert "Traceback" not in done.err

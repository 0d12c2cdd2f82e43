"""The catalog on the command line: words, facets, and what happens to words it does not know."""

from __future__ import annotations

import pytest

from tests.conftest import Cli


def ids(cli: Cli, *words: str) -> list[object]:
    ran = cli("models", *words, "--json")
    assert ran.code == 0, ran.err
    return [row["id"] for row in ran.rows]


def test_facets_narrow_the_list_together(cli: Cli) -> None:
    assert ids(cli, "google", "--kind", "encoder", "--max-parameters", "12M", "--commercial") == [
        "bert-uncased-l-2-h-128-a-2",
        "bert-uncased-l-4-h-256-a-4",
        "albert-base-v2",
    ]
    assert ids(cli, "--family", "gemma 3", "--family", "Gemma", "--min-context", "32768") == [
        "gemma-3-270m-it",
        "gemma-3-1b-it",
    ]
    assert ids(cli, "--task", "Sentence-Similarity", "minilm") == ["all-minilm-l6-v2"]


def test_rows_say_what_the_licence_permits(cli: Cli) -> None:
    (row,) = cli("models", "llama-3-2-1b", "--json").rows
    assert row["commercial"] == "conditions"
    assert "700 million" in str(row["licence_conditions"])
    assert row["access"]
    assert (row["attention_traits"], row["year"]) == (["GQA"], 2024)
    assert row["tasks"] == ["text-generation", "chat"]
    assert row["size"] == "1 B to 3 B"
    assert row["unverified"]


def test_only_what_fits(cli: Cli) -> None:
    rows = cli("models", "--fits", "--json").rows
    assert rows
    assert {row["fit"] for row in rows} <= {"fits", "tight"}


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("--kind", "decodr"), "no kind 'decodr'; there is decoder"),
        (("--family", "qwen33"), "Qwen3"),
        (("--max-parameters", "big"), "500M or 3B"),
    ],
)
def test_an_unknown_value_is_a_wrong_call_with_a_hint(
    cli: Cli, words: tuple[str, ...], says: str
) -> None:
    ran = cli("models", *words, "--json")
    assert ran.code == 2
    assert ran.out == ""
    assert says in ran.err

"""`slm-explorer compress` as a user types it."""

from __future__ import annotations

from pathlib import Path

import pytest

from slm_explorer import proof
from tests.conftest import Cli

KEYS = {"recipe", "seconds", "peak_memory_bytes", "bytes_before", "bytes_after", "layers"}


def test_without_proof_it_writes_a_model_that_chats(cli: Cli, tmp_path: Path) -> None:
    out = tmp_path / "child"
    done = cli(
        "compress", "sprout-300k", "--recipe", "int4", "--out", str(out), "--no-proof", "--json"
    )
    assert done.code == 0, done.err
    (row,) = done.rows
    assert row.keys() >= KEYS
    assert "before" not in row
    layers = row["layers"]
    assert isinstance(layers, list)
    assert {"name", "method", "bits", "relative_error"} <= layers[0].keys()
    assert {layer["method"] for layer in layers} == {"int4", "int8"}
    said = cli("chat", str(out), "--prompt", "Hello", "--max-tokens", "4", "--json")
    assert said.code == 0, said.err
    assert said.rows[0]["recipe"] == "native"
    again = cli("compress", "sprout-300k", "--recipe", "int8", "--out", str(out), "--no-proof")
    assert again.code == 2
    assert again.err.startswith("error: ")
    assert "exists already" in again.err


def test_the_proof_measures_both(cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # Less to read: the measures are the same, and less sure.
    monkeypatch.setattr(proof, "_CHARACTERS", 8_000)
    done = cli(
        "compress", "sprout-300k", "--recipe", "int8", "--out", str(tmp_path / "c"), "--json"
    )
    assert done.code == 0, done.err
    (row,) = done.rows
    assert row["not_measured"] == []
    assert isinstance(row["kl"], float)
    assert isinstance(row["top1_agreement"], float)
    before, after = row["before"], row["after"]
    assert isinstance(before, dict)
    assert isinstance(after, dict)
    for side in (before, after):
        for key in ("bits_per_byte", "perplexity", "decode_tps", "memory_bytes"):
            assert side[key] > 0
    assert after["weights_bytes"] < before["weights_bytes"]
    assert after["bits_per_byte"] == pytest.approx(before["bits_per_byte"], rel=0.01)


def test_an_unknown_recipe_is_a_wrong_call(cli: Cli, tmp_path: Path) -> None:
    done = cli("compress", "sprout-300k", "--recipe", "int5", "--out", str(tmp_path / "c"))
    assert done.code == 2
    assert "int4-refined" in done.err
    assert not (tmp_path / "c").exists()


def test_steps_are_done_one_after_another(cli: Cli, tmp_path: Path) -> None:
    out = tmp_path / "child"
    recipe = "drop-layers:1+int4"
    done = cli(
        "compress", "sprout-300k", "--recipe", recipe, "--out", str(out), "--no-proof", "--json"
    )
    assert done.code == 0, done.err
    (row,) = done.rows
    assert row["recipe"] == recipe
    steps = row["steps"]
    assert isinstance(steps, list)
    assert [step["name"] for step in steps] == ["drop-layers:1", "int4"]
    assert steps[0]["detail"]["layers_after"] == 3
    assert row["bytes_after"] == steps[1]["bytes_after"] < steps[0]["bytes_after"]
    said = cli("chat", str(out), "--prompt", "Hello", "--max-tokens", "8", "--json")
    assert said.code == 0, said.err
    tokens = said.rows[0]["output_tokens"]
    assert isinstance(tokens, int)
    assert tokens > 0
    assert said.rows[0]["text"]


def test_structure_cannot_be_taken_out_while_loading(cli: Cli) -> None:
    done = cli("chat", "sprout-300k", "--prompt", "Hello", "--recipe", "drop-layers:1")
    assert done.code == 2
    assert done.err.startswith("error: ")
    assert "slm-explorer compress MODEL --recipe" in done.err


@pytest.mark.parametrize(
    ("recipe", "code", "said"),
    [
        ("drop-layers:4+int4", 1, "4 layers, and at least one must stay"),
        ("int4+drop-layers:1", 2, "it comes last"),
        ("prune-mlp:200", 2, "from 1 to 95"),
    ],
)
def test_a_recipe_that_cannot_be_says_so(
    recipe: str, code: int, said: str, cli: Cli, tmp_path: Path
) -> None:
    done = cli("compress", "sprout-300k", "--recipe", recipe, "--out", str(tmp_path / "c"))
    assert done.code == code
    assert said in done.err
    assert list(tmp_path.glob("*")) == []

"""The table of recipes, and what is said of words that are in it or not."""

from __future__ import annotations

from importlib import metadata

import pytest

from slm_explorer.compression.recipes import (
    LOADABLE,
    RECIPES,
    load_step,
    parse_recipe,
    storage_step,
    why_not,
)
from slm_explorer.errors import InvalidRequest

LLAMA = {"model_type": "llama", "num_hidden_layers": 6, "num_key_value_heads": 4}


def test_every_recipe_says_what_it_does() -> None:
    for name, recipe in RECIPES.items():
        assert recipe.name == name
        assert recipe.summary.endswith(".")
        assert recipe.effect.endswith(".")
        text = "drop-layers+heal" if name == "heal" else name
        step = parse_recipe(text)[-1]
        assert step.name == name
        assert step.value == (recipe.value and recipe.value.default)
        # What a step says of itself is the step again.
        assert parse_recipe(text.replace(name, step.text))[-1] == step


def test_steps_take_values_and_options() -> None:
    drop, student, stored = parse_recipe(
        "drop-layers:2 + distil:4,width=128,minutes=0.5,fresh+int4"
    )
    assert (drop.name, drop.value, drop.options) == ("drop-layers", 2, ())
    assert student.value == 4
    assert student.option("width") == 128
    assert student.option("minutes") == 0.5
    assert student.option("steps") is None
    assert student.has("fresh")
    assert student.text == "distil:4,width=128,minutes=0.5,fresh"
    assert stored.value is None
    assert parse_recipe("distil:fresh")[0].value == 4
    assert storage_step("drop-layers:2+int4").name == "int4"
    assert storage_step("drop-layers:2").name == "native"
    assert storage_step("drop-layers:2+int4").group == 64
    assert load_step("int4-refined:group=128").group == 128


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("int5", "'int5'.*native, bf16"),
        ("", "empty step"),
        ("int4+", "empty step"),
        ("+int4", "empty step"),
        ("int4+int8", "int4 and int8 both say"),
        ("bf16 + int4", "bf16 and int4 both say"),
        ("low-rank:50+int4", "low-rank and int4 both say"),
        ("int4+drop-layers:1", "int4 says how.*last"),
        ("INT4", "'INT4'"),
        ("x" * 10_000, "'x{40}'"),
        ("int8:3", "int8 takes no value"),
        ("int4:128", "cannot take '128'.*int4:group=64"),
        ("int4:group=48", r"group of int4 takes 32, 64 or 128 \(weights a scale\), not '48'"),
        ("int4:group=nan", "32, 64 or 128"),
        ("drop-layers:0", "from 1 to 512"),
        ("drop-layers:1.5", "a whole number"),
        ("drop-layers:nan", "a whole number"),
        ("drop-layers:", "not ''"),
        ("drop-layers:1,2", "cannot take '2'"),
        ("prune-mlp:100", "from 1 to 95 \\(per cent\\), not '100'"),
        ("prune-mlp:25%", "not '25%'"),
        ("distil:4,width=wide", "width of distil.*not 'wide'"),
        ("distil:4,width", "cannot take 'width'"),
        ("distil:4,fresh=1", "cannot take 'fresh=1'"),
        ("distil:4,minutes=1,minutes=2", "cannot take 'minutes=2'"),
        ("heal:5", "cannot be the first"),
        ("+".join(["drop-layers:1"] * 9), "at most 8 steps"),
    ],
)
def test_a_wrong_recipe_is_refused_in_words(text: str, said: str) -> None:
    with pytest.raises(InvalidRequest, match=said):
        parse_recipe(text)


def test_only_storage_steps_are_done_while_loading() -> None:
    assert [load_step(name).name for name in LOADABLE] == list(LOADABLE)
    for text in ("drop-layers:1", "drop-layers:1+int4", "quanto-int4", "low-rank:40"):
        with pytest.raises(InvalidRequest, match="slm-explorer compress MODEL --recipe"):
            load_step(text)


def test_what_cannot_be_done_says_why() -> None:
    assert why_not("int4", {"model_type": "llama"}) is None
    assert "original checkpoint" in str(why_not("native", {"quantization_config": {"bits": 4}}))
    made = {"model_type": "llama", "slm_explorer": {"recipe": "int8"}}
    assert why_not("native", made) is None
    assert "int8 already" in str(why_not("int4", made))
    assert "int8 already" in str(why_not("drop-layers:1", made))
    assert "float16" in str(why_not("f16", {"model_type": "t5"}))
    assert why_not("bf16", {"model_type": "t5"}) is None


@pytest.mark.parametrize(
    ("text", "config", "said"),
    [
        ("drop-layers:5+prune-mlp:25+prune-heads:25+int4", LLAMA, None),
        ("drop-layers:6", LLAMA, "6 layers, and at least one must stay"),
        ("drop-layers:2", {"model_type": "gpt2", "n_layer": 2}, "2 layers"),
        ("drop-layers:1", {"model_type": "albert"}, "one layer run many times"),
        ("drop-layers:1", {"model_type": "t5"}, "position bias"),
        ("drop-layers:1", {"model_type": "mamba"}, "mamba"),
        ("prune-mlp", {"model_type": "mpt"}, "not in its config"),
        ("prune-heads", {"model_type": "gpt2"}, "hidden size divided by their number"),
        ("prune-heads", {**LLAMA, "num_key_value_heads": 1}, "single KV head"),
        ("drop-layers:1+prune-heads", {"model_type": "phi3"}, "one matrix"),
    ],
)
def test_structure_that_cannot_go_says_why(
    text: str, config: dict[str, object], said: str | None
) -> None:
    found = why_not(text, config)
    assert found is None if said is None else said in str(found)


def test_a_library_that_is_missing_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(name: str) -> str:
        raise metadata.PackageNotFoundError(name)

    assert why_not("quanto-int4", LLAMA) is None
    monkeypatch.setattr(metadata, "version", missing)
    assert "pip install optimum-quanto" in str(why_not("quanto-int4", LLAMA))
    assert why_not("int4", LLAMA) is None

"""The table of recipes, and what is said of words that are in it or not."""

from __future__ import annotations

import pytest

from slm_explorer.compression.recipes import RECIPES, parse_recipe, why_not
from slm_explorer.errors import InvalidRequest


def test_every_recipe_says_what_it_does() -> None:
    for name, recipe in RECIPES.items():
        assert recipe.name == name
        assert recipe.summary.endswith(".")
        assert recipe.effect.endswith(".")
        assert [step.name for step in parse_recipe(name)] == [name]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("int5", "'int5'.*native, bf16"),
        ("", "empty step"),
        ("int4+", "empty step"),
        ("+int4", "empty step"),
        ("int4+int8", "int4 and int8 both say"),
        ("bf16 + int4", "bf16 and int4 both say"),
        ("INT4", "'INT4'"),
        ("x" * 10_000, "'x{40}'"),
    ],
)
def test_a_wrong_recipe_is_refused_in_words(text: str, said: str) -> None:
    with pytest.raises(InvalidRequest, match=said):
        parse_recipe(text)


def test_what_cannot_be_done_says_why() -> None:
    assert why_not("int4", {"model_type": "llama"}) is None
    assert "original checkpoint" in str(why_not("native", {"quantization_config": {"bits": 4}}))
    made = {"model_type": "llama", "slm_explorer": {"recipe": "int8"}}
    assert why_not("native", made) is None
    assert "int8 already" in str(why_not("int4", made))
    assert "float16" in str(why_not("f16", {"model_type": "t5"}))
    assert why_not("bf16", {"model_type": "t5"}) is None

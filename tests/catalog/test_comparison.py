from __future__ import annotations

import json
from pathlib import Path

import pytest

from slm_explorer.assets import asset_folder
from slm_explorer.catalog.cards import Architecture, Card
from slm_explorer.catalog.catalog import Catalog
from slm_explorer.catalog.comparison import comparison_rows, load_comparison, weights_by_precision
from slm_explorer.catalog.components import components
from slm_explorer.errors import BadCatalog

COMPARISON = load_comparison(asset_folder())


def test_rows_are_computed_from_the_cards(catalog: Catalog) -> None:
    rows = {row.id: row for row in comparison_rows(COMPARISON, catalog)}
    assert len(rows) == len(COMPARISON.small) + len(COMPARISON.large) == 18
    assert list(rows.values()) == sorted(rows.values(), key=lambda row: row.parameters)
    phi = rows["phi-2"]
    assert phi.parameters == 2_779_683_840
    assert phi.weights == {
        "float32": 11_118_735_360,
        "bfloat16": 5_559_367_680,
        "int8": 2_779_683_840,
        "int4": 1_389_841_920,
    }
    # 671 MB of KV cache at 2,048 tokens, as all its heads keep keys and values
    assert phi.kv_cache == 2 * 32 * 32 * 80 * 2 * 2048
    assert rows["bert-uncased-l-2-h-128-a-2"].kv_cache is None
    assert rows["lfm3-1-7b"].attention == "GQA, sliding window, linear or hybrid"


def test_large_models_say_what_is_nominal(catalog: Catalog) -> None:
    large = {row.id: row for row in comparison_rows(COMPARISON, catalog) if row.large}
    assert {name for name, row in large.items() if row.nominal} == {
        "gpt-3-175b",
        "opt-175b",
        "palm-540b",
    }
    assert all(row.verified != row.nominal for row in large.values())
    assert large["palm-540b"].attention == "MQA"
    assert large["gpt-3-175b"].kv_cache == 9_663_676_416


def test_the_computed_large_model_adds_up() -> None:
    llama = Card(
        id="llama-2-70b",
        name="Llama 2 70B",
        family="Llama 2",
        organisation="Meta",
        architecture_kind="decoder",
        model_type="llama",
        parameters=68_976_648_192,
        architecture=Architecture(
            num_layers=80,
            hidden_size=8192,
            embedding_size=8192,
            num_attention_heads=64,
            num_key_value_heads=8,
            head_dim=128,
            intermediate_size=28672,
            vocab_size=32000,
            max_position_embeddings=4096,
            context_length=4096,
            activation="silu",
            norm="RMSNorm",
            norm_placement="pre",
            positional="RoPE",
            gated_mlp=True,
            tied_embeddings=False,
        ),
    )
    assert components(llama) is not None
    assert llama.parameters == next(
        model.parameters for model in COMPARISON.large if model.id == llama.id
    )


def test_scores_keep_to_their_harness(catalog: Catalog) -> None:
    for harness in COMPARISON.harnesses:
        assert harness.source
        names = {tuple(value.name for value in score.values) for score in harness.scores}
        assert len(names) == 1, harness.id
        for score in harness.scores:
            if score.card is not None:
                catalog.get(score.card)


def test_scores_agree_with_the_cards_own(catalog: Catalog) -> None:
    glue = next(each for each in COMPARISON.harnesses if each.id == "glue-miniatures")
    for score in glue.scores:
        marks = {mark.name: mark.value for mark in catalog.get(score.card or "").benchmarks}
        assert float(marks["GLUE test score"]) == score.values[0].value


def test_four_bits_are_an_eighth_of_thirty_two() -> None:
    found = weights_by_precision(1000)
    assert (found["float32"], found["int4"]) == (4000, 500)


def test_a_broken_file_names_the_place(tmp_path: Path) -> None:
    values = json.loads((asset_folder() / "comparison.json").read_text(encoding="utf-8"))
    values["large"][1]["parameters"] = "175B"
    (tmp_path / "comparison.json").write_text(json.dumps(values))
    with pytest.raises(BadCatalog, match=r"comparison\.json, 'large'\[1\], 'parameters'"):
        load_comparison(tmp_path)

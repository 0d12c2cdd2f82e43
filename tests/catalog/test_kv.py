"""The KV cache in numbers, against worked examples and against what transformers keeps."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from slm_explorer.catalog.catalog import Catalog
from slm_explorer.catalog.kv import kv_cache
from slm_explorer.errors import InvalidRequest
from tests.catalog.shapes import built

WORKED = [
    # 2 x layers x KV heads x head_dim x 2 bytes x tokens
    ("smollm2-135m-instruct", 2048, 2 * 30 * 3 * 64 * 2 * 2048, True),
    ("phi-2", 2048, 2 * 32 * 32 * 80 * 2 * 2048, True),
    # 3 layers of 18 see everything, 15 a window of 512
    ("gemma-3-270m-it", 2048, 2 * 256 * 2 * (3 * 2048 + 15 * 512), True),
    ("gemma-3-270m-it", 100, 2 * 256 * 2 * 18 * 100, True),
    # 6 full and 5 sliding layers of 24, window 256
    ("lfm3-1-7b", 1000, 2 * 4 * 128 * 2 * (6 * 1000 + 5 * 256), True),
    ("lfm2-350m", 1000, 2 * 8 * 64 * 2 * 6 * 1000, True),
    ("qwen3-5-0-8b", 1000, 2 * 2 * 256 * 2 * 6 * 1000, True),
    # Every layer slides
    ("mistral-7b-v0-1", 8192, 2 * 32 * 8 * 128 * 2 * 4096, True),
    ("mistral-7b-v0-1", 1000, 2 * 32 * 8 * 128 * 2 * 1000, True),
    # Its window is wider than its context
    ("phi-4-mini-instruct", 4096, 2 * 32 * 8 * 128 * 2 * 4096, True),
    ("gpt-neo-125m", 200, 2 * 12 * 12 * 64 * 2 * 200, True),
    ("gpt-neo-125m", 2048, 2 * 12 * 12 * 64 * 2 * 2048, False),
    ("gemma-4-e2b-it", 2048, 2 * 35 * 1 * 256 * 2 * 2048, False),
    ("granite-4-0-350m", 2048, 2 * 28 * 4 * 64 * 2 * 2048, True),
    ("t5-small", 512, 2 * 6 * 8 * 64 * 2 * 512, True),
]


@pytest.mark.parametrize(("card_id", "tokens", "size", "exact"), WORKED)
def test_worked_examples(
    catalog: Catalog, card_id: str, tokens: int, size: int, exact: bool
) -> None:
    found = kv_cache(catalog.get(card_id), tokens)
    assert found is not None
    assert (found.size, found.exact) == (size, exact)
    assert exact or found.note


def test_twice_the_width_is_twice_the_cache(catalog: Catalog) -> None:
    card = catalog.get("qwen3-0-6b")
    half, full = kv_cache(card, 100, "bfloat16"), kv_cache(card, 100, "float32")
    assert half is not None
    assert full is not None
    assert full.size == 2 * half.size


@pytest.mark.parametrize("card_id", ["bert-uncased-l-2-h-128-a-2", "linformer", "reformer-enwik8"])
def test_some_keep_no_keys_and_values(catalog: Catalog, card_id: str) -> None:
    assert kv_cache(catalog.get(card_id), 100) is None


def test_never_more_than_the_bound_that_ignores_windows(catalog: Catalog) -> None:
    for card in catalog.cards:
        for tokens in (1, 1000, 100_000):
            found = kv_cache(card, tokens)
            if found is not None and card.architecture is not None:
                assert 0 < found.size <= card.architecture.kv_values_per_token * 2 * tokens


@pytest.mark.parametrize(("tokens", "dtype"), [(0, "float16"), (-5, "float16"), (10, "int3")])
def test_a_wrong_question_is_refused(catalog: Catalog, tokens: int, dtype: str) -> None:
    with pytest.raises(InvalidRequest):
        kv_cache(catalog.get("phi-2"), tokens, dtype)


# A window of n tokens keeps n - 1 between steps: the next token is the n-th.
@pytest.mark.parametrize(
    ("card_id", "tokens", "sliding_layers"),
    [
        ("smollm2-135m-instruct", 40, 0),
        ("qwen3-0-6b", 40, 0),
        ("gemma-3-270m-it", 700, 15),
        ("gpt-neo-125m", 300, 0),
        ("lfm2-350m", 40, 0),
        ("lfm3-1-7b", 300, 5),
    ],
)
def test_transformers_keeps_as_much(
    catalog: Catalog, card_id: str, tokens: int, sliding_layers: int
) -> None:
    card = catalog.get(card_id)
    model = built(card_id, body=False)
    with torch.no_grad(), torch.device("meta"):
        ids = torch.zeros((1, tokens), dtype=torch.long)
        cache = model(input_ids=ids, use_cache=True).past_key_values
    kept = 0
    for layer in cache.layers:
        if getattr(layer, "keys", None) is not None:
            kept += layer.keys.numel() + layer.values.numel()
    found = kv_cache(card, tokens)
    assert found is not None
    assert card.architecture is not None
    token = 2 * card.architecture.num_key_value_heads * card.architecture.head_dim
    assert found.size == 2 * (kept + sliding_layers * token)


def test_a_model_whose_layers_all_keep_a_state_has_no_cache(catalog: Catalog) -> None:
    card = catalog.get("smollm2-135m-instruct")
    assert card.architecture is not None
    stateful = replace(card, architecture=replace(card.architecture, kv_layers=0))
    found = kv_cache(stateful, 1000)
    assert found is not None
    assert found.size == 0

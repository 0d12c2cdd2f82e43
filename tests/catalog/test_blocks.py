"""The drawing's values, checked against the counts that follow from the same card."""

from __future__ import annotations

from dataclasses import replace

import pytest

from slm_explorer.catalog.blocks import Layer, Part, blocks
from slm_explorer.catalog.catalog import Catalog
from slm_explorer.catalog.components import components

# Kinds without biases, so that their matrices follow from the drawing alone.
PLAIN = {
    "ernie4_5", "gemma", "gemma3_text", "granite", "granitemoehybrid", "llama", "mistral",
    "mpt", "olmo2", "phi3", "qwen3", "smollm3", "t5",
}  # fmt: skip
RELATIVE_BIASES = 2 * 32  # T5's, for each head


def parts(layer: Layer) -> list[Part]:
    found = [part for branch in layer.branches for part in branch.parts]
    found += [branch.norm_after_sum for branch in layer.branches if branch.norm_after_sum]
    return found + ([layer.shared_norm] if layer.shared_norm else [])


def test_every_known_architecture_has_blocks(catalog: Catalog) -> None:
    for card in catalog.cards:
        drawn = blocks(card)
        assert (drawn is None) == (card.architecture is None), card.id
        if drawn is None:
            continue
        for stack in drawn.stacks:
            assert sum(layer.count for layer in stack.layers) == stack.num_layers
            assert len(stack.order) == stack.num_layers
            for layer in stack.layers:
                assert len(layer.places) == layer.count
                assert all(stack.order[place] == layer.kind for place in layer.places)
                assert [part.kind for part in parts(layer)].count("mlp") == 1


def test_the_drawing_adds_up_to_the_parameters(catalog: Catalog) -> None:
    checked = 0
    for card in catalog.cards:
        drawn, counted, a = blocks(card), components(card), card.architecture
        if drawn is None or counted is None or a is None or card.model_type not in PLAIN:
            continue
        checked += 1
        attention = mlp = norm = 0
        for stack in drawn.stacks:
            norm += stack.final_norm is not None
            for layer in stack.layers:
                for part in parts(layer):
                    if part.kind in ("attention", "cross-attention"):
                        assert part.heads is not None
                        assert part.kv_heads is not None
                        assert part.head_dim is not None
                        heads = 2 * (part.heads + part.kv_heads)
                        attention += layer.count * a.hidden_size * heads * part.head_dim
                    elif part.kind == "mlp":
                        assert part.width is not None
                        matrices = 3 if part.gated else 2
                        mlp += layer.count * matrices * a.hidden_size * part.width
                    elif part.kind == "norm":
                        norm += layer.count
        if card.model_type == "t5":
            attention += RELATIVE_BIASES * a.num_attention_heads
        assert (attention, mlp) == (counted.attention, counted.mlp), card.id
        if not a.qk_norm:
            assert norm * a.hidden_size == counted.norm, card.id
    assert checked > 20


def test_albert_shares_one_set_and_factorises(catalog: Catalog) -> None:
    drawn = blocks(catalog.get("albert-base-v2"))
    assert drawn is not None
    assert (drawn.embedding.size, drawn.embedding.factorised) == (128, True)
    (stack,) = drawn.stacks
    assert (stack.role, stack.num_layers, stack.weight_sets) == ("encoder", 12, 1)
    assert stack.final_norm is None
    assert drawn.embedding.norm == "LayerNorm"
    assert all(branch.norm_after_sum for branch in stack.layers[0].branches)


def test_t5_has_two_stacks_and_cross_attention_in_one(catalog: Catalog) -> None:
    drawn = blocks(catalog.get("flan-t5-small"))
    assert drawn is not None
    encoder, decoder = drawn.stacks
    kinds = [[part.kind for part in parts(stack.layers[0])] for stack in (encoder, decoder)]
    assert kinds[0] == ["norm", "attention", "norm", "mlp"]
    assert kinds[1] == ["norm", "attention", "norm", "cross-attention", "norm", "mlp"]
    assert parts(encoder.layers[0])[1].causal is False
    assert parts(decoder.layers[0])[1].causal is True
    assert drawn.head == "own"


def test_parallel_branches_share_a_norm(catalog: Catalog) -> None:
    drawn = blocks(catalog.get("phi-2"))
    assert drawn is not None
    layer = drawn.stacks[0].layers[0]
    assert layer.parallel
    assert layer.shared_norm is not None
    assert [[part.kind for part in branch.parts] for branch in layer.branches] == [
        ["attention"],
        ["mlp"],
    ]


def test_mixed_layers_stand_where_they_are(catalog: Catalog) -> None:
    drawn = blocks(catalog.get("lfm2-350m"))
    assert drawn is not None
    layers = {layer.kind: layer for layer in drawn.stacks[0].layers}
    assert layers["full_attention"].places == (2, 5, 8, 10, 12, 14)
    assert parts(layers["conv"])[1].label == "Short convolution"
    gemma = blocks(catalog.get("gemma-3-270m-it"))
    assert gemma is not None
    sliding, full = gemma.stacks[0].layers
    assert (sliding.count, full.places) == (15, (5, 11, 17))
    attention = next(part for part in parts(sliding) if part.kind == "attention")
    assert (attention.window, attention.heads, attention.kv_heads) == (512, 4, 1)
    assert attention.detail == "4 heads on 1 KV head of 256, 512 tokens, normed queries and keys"


@pytest.mark.parametrize(
    ("card_id", "says"),
    [("gemma-4-e2b-it", "not known"), ("gemma-3-1b-it", "5 local"), ("phi-2", None)],
)
def test_notes(catalog: Catalog, card_id: str, says: str | None) -> None:
    drawn = blocks(catalog.get(card_id))
    assert drawn is not None
    assert (drawn.note is None) if says is None else says in (drawn.note or "")


def test_mobilebert_stacks_mlps_in_a_bottleneck(catalog: Catalog) -> None:
    drawn = blocks(catalog.get("mobilebert-uncased"))
    assert drawn is not None
    mlp = next(part for part in parts(drawn.stacks[0].layers[0]) if part.kind == "mlp")
    assert (mlp.repeats, mlp.detail) == (4, "4 x 128 to 512 to 128, relu")


def test_an_embedding_model_has_no_head(catalog: Catalog) -> None:
    drawn = blocks(catalog.get("all-minilm-l6-v2"))
    assert drawn is not None
    assert drawn.head is None


def test_counts_without_an_order_have_no_places(catalog: Catalog) -> None:
    card = catalog.get("lfm2-350m")
    assert card.architecture is not None
    unordered = replace(card.architecture, layer_order=(), conv_kernel=None)
    drawn = blocks(replace(card, architecture=unordered))
    assert drawn is not None
    (stack,) = drawn.stacks
    assert stack.order == ()
    assert {layer.kind: (layer.count, layer.places) for layer in stack.layers} == {
        "conv": (10, ()),
        "full_attention": (6, ()),
    }
    assert parts(stack.layers[0])[1].detail == "gated"

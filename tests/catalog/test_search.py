"""What people ask of a catalog, and the cards that answer it, worked out by hand from the facts."""

from __future__ import annotations

from typing import Any

import pytest

from slm_explorer.catalog.attention import ATTENTION_TRAITS, attention_traits
from slm_explorer.catalog.catalog import Catalog
from slm_explorer.catalog.licences import licence_terms
from slm_explorer.catalog.search import (
    Facets,
    facet_values,
    release_year,
    search,
    searchable,
    size_band,
)

MINIATURES = {
    "bert-uncased-l-2-h-128-a-2", "bert-uncased-l-4-h-256-a-4",
    "bert-uncased-l-4-h-512-a-8", "bert-uncased-l-8-h-512-a-8",
}  # fmt: skip
GPT_NEO = {"gpt-neo-125m", "gpt-neo-1-3b", "gpt-neo-2-7b"}
REFORMERS = {"reformer-crime-and-punishment", "reformer-enwik8"}
LLAMA_3_2 = {"llama-3-2-1b-instruct", "llama-3-2-3b-instruct"}
GEMMA_3 = {"gemma-3-270m-it", "gemma-3-1b-it"}
LFM2 = {"lfm2-350m", "lfm2-1-2b"}

QUESTIONS: list[tuple[str, str, Facets, set[str]]] = [
    (
        "encoder under 20 M parameters with MIT or Apache licence",
        "",
        Facets(
            kinds=frozenset({"encoder"}),
            max_parameters=20_000_000,
            licence_ids=frozenset({"mit", "apache-2.0"}),
            shipped=False,
        ),
        {"bert-uncased-l-2-h-128-a-2", "bert-uncased-l-4-h-256-a-4", "albert-base-v2"},
    ),
    (
        "decoder with at least 32k context that permits commercial use",
        "",
        Facets(
            kinds=frozenset({"decoder"}), min_context=32_768, commercial_use=frozenset({"yes"})
        ),
        {
            "smollm3-3b", "qwen2-5-0-5b-instruct", "qwen2-5-1-5b-instruct", "qwen3-0-6b",
            "qwen3-1-7b", "qwen3-4b", "qwen3-5-0-8b", "gemma-4-e2b-it", "phi-3-5-mini-instruct",
            "phi-4-mini-instruct", "granite-3-3-2b-instruct", "granite-4-0-350m",
            "granite-4-1-3b", "minicpm5-1b", "ernie-4-5-0-3b-pt",
        },
    ),
    (
        "the same under conditions",
        "",
        Facets(min_context=32_768, commercial_use=frozenset({"conditions"})),
        LLAMA_3_2 | GEMMA_3 | LFM2 | {"lfm3-1-7b"},
    ),
    (
        "not for commercial use",
        "",
        Facets(commercial_use=frozenset({"no"})),
        {"opt-125m", "orca-2-7b", "orca-2-13b", "qwen2-5-3b-instruct"},
    ),
    (
        "licence unclear",
        "",
        Facets(commercial_use=frozenset({"unknown"})),
        {"tinybert-general-4l-312d", "linformer", "performer"} | REFORMERS,
    ),
    (
        "one KV head",
        "",
        Facets(attention=frozenset({"MQA"})),
        {"gemma-2b", "gemma-4-e2b-it"} | GEMMA_3,
    ),
    (
        "sliding windows",
        "",
        Facets(attention=frozenset({"sliding window"})),
        {"modernbert-base", "mistral-7b-v0-1", "zephyr-7b-beta", "gemma-4-e2b-it", "lfm3-1-7b"}
        | GPT_NEO | REFORMERS | GEMMA_3,
    ),
    ("shared weights", "", Facets(attention=frozenset({"shared layers"})), {"albert-base-v2"}),
    (
        "linear or hybrid",
        "",
        Facets(attention=frozenset({"linear or hybrid"})),
        {"qwen3-5-0-8b", "lfm3-1-7b"} | LFM2,
    ),
    ("hashing", "", Facets(attention=frozenset({"LSH"})), REFORMERS),
    (
        "text to text",
        "",
        Facets(kinds=frozenset({"encoder-decoder"}), shipped=False),
        {"t5-small", "flan-t5-small"},
    ),
    ("the largest", "", Facets(sizes=frozenset({"8 B and more"})), {"orca-2-13b"}),
    (
        "from 2026",
        "",
        Facets(years=frozenset({2026}), shipped=False),
        {"qwen3-5-0-8b", "gemma-4-e2b-it", "granite-4-1-3b", "lfm3-1-7b", "minicpm5-1b"},
    ),
    (
        "from 2019",
        "",
        Facets(years=frozenset({2019})),
        {"distilbert-base-uncased", "tinybert-general-4l-312d", "albert-base-v2", "t5-small"},
    ),
    (
        "MIT decoders of 2021",
        "",
        Facets(
            years=frozenset({2021}), licence_ids=frozenset({"mit"}), kinds=frozenset({"decoder"})
        ),
        GPT_NEO,
    ),
    (
        "sentence similarity",
        "",
        Facets(tasks=frozenset({"sentence-similarity"}), shipped=False),
        {"all-minilm-l6-v2"},
    ),
    (
        "translation",
        "",
        Facets(tasks=frozenset({"translation"}), shipped=False),
        {"t5-small", "flan-t5-small"},
    ),
    ("code", "", Facets(tasks=frozenset({"code-completion"})), {"codellama-7b-hf"}),
    (
        "sees images",
        "",
        Facets(tasks=frozenset({"image-text-to-text"})),
        {"qwen3-5-0-8b", "gemma-4-e2b-it"},
    ),
    (
        "fill-mask under 15 M",
        "",
        Facets(tasks=frozenset({"fill-mask"}), max_parameters=15_000_000, shipped=False),
        {"bert-uncased-l-2-h-128-a-2", "bert-uncased-l-4-h-256-a-4", "albert-base-v2"},
    ),
    (
        "needs an account",
        "",
        Facets(gated=True),
        {"mistral-7b-v0-1", "gemma-2b"} | GEMMA_3 | LLAMA_3_2,
    ),
    ("typed without hyphen", "phi2", Facets(), {"phi-2"}),
    (
        "version numbers",
        "qwen 2.5",
        Facets(),
        {"qwen2-5-0-5b-instruct", "qwen2-5-1-5b-instruct", "qwen2-5-3b-instruct"},
    ),
    ("accents and case", "Éleuther GPT-J", Facets(), {"gpt-j-6b"}),
    ("the beginning of words", "miniat bert", Facets(), MINIATURES),
    ("a family", "", Facets(families=frozenset({"Gemma 3", "LFM2"})), GEMMA_3 | LFM2),
    (
        "grouped queries below 500 M for a product",
        "",
        Facets(
            attention=frozenset({"GQA"}),
            max_parameters=500_000_000,
            commercial_use=frozenset({"yes"}),
            shipped=False,
        ),
        {
            "smollm2-135m-instruct", "smollm2-360m-instruct", "qwen2-5-0-5b-instruct",
            "granite-4-0-350m", "ernie-4-5-0-3b-pt",
        },
    ),
    (
        "plain multi-head decoders of 1 to 3 B",
        "decoder",
        Facets(attention=frozenset({"MHA"}), sizes=frozenset({"1 B to 3 B"})),
        {
            "gpt-neo-1-3b", "gpt-neo-2-7b", "phi-1-5", "phi-2", "stablelm-3b-4e1t",
            "falcon-rw-1b", "smollm2-1-7b-instruct", "olmo-2-0425-1b-instruct",
        },
    ),
    (
        "long documents with an encoder",
        "",
        Facets(kinds=frozenset({"encoder"}), min_context=8192),
        {"modernbert-base"},
    ),
    (
        "longest context",
        "",
        Facets(min_context=200_000),
        {"qwen3-5-0-8b", "reformer-crime-and-punishment"},
    ),
    (
        "windows between 200 M and 1 B",
        "",
        Facets(attention=frozenset({"sliding window"}), sizes=frozenset({"200 M to 1 B"})),
        GEMMA_3,
    ),
    (
        "fits, given ids",
        "",
        Facets(kinds=frozenset({"decoder"}), fits={"phi-2", "t5-small"}),
        {"phi-2"},
    ),
    (
        "fits, asked of each card",
        "",
        Facets(fits=lambda card: (card.parameters or 10**12) < 5_000_000, shipped=False),
        {"bert-uncased-l-2-h-128-a-2", "reformer-crime-and-punishment"},
    ),
    ("no such thing", "phi unicorn", Facets(), set()),
]  # fmt: skip


@pytest.mark.parametrize(
    ("query", "facets", "expected"),
    [question[1:] for question in QUESTIONS],
    ids=[question[0] for question in QUESTIONS],
)
def test_a_question_finds_its_cards(
    catalog: Catalog, query: str, facets: Facets, expected: set[str]
) -> None:
    found = [card.id for card in search(catalog.cards, query, facets)]
    assert len(found) == len(set(found))
    assert set(found) == expected


def test_no_question_finds_everything_in_order(catalog: Catalog) -> None:
    assert search(catalog.cards) == list(catalog.cards)
    assert search(catalog.cards, " - \t", Facets()) == list(catalog.cards)
    assert catalog.search() == list(catalog.cards)


def test_odd_queries_find_nothing_and_break_nothing(catalog: Catalog) -> None:
    for query in ("<script>alert(1)</script>", "x" * 10_000, "例子", "' OR 1=1", "phi \udcffx"):
        assert search(catalog.cards, query) == []
    for signs in (".*", "\ud800", "%_"):  # no letter or digit: no word
        assert search(catalog.cards, signs) == list(catalog.cards)


def test_facet_values_count_what_the_facets_find(catalog: Catalog) -> None:
    values = facet_values(catalog.cards)
    for name, found in values.items():
        assert found, name
        for each in found:
            value = int(each.value) if name == "years" else each.value
            chosen: dict[str, Any] = {name: frozenset({value})}
            cards = search(catalog.cards, facets=Facets(**chosen))
            assert len(cards) == each.count > 0, (name, each)


def test_facet_values_of_no_cards_are_none() -> None:
    assert all(values == () for values in facet_values([]).values())


def test_every_model_has_exactly_one_way_of_sharing_heads(catalog: Catalog) -> None:
    for card in catalog.cards:
        traits = attention_traits(card.architecture)
        assert set(traits) <= set(ATTENTION_TRAITS)
        assert len({"MHA", "GQA", "MQA"} & set(traits)) == (card.architecture is not None), card.id


def test_a_window_wider_than_the_context_is_no_window(catalog: Catalog) -> None:
    assert attention_traits(catalog.get("phi-4-mini-instruct").architecture) == ("GQA",)


def test_bands_and_years(catalog: Catalog) -> None:
    assert size_band(catalog.get("gemma-3-1b-it")) == "200 M to 1 B"  # 999,885,952
    assert size_band(catalog.get("gemma-4-e2b-it")) is None
    assert release_year(catalog.get("gemma-4-e2b-it")) == 2026


def test_searchable_text_is_plain(catalog: Catalog) -> None:
    text = searchable(catalog.get("distilbert-base-uncased"))
    assert text == text.casefold()
    assert "distilbert" in text
    assert "mha" in text.split()


TERMS = [
    ("sprout-5m", "yes", "no"),
    ("distilbert-base-uncased", "yes", "no"),
    ("tinybert-general-4l-312d", "unknown", "no"),
    ("minilm-l12-h384-uncased", "yes", "no"),
    ("opt-125m", "no", "no"),
    ("mistral-7b-v0-1", "yes", "auto"),
    ("codellama-7b-hf", "conditions", "no"),
    ("orca-2-13b", "no", "no"),
    ("stablelm-3b-4e1t", "conditions", "no"),
    ("gemma-2b", "conditions", "manual"),
    ("linformer", "unknown", "no"),
    ("qwen2-5-3b-instruct", "no", "no"),
    ("llama-3-2-1b-instruct", "conditions", "manual"),
    ("lfm2-350m", "conditions", "no"),
]


@pytest.mark.parametrize(("card_id", "use", "gated"), TERMS)
def test_a_licence_says_what_it_permits(
    catalog: Catalog, card_id: str, use: str, gated: str
) -> None:
    terms = licence_terms(catalog.get(card_id))
    assert (terms.commercial_use, terms.gated) == (use, gated)
    assert terms.conditions.endswith(".")
    assert (terms.access is None) == (gated == "no")


def test_the_terms_agree_with_what_the_cards_say(catalog: Catalog) -> None:
    said = {"yes": "yes", "no": "no", "unclear": "unknown", None: "unknown"}
    for card in catalog.cards:
        expected = said.get(card.commercial_use, "conditions")
        assert licence_terms(card).commercial_use == expected, card.id

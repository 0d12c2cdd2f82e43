from __future__ import annotations

import json
from pathlib import Path

import pytest

from slm_explorer.assets import asset_folder
from slm_explorer.catalog.advice_rules import Rules, load_rules
from slm_explorer.catalog.advisor import Advice, Wish, advise
from slm_explorer.catalog.catalog import Catalog
from slm_explorer.catalog.devices import find_device, load_devices, this_machine
from slm_explorer.errors import BadCatalog, InvalidRequest

RULES = load_rules(asset_folder())
DEVICES = load_devices(asset_folder())
GB = 10**9

# device, wish; the first choice and its recipe; a rule and a card that it must have ruled out.
WISHES: list[tuple[str, Wish, str | None, str | None, str, str]] = [
    ("laptop-16gb", Wish(), "granite-4-1-3b", "native", "format", "orca-2-7b"),
    ("laptop-16gb", Wish(priority="speed"), "smollm2-135m-instruct", "int4", "task", "phi-2"),
    ("laptop-16gb", Wish(priority="memory"), "smollm2-135m-instruct", "int4", "method",
     "linformer"),
    ("laptop-8gb", Wish(), "smollm3-3b", "int8", "too big", "zephyr-7b-beta"),
    ("laptop-8gb", Wish(language="fr"), "smollm3-3b", "int8", "language", "granite-4-1-3b"),
    (
        "laptop-8gb", Wish(language="fr", commercial=True),
        "smollm3-3b", "int8", "licence", "qwen2-5-3b-instruct",
    ),
    ("phone-4gb", Wish(deployment="edge"), "minicpm5-1b", "int8", "gated", "gemma-3-1b-it"),
    ("phone-6gb", Wish(deployment="browser"), "qwen3-5-0-8b", "int8", "too big", "smollm3-3b"),
    (
        "phone-8gb", Wish(deployment="edge", language="de", commercial=True),
        "smollm3-3b", "int8", "gated", "llama-3-2-3b-instruct",
    ),
    ("space-16gb", Wish(deployment="server", commercial=True), "granite-4-1-3b", "native",
     "licence", "qwen2-5-3b-instruct"),
    ("t4-16gb", Wish(deployment="server"), "granite-4-1-3b", "bf16", "too big", "zephyr-7b-beta"),
    ("gpu-24gb", Wish(context_tokens=32768), "granite-4-1-3b", "bf16", "context",
     "olmo-2-0425-1b-instruct"),
    ("laptop-16gb", Wish(context_tokens=200_000), "qwen3-5-0-8b", "native", "context", "qwen3-4b"),
    ("laptop-8gb", Wish(task="fill-mask"), "modernbert-base", "native", "format",
     "mobilebert-uncased"),
    ("laptop-8gb", Wish(task="sentence-similarity"), "all-minilm-l6-v2", "native", "task",
     "smollm3-3b"),
    ("laptop-8gb", Wish(task="text-to-text", language="de"), "flan-t5-small", "native", "task",
     "modernbert-base"),
    ("laptop-16gb", Wish(task="code"), "codellama-7b-hf", "int8", "task", "phi-2"),
    ("phone-4gb", Wish(task="code"), None, None, "too big", "codellama-7b-hf"),
    ("laptop-8gb", Wish(language="xx", commercial=True, task="fill-mask"), None, None, "language",
     "modernbert-base"),
]  # fmt: skip


def advice_for(catalog: Catalog, device: str, wish: Wish, rules: Rules = RULES) -> Advice:
    return advise(catalog.cards, wish, find_device(DEVICES, device), rules)


@pytest.mark.parametrize(("device", "wish", "model", "recipe", "rule", "excluded"), WISHES)
def test_a_wish_gets_its_choice_and_the_reason_for_what_it_does_not_get(
    catalog: Catalog,
    device: str,
    wish: Wish,
    model: str | None,
    recipe: str | None,
    rule: str,
    excluded: str,
) -> None:
    found = advice_for(catalog, device, wish)
    first = found.choices[0] if found.choices else None
    assert (first and first.card.id, first and first.recipe) == (model, recipe)
    rules = {each.rule: each.cards for each in found.ruled_out}
    assert excluded in rules.get(rule, ()), rules
    limit = find_device(DEVICES, device).usable_bytes
    for choice in found.choices:
        assert choice.fit.needed is not None
        assert choice.fit.needed <= limit


def test_every_card_is_counted_once(catalog: Catalog) -> None:
    for device, wish, *_ in WISHES:
        found = advice_for(catalog, device, wish)
        out = [card for each in found.ruled_out for card in each.cards]
        chosen = [choice.card.id for choice in found.choices]
        assert len(set(out) | set(chosen)) == len(out) + len(chosen)
        assert len(out) + len(chosen) + found.others == len(catalog.cards)


def test_reasons_say_their_kind_and_never_invent_a_speed(catalog: Catalog) -> None:
    here = this_machine(16 * GB, 14 * GB, "the system")
    phone = find_device(DEVICES, "phone-8gb")
    measured = {(card.id, recipe): 12.3 for card in catalog.cards for recipe in ("native", "int8")}

    def kinds(found: Advice) -> set[str]:
        return {reason.kind for choice in found.choices for reason in choice.reasons}

    assert "measured here" not in kinds(advise(catalog.cards, Wish(), here, RULES))
    assert "measured here" in kinds(advise(catalog.cards, Wish(), here, RULES, measured=measured))
    assert "measured here" not in kinds(
        advise(catalog.cards, Wish(), phone, RULES, measured=measured)
    )


def test_a_language_that_is_only_counted_is_said_to_be_unchecked(catalog: Catalog) -> None:
    found = advice_for(catalog, "laptop-8gb", Wish(language="sw"))
    said = [reason.text for choice in found.choices for reason in choice.reasons]
    assert any("is not checked" in text for text in said)
    assert found.choices


def test_notes_name_what_the_order_rests_on(catalog: Catalog) -> None:
    notes = " ".join(advice_for(catalog, "phone-4gb", Wish()).notes)
    assert "no common measurement" in notes
    assert "an assumption of ours" in notes


@pytest.mark.parametrize("field", ["task", "deployment", "priority"])
def test_an_unknown_word_is_named_with_what_there_is(catalog: Catalog, field: str) -> None:
    wish = Wish(**{field: "nonsense"})  # type: ignore[arg-type]
    with pytest.raises(InvalidRequest, match=f"no {field} 'nonsense': choose"):
        advice_for(catalog, "phone-4gb", wish)


def test_the_rules_decide_and_a_broken_file_is_named(catalog: Catalog, tmp_path: Path) -> None:
    values = json.loads((asset_folder() / "advisor.json").read_text())
    values["deployments"][0]["recipes"] = ["int4"]
    (tmp_path / "advisor.json").write_text(json.dumps(values))
    changed = advice_for(catalog, "laptop-16gb", Wish(), load_rules(tmp_path))
    assert {choice.recipe for choice in changed.choices} == {"int4"}
    values["priorities"][0]["weights"]["size"] = "much"
    (tmp_path / "advisor.json").write_text(json.dumps(values))
    with pytest.raises(BadCatalog, match="'size'"):
        load_rules(tmp_path)

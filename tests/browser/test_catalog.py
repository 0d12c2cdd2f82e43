"""The catalog in a real browser: found, filtered, sorted, shown, and set right."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import replace
from typing import Any

import pytest
from playwright.sync_api import expect

from slm_explorer.catalog.search import Facets
from slm_explorer.catalog.taxonomy import load_taxonomy, members
from slm_explorer.ui.catalog_rows import COMMERCIAL_USE, catalog_rows
from tests.browser.catalog_page import ROWS, card, explore, facet, option, rows, search
from tests.browser.chat_page import open_tab
from tests.browser.conftest import Visit
from tests.catalog.test_search import QUESTIONS
from tests.serving import SLOW_NAME, Site

pytestmark = pytest.mark.browser

NEVER_HTML = "<img src=x onerror=\"document.title='x'\"> ${document.title='y'} <b>b</b>"


def page_facets(facets: Facets) -> dict[str, list[str]] | None:
    """The same facets as the page names them; None where it offers another choice instead."""
    found = {
        "kind": facets.kinds,
        "family": facets.families,
        "tasks": facets.tasks,
        "use": {COMMERCIAL_USE[use] for use in facets.commercial_use},
        "attention": facets.attention,
        "size": facets.sizes,
        "year": {str(year) for year in facets.years},
    }
    plain = replace(
        facets,
        kinds=frozenset(),
        families=frozenset(),
        tasks=frozenset(),
        commercial_use=frozenset(),
        attention=frozenset(),
        sizes=frozenset(),
        years=frozenset(),
    )
    return {key: sorted(chosen) for key, chosen in found.items()} if plain == Facets() else None


def test_the_page_finds_what_the_command_line_finds(visit: Visit, served: Site) -> None:
    page = explore(visit)
    expect(page.locator(ROWS)).to_have_count(len(served.services.catalog.cards))
    asked = [(query, page_facets(facets), found) for _, query, facets, found in QUESTIONS]
    assert sum(facets is not None for _, facets, _ in asked) >= 15
    for query, facets, found in asked:
        if facets is None:
            continue
        search(page, query)
        page.evaluate(
            """async (facets) => {
              const at = new URL("slm/catalog_state.js", document.baseURI).href;
              (await import(at)).change({ facets });
            }""",
            facets,
        )
        shown = {row.get_attribute("data-id") for row in page.locator(ROWS).all()}
        assert shown == found, (query, facets)
    search(page, "no model is called this")
    expect(page.locator(".slm-nothing")).to_be_visible()


def test_facets_filter_with_counts_of_what_they_would_leave(visit: Visit, served: Site) -> None:
    cards = served.services.catalog.cards
    page = explore(visit)
    kinds = Counter(card.architecture_kind for card in cards)
    for kind, count in kinds.items():
        expect(option(page, "Kind", kind)).to_be_visible()
        texts = facet(page, "Kind").get_by_role("menuitemcheckbox").all_text_contents()
        assert f"{kind}{count}" in texts
    option(page, "Kind", "encoder-decoder").click()
    expect(page.locator(ROWS)).to_have_count(kinds["encoder-decoder"])
    # The other facets count within it; its own values go on counting all.
    assert "translation2" in facet(page, "Task").get_by_role("menuitemcheckbox").all_text_contents()
    option(page, "Kind", "decoder").click()
    expect(page.locator(ROWS)).to_have_count(kinds["encoder-decoder"] + kinds["decoder"])
    option(page, "Attention", "MQA").click()
    search(page, "gemma")
    left = served.services.catalog.search(
        "gemma",
        Facets(kinds=frozenset({"decoder", "encoder-decoder"}), attention=frozenset({"MQA"})),
    )
    assert rows(page) == [found.name for found in left]
    page.get_by_role("button", name="Clear all").click()
    search(page, "")
    expect(page.locator(ROWS)).to_have_count(len(cards))


def test_sorting_keeps_what_is_unknown_last(visit: Visit, served: Site) -> None:
    page = explore(visit)
    known = [c for c in served.services.catalog.cards if c.parameters]
    page.get_by_role("button", name="Parameters", exact=True).click()
    assert rows(page)[0] == min(known, key=lambda c: c.parameters or 0).name
    page.get_by_role("button", name="Parameters", exact=False).first.click()
    expect(page.locator("th[aria-sort=descending]")).to_have_text("Parameters ↓")
    shown = rows(page)
    assert shown[0] == max(known, key=lambda c: c.parameters or 0).name
    unknown = {c.name for c in served.services.catalog.cards if not c.parameters}
    assert set(shown[-len(unknown) :]) == unknown


def test_columns_are_chosen(visit: Visit) -> None:
    page = explore(visit)
    page.locator(".slm-filters details summary").click()
    page.get_by_role("menuitemcheckbox", name="Maker").click()
    expect(page.locator("#slm-catalog thead")).to_contain_text("Maker")
    page.keyboard.press("Escape")
    expect(page.locator("details[open]")).to_have_count(0)


def test_lights_follow_device_precision_and_context(visit: Visit) -> None:
    page = explore(visit)
    light = page.locator(f"{ROWS}[data-id=phi-3-5-mini-instruct] .slm-light")
    page.get_by_label("Does it fit").select_option("phone-4gb")
    expect(light).to_have_text("too big")
    estimate = card(page, "phi-3-5-mini-instruct").locator("section.slm-estimate")
    expect(estimate).to_contain_text("Phone, 4 GB, as stored, 2,048 tokens")
    page.get_by_label("with a context of").select_option("131072")
    expect(estimate).to_contain_text("131,072 tokens")
    page.get_by_label("Does it fit").select_option("laptop-16gb")
    page.get_by_label("loaded as").select_option("int4")
    page.get_by_label("with a context of").select_option("512")
    expect(light).to_have_text("fits")
    expect(estimate).to_contain_text("int4, 512 tokens")


def test_a_card_shows_facts_blocks_and_sources_and_opens_in_chat(visit: Visit) -> None:
    page = explore(visit)
    search(page, SLOW_NAME)
    shown = card(page, "smollm2-135m-instruct")
    expect(shown.locator("h2")).to_have_text(SLOW_NAME)
    expect(shown.get_by_text("from memory, unverified").first).to_be_visible()
    # 9 query heads on 3 KV heads.
    expect(shown.locator(".slm-blocks .slm-kv")).to_have_count(3)
    expect(shown.locator(".slm-blocks .slm-query")).to_have_count(9)
    expect(shown.locator(".slm-stacked span")).to_have_count(4)
    shown.get_by_role("button", name="Open in Chat").click()
    expect(page.locator("#slm-model-3 input")).to_have_value(SLOW_NAME)


def test_an_encoder_decoder_is_drawn_as_two_stacks(visit: Visit) -> None:
    page = explore(visit)
    shown = card(page, "t5-small")
    expect(shown.locator(".slm-blocks")).to_have_count(2)
    expect(shown.locator(".slm-box-cross-attention")).to_have_count(1)


def test_a_model_that_cannot_run_says_why(visit: Visit) -> None:
    page = explore(visit)
    shown = card(page, "phi-2")
    expect(shown.get_by_role("button", name="Open in Chat")).to_be_disabled()
    expect(shown.locator(".slm-reason")).to_contain_text("not on this machine")
    expect(shown.locator(".slm-claim[data-id=phi-2-grouped-queries]")).to_be_visible()


def test_a_way_to_be_small_filters_explore(visit: Visit, served: Site) -> None:
    page = explore(visit)
    methods = load_taxonomy(served.services.assets)
    shared = next(method for method in methods if method.rule == "grouped queries")
    names = [m.card_id for m in members(shared, served.services.catalog.cards)]
    open_tab(page, "How they become small")
    page.locator(f".slm-way[data-id={shared.id}]").get_by_role("button").click()
    expect(page.locator(ROWS)).to_have_count(len(names))
    assert [row.get_attribute("data-id") for row in page.locator(ROWS).all()] == names
    page.get_by_role("button", name=f"{shared.name} ✕").click()
    expect(page.locator(ROWS)).to_have_count(len(served.services.catalog.cards))


def test_claims_are_searched(visit: Visit) -> None:
    page = explore(visit)
    open_tab(page, "Claims")
    page.get_by_label("Search the claims").fill("phi grouped")
    expect(page.locator("#slm-claims .slm-claim")).to_have_count(1)
    expect(page.locator("#slm-claims .slm-claim")).to_contain_text("plain multi-head attention")
    expect(page.locator("#slm-plot-sizes .main-svg").first).to_be_visible()
    expect(page.locator("#slm-beside")).to_contain_text("PaLM 540B")


def test_the_table_is_walked_by_keys(visit: Visit) -> None:
    page = explore(visit)
    page.get_by_label("Search the catalog").fill("sprout")
    page.keyboard.press("ArrowDown")
    page.keyboard.press("ArrowDown")
    page.keyboard.press("Enter")
    expect(page.locator("#slm-card h2")).to_have_text("Sprout 1M")
    expect(page.locator(".slm-chosen")).to_contain_text("Sprout 1M")


def test_a_name_is_never_markup_or_script(visit: Visit, served: Site) -> None:
    page = explore(visit)
    title = page.title()
    first = replace(served.services.catalog.cards[0], name=NEVER_HTML, notes=NEVER_HTML)
    value: dict[str, Any] = catalog_rows([first])
    # As the view would draw it, had the catalog such a card.
    page.evaluate(
        """async (value) => {
          const page = await import(new URL("slm/page.js", document.baseURI).href);
          const mount = (name, given) => {
            const element = document.createElement("div");
            element.id = `probe-${name}`;
            document.body.append(element);
            page.mount(name, element, { value: given }, () => {}, () => {});
          };
          mount("catalog", value);
          mount("card", { id: "x", name: value.rows[0].name, notes: value.rows[0].name,
            kind: "decoder", organisation: value.rows[0].name, uses: [], reason: null });
        }""",
        json.loads(json.dumps(value)),
    )
    expect(page.locator("#probe-catalog .slm-link")).to_have_text(NEVER_HTML)
    expect(page.locator("#probe-card h2")).to_have_text(NEVER_HTML)
    expect(page.locator("#probe-catalog img, #probe-card img, #probe-card b")).to_have_count(0)
    assert page.title() == title


def test_it_is_usable_on_a_phone(visit: Visit, served: Site) -> None:
    page = explore(visit, 390)
    kinds = Counter(card.architecture_kind for card in served.services.catalog.cards)
    option(page, "Kind", "encoder-decoder").click()
    expect(page.locator(ROWS)).to_have_count(kinds["encoder-decoder"])
    page.keyboard.press("Escape")
    menu = facet(page, "Here").bounding_box()
    assert menu is not None
    assert menu["x"] >= 0
    assert menu["x"] + menu["width"] <= 390
    for name in ("Explore", "Compare", "Plots"):
        open_tab(page, name)
        wide, inner = page.evaluate("[document.documentElement.scrollWidth, window.innerWidth]")
        assert wide <= inner, name

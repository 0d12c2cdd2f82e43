"""The Catalog's choice of models to compare, and what follows it: the table and the plots."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import Route, expect

from tests.browser.catalog_page import ROWS, explore, option, pick, search
from tests.browser.chat_page import open_tab
from tests.browser.conftest import Visit

pytestmark = pytest.mark.browser


def test_comparing_marks_what_differs(visit: Visit) -> None:
    page = explore(visit)
    pick(page, "sprout-1m", "sprout-5m")
    open_tab(page, "Compare")
    table = page.locator("#slm-compare table")
    expect(table.locator("thead th")).to_have_count(2)
    expect(table.locator("tr.slm-differs").filter(has_text="1,246,592")).to_have_count(1)
    alike = table.locator("tr").filter(has_text="Context, tokens")
    assert "slm-differs" not in (alike.get_attribute("class") or "")
    page.get_by_role("button", name="Differences only").click()
    expect(alike).to_have_count(0)
    page.get_by_label("Add a model").select_option("phi-2")
    expect(table.locator("thead th")).to_have_count(3)
    page.get_by_label("Take Sprout 1M out").click()
    expect(table.locator("thead th")).to_have_count(2)
    open_tab(page, "Explore")
    expect(page.locator(".slm-pick[aria-pressed=true]")).to_have_count(2)


def test_of_quick_picks_none_is_lost(visit: Visit) -> None:
    page = explore(visit)
    first: list[Route] = []
    page.route(
        re.compile("/run/predict"),
        lambda route: route.continue_() if first else first.append(route),
    )
    for place in range(4):
        page.locator(f"{ROWS} .slm-pick").nth(place).click()
    # The first pick is still on its way while the others are made.
    page.wait_for_function(
        "() => document.querySelectorAll('.slm-pick[aria-pressed=true]').length === 4"
    )
    first[0].continue_()
    open_tab(page, "Compare")
    expect(page.locator("#slm-compare thead th")).to_have_count(4)


def test_six_models_are_the_most(visit: Visit) -> None:
    page = explore(visit)
    for place in range(6):
        page.locator(f"{ROWS} .slm-pick").nth(place).click()
    expect(page.locator(f"{ROWS} .slm-pick:disabled").first).to_be_visible()
    open_tab(page, "Compare")
    expect(page.locator("#slm-compare thead th")).to_have_count(6)
    expect(page.get_by_label("Add a model")).to_be_disabled()


def test_plots_stay_put_until_other_models_are_chosen(visit: Visit) -> None:
    page = explore(visit)
    open_tab(page, "Plots")
    plots = ("memory", "parts", "time")
    for name in plots:
        page.locator(f"#slm-plot-{name} .main-svg").first.wait_for()
        page.evaluate(f"document.querySelector('#slm-plot-{name} .js-plotly-plot').kept = true")
    kept = "document.querySelector('#slm-plot-{} .js-plotly-plot').kept === true"
    open_tab(page, "Explore")
    search(page, "gemma")
    option(page, "Kind", "decoder").click()
    open_tab(page, "Plots")
    page.wait_for_timeout(1000)  # what should not happen has no event
    assert [page.evaluate(kept.format(name)) for name in plots] == [True, True, True]
    open_tab(page, "Explore")
    pick(page, "gemma-2b")
    open_tab(page, "Plots")
    expect(page.locator("[data-testid=markdown].slm-plot-note")).to_contain_text(
        "chosen to compare"
    )
    expect(
        page.locator("#slm-plot-parts .yaxislayer-above, #slm-plot-parts .ytick")
    ).to_contain_text(["Gemma 2B"])
    assert not page.evaluate(kept.format("memory"))
    assert page.evaluate(kept.format("time"))

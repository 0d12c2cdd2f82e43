"""The Hub tab in a real browser, against a Hub on loopback."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from tests.browser.chat_page import open_tab
from tests.browser.conftest import Visit
from tests.hub.conftest import NAMES, llama
from tests.hub.server import COMMIT, Hub, running_hub
from tests.serving import SLOW_HUB_ID, Site

pytestmark = pytest.mark.browser

TINY = "some-one/Tiny.Llama-1"
DOWNLOAD = f"#slm-downloads li[data-id='{TINY}']"


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Hub]:
    with running_hub() as server:
        monkeypatch.setenv("HF_ENDPOINT", server.address)
        monkeypatch.setenv("HF_HOME", str(tmp_path / "hf"))
        monkeypatch.setenv("NO_PROXY", "localhost,127.0.0.1")
        for name in NAMES:
            monkeypatch.delenv(name, raising=False)
        yield server


def open_part(visit: Visit, name: str, width: int = 1440) -> Page:
    page = visit(width)
    open_tab(page, "Catalog")
    page.locator("#slm-catalog tbody tr").first.wait_for()
    tab = page.locator("#slm-catalog-tabs").get_by_role("tab", name=name, exact=True)
    if not tab.is_visible():
        page.locator("#slm-catalog-tabs .overflow-menu > button").click()
        tab = page.locator("#slm-catalog-tabs .overflow-dropdown button").filter(has_text=name)
    tab.click()
    return page


def open_hub(visit: Visit, width: int = 1440) -> Page:
    page = open_part(visit, "Hub", width)
    page.get_by_label("Model on the Hub").wait_for()
    return page


def look_up(page: Page, hub_id: str) -> None:
    page.get_by_label("Model on the Hub").fill(hub_id)
    page.get_by_role("button", name="Look up").click()


def test_a_model_is_looked_up_downloaded_and_deleted(
    visit: Visit, served: Site, hub: Hub, shots: Path
) -> None:
    hub.add(llama())
    page = open_hub(visit)
    look_up(page, TINY)
    found = page.locator(".slm-hub-found")
    expect(found).to_contain_text(COMMIT)
    expect(found).to_contain_text("apache-2.0")
    page.screenshot(path=shots / "hub-found-1440.png")

    found.get_by_role("button", name="Download", exact=True).click()
    expect(page.locator(DOWNLOAD)).to_have_attribute("data-status", "done")
    here = page.locator(f"#slm-local li[data-id='{TINY}']")
    expect(here).to_contain_text(COMMIT[:12])
    page.screenshot(path=shots / "hub-downloaded-1440.png", full_page=True)

    here.get_by_role("button", name="Delete").click()
    assert TINY in [model.hub_id for model in served.services.hub.local_models()]
    here.get_by_role("button", name="Really delete").click()
    expect(here).to_have_count(0)
    assert TINY not in [model.hub_id for model in served.services.hub.local_models()]
    shipped = page.locator("#slm-local li[data-id='sprout-300k']")
    expect(shipped.get_by_role("button", name="Delete")).to_have_count(0)


def test_what_fails_is_said_in_a_sentence(visit: Visit, hub: Hub, shots: Path) -> None:
    del hub
    page = open_hub(visit, 390)
    look_up(page, "no-one/nothing")
    expect(page.locator("#slm-hub .slm-error")).to_contain_text("no-one/nothing")
    look_up(page, "not an id")
    expect(page.locator("#slm-hub .slm-error")).not_to_contain_text("no-one/nothing")
    wide = page.evaluate("document.documentElement.scrollWidth - innerWidth")
    assert wide <= 0
    page.screenshot(path=shots / "hub-390.png", full_page=True)


def test_a_model_here_opens_in_a_lane(visit: Visit, hub: Hub) -> None:
    del hub
    page = open_hub(visit)
    row = page.locator("#slm-local li").filter(has_text="SmolLM2 135M Instruct")
    expect(row.locator(f"[title='{SLOW_HUB_ID}']")).to_be_visible()
    row.get_by_role("button", name="Open in Chat").click()
    expect(page.get_by_role("tab", name="Chat", exact=True)).to_have_attribute(
        "aria-selected", "true"
    )


def test_the_advisor_gives_three_choices_with_reasons(visit: Visit, shots: Path) -> None:
    page = open_part(visit, "Advisor")
    choices = page.locator("#slm-advisor article")
    expect(choices).to_have_count(3)
    page.screenshot(path=shots / "advisor-1440.png", full_page=True)
    before = choices.evaluate_all("all => all.map((each) => each.dataset.id)")
    page.get_by_label("What counts most").select_option("memory")
    first = page.locator(f"#slm-advisor article[data-id='{before[0]}']:first-child")
    expect(first).to_have_count(0)
    name = choices.first.locator("h3").inner_text().partition(". ")[2]
    choices.first.get_by_role("button", name="Show its card").click()
    expect(page.locator("#slm-card h2")).to_have_text(name)


def test_the_advisor_fits_a_phone(visit: Visit, shots: Path) -> None:
    page = open_part(visit, "Advisor", 390)
    page.locator("#slm-advisor article").first.wait_for()
    assert page.evaluate("document.documentElement.scrollWidth - innerWidth") <= 0
    page.screenshot(path=shots / "advisor-390.png", full_page=True)


def test_a_shape_is_measured_on_the_card(visit: Visit, served: Site, shots: Path) -> None:
    page = open_part(visit, "Explore")
    page.get_by_label("Search the catalog").fill("Sprout 300K")
    page.locator("#slm-catalog .slm-link").first.click()
    panel = page.locator("#slm-shape-panel")
    panel.get_by_role("button", name="Measure its shape here").click()
    note = panel.locator(".slm-shape-result")
    expect(note).to_contain_text("random weights in this shape, measured on this machine at")
    page.screenshot(path=shots / "shape-1440.png")
    (row,) = served.services.store.runs("bench")
    assert row["shape"] is True
    assert row["max_tokens"] == 32


def test_a_card_leads_to_a_part_that_a_phone_keeps_in_a_menu(visit: Visit) -> None:
    page = open_part(visit, "Explore", 390)
    page.locator("#slm-catalog .slm-link").first.click()
    page.locator("#slm-details [title='What this way is, and who else uses it']").first.click()
    expect(page.locator("#slm-ways")).to_be_visible()

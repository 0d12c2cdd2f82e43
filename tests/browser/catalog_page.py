"""What a test does on the Catalog's Explore tab, in one word each."""

from __future__ import annotations

import re

from playwright.sync_api import Locator, Page, expect

from tests.browser.chat_page import open_tab
from tests.browser.conftest import Visit

ROWS = "#slm-catalog tbody tr"


def explore(visit: Visit, width: int = 1440) -> Page:
    page = visit(width)
    open_tab(page, "Catalog")
    page.locator(ROWS).first.wait_for()
    return page


def rows(page: Page) -> list[str]:
    return page.locator(f"{ROWS} .slm-link").all_text_contents()


def search(page: Page, words: str) -> None:
    page.get_by_label("Search the catalog").fill(words)


def facet(page: Page, name: str) -> Locator:
    """The opened menu of a facet."""
    menu = page.locator(".slm-facets details").filter(has_text=re.compile(f"^{name}"))
    if menu.get_attribute("open") is None:
        menu.locator("summary").click()
    return menu.get_by_role("menu")


def option(page: Page, name: str, value: str) -> Locator:
    return facet(page, name).get_by_role("menuitemcheckbox").filter(has_text=value).first


def card(page: Page, card_id: str) -> Locator:
    page.locator(f"{ROWS}[data-id={card_id}] .slm-link").click()
    expect(page.locator(f"{ROWS}[data-id={card_id}]")).to_have_class("slm-chosen")
    return page.locator("#slm-card-column")


def pick(page: Page, *ids: str) -> None:
    for card_id in ids:
        page.locator(f"{ROWS}[data-id={card_id}] .slm-pick").click()

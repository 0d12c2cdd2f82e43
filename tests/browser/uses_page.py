"""The playground's uses as a person works with them."""

from __future__ import annotations

from playwright.sync_api import Page, expect

from slm_explorer.tasks import Task


def choose_use(page: Page, use: Task) -> None:
    button = page.locator(f".slm-use[data-use={use}]")
    button.click()
    expect(button).to_have_attribute("aria-checked", "true")


def write(page: Page, text: str) -> None:
    """Fill the writer and send it, whatever Enter does in this use."""
    before = page.locator(".slm-prompt").count()
    page.locator("#slm-prompt textarea").fill(text)
    page.locator("#slm-send").click()
    expect(page.locator(".slm-prompt")).to_have_count(before + 1)

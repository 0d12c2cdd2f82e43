"""The chat tab as a person uses it: what to press, and what to wait for."""

from __future__ import annotations

from playwright.sync_api import Locator, Page, expect

from tests.browser.conftest import WAIT_MS
from tests.serving import SLOW_NAME

expect.set_options(timeout=WAIT_MS)


def send(page: Page, prompt: str) -> None:
    before = page.locator(".slm-prompt").count()
    page.locator("#slm-prompt textarea").fill(prompt)
    page.locator("#slm-prompt textarea").press("Enter")
    expect(page.locator(".slm-prompt")).to_have_count(before + 1)


def answers(page: Page, status: str = "") -> Locator:
    """The answers to the last prompt, or those of them in a state."""
    last = page.locator(".slm-turns > .slm-answers").last
    return last.locator(f".slm-answer[data-status={status}]" if status else ".slm-answer")


def wait_idle(page: Page) -> None:
    """Until every lane has answered."""
    expect(page.locator("body[data-running]")).to_have_count(0)
    expect(answers(page).first).to_be_visible()


def wait_writing(page: Page, count: int = 1) -> None:
    expect(answers(page, "writing")).to_have_count(count)


def choose_model(page: Page, slot: int, name: str) -> None:
    box = page.locator(f"#slm-model-{slot} input")
    box.click()
    page.locator(f"#slm-model-{slot}").get_by_role("option", name=name, exact=True).click()
    expect(box).to_have_value(name)


def set_max_tokens(page: Page, count: int) -> None:
    if not page.get_by_label("number input for Max tokens").is_visible():
        page.locator("#slm-settings > button").click()
    field = page.get_by_label("number input for Max tokens")
    field.fill(str(count))
    field.press("Tab")


def keep_lanes(page: Page, count: int) -> None:
    """Remove lanes from the right until `count` are left."""
    columns = page.locator(".slm-remove:visible")
    while (have := columns.count()) > count:
        columns.last.click()
        expect(columns).to_have_count(have - 1)


def make_slow(page: Page, lanes: int = 1) -> None:
    """Leave this many lanes, all with the model that goes on for long."""
    keep_lanes(page, lanes)
    for slot in range(lanes):
        choose_model(page, slot, SLOW_NAME)
    set_max_tokens(page, 3000)


def open_tab(page: Page, name: str) -> None:
    page.get_by_role("tab", name=name, exact=True).click()

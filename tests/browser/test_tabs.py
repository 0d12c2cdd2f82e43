"""The meters, and how all of it looks at two widths in light and dark."""

from __future__ import annotations

from pathlib import Path

import pytest
from playwright.sync_api import Request, expect

from tests.browser.chat_page import answers, keep_lanes, open_tab, send, set_max_tokens, wait_idle
from tests.browser.conftest import Scheme, Visit
from tests.serving import Site

pytestmark = pytest.mark.browser


def test_meters_show_a_worker_and_unload_it(visit: Visit, served: Site) -> None:
    page = visit()
    set_max_tokens(page, 4)
    send(page, "Hi")
    wait_idle(page)
    expect(answers(page, "done")).to_have_count(3)
    page.locator(".slm-gauge").last.click()
    worker = page.locator("#slm-meters tr[data-key^='sprout-1m:']")
    expect(worker).to_contain_text("MB")
    worker.get_by_role("button", name="Unload").click()
    expect(worker).to_have_count(0)
    assert "sprout-1m" not in [s.spec.model for s in served.services.manager.states()]
    expect(page.locator(".slm-spark polyline").first).to_be_visible()


def test_meters_poll_only_on_their_tab_and_in_a_page_that_is_seen(visit: Visit) -> None:
    page = visit()
    asked: list[Request] = []

    def note(request: Request) -> None:
        asked.append(request)

    page.on("request", note)
    config = page.evaluate("window.gradio_config")
    ids = {component["props"].get("elem_id"): component["id"] for component in config["components"]}
    timers = [c["id"] for c in config["components"] if c["type"] == "timer"]
    handler = next(
        dependency["id"]
        for dependency in config["dependencies"]
        if dependency["outputs"][:1] == [ids["slm-meters"]]
        and dependency["targets"][0][0] in timers
    )

    def of_strip(request: Request) -> bool:
        return request.url.endswith("/slm-live/strip")

    def of_meters(request: Request) -> bool:
        return f'"fn_index":{handler},' in (request.post_data or "")

    with page.expect_request(of_strip):
        pass
    assert not any(map(of_meters, asked))
    with page.expect_request(of_meters):
        open_tab(page, "Meters")
    page.wait_for_timeout(300)  # a question that was under way
    asked.clear()
    with page.expect_request(of_meters):
        pass
    assert not any(map(of_strip, asked))
    open_tab(page, "Chat")
    page.locator("#slm-prompt").wait_for()
    page.wait_for_timeout(300)
    asked.clear()
    for _ in range(2):
        with page.expect_request(of_strip):
            pass
    assert not any(map(of_meters, asked))
    page.evaluate(
        "Object.defineProperty(document, 'hidden', {get: () => true});"
        "document.dispatchEvent(new Event('visibilitychange'))"
    )
    page.wait_for_timeout(2500)  # a tick that was under way
    asked.clear()
    page.wait_for_timeout(5000)
    assert not asked


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [1440, 390])
def test_every_tab_fits_its_width(visit: Visit, shots: Path, width: int, scheme: Scheme) -> None:
    page = visit(width, scheme, touch=width < 600)
    page.screenshot(path=shots / f"chat-empty-{width}-{scheme}.png")
    set_max_tokens(page, 48)
    page.locator("#slm-settings > button").click()
    page.locator("#slm-prompt textarea").fill("Tell me a story about a fox and a lantern.")
    page.locator("#slm-send").click()
    expect(page.locator(".slm-prompt")).to_have_count(1)
    wait_idle(page)
    page.screenshot(path=shots / f"chat-{width}-{scheme}.png")
    for name in ("Chat", "Catalog", "Meters"):
        open_tab(page, name)
        if name == "Catalog":
            page.locator("#slm-catalog .slm-link").first.click()
            expect(page.locator("#slm-card h2")).to_be_visible()
        if name == "Meters":
            expect(page.locator(".slm-spark").first).to_be_visible()
        page.screenshot(path=shots / f"{name.lower()}-tab-{width}-{scheme}.png")
        wide, inner = page.evaluate("[document.documentElement.scrollWidth, window.innerWidth]")
        assert wide <= inner, name
    dark = page.evaluate("document.body.classList.contains('dark')")
    assert dark == (scheme == "dark")


@pytest.mark.parametrize("width", [1440, 390])
def test_the_meters_and_the_writer_stay_in_reach_of_a_long_chat(visit: Visit, width: int) -> None:
    page = visit(width, touch=width < 600)
    keep_lanes(page, 1)
    set_max_tokens(page, 4)
    page.locator("#slm-prompt textarea").fill("\n".join(["Tell me a story."] * 60))
    page.locator("#slm-send").click()
    expect(page.locator(".slm-prompt")).to_have_count(1)
    wait_idle(page)
    page.evaluate("scrollTo(0, 0)")
    expect(page.locator("#slm-send")).to_be_in_viewport()
    page.evaluate("scrollTo(0, document.body.scrollHeight)")
    gauge = page.locator(".slm-strip .slm-gauge").first
    expect(gauge).to_be_in_viewport(ratio=1)
    gauge.click(trial=True)  # nothing lies over it


def test_an_endless_row_of_frames_is_slowed_and_can_be_cancelled(visit: Visit) -> None:
    # What a frame asks for has the number of a frame, above zero, until the row is too long.
    numbers = visit().evaluate(
        """() => new Promise((resolve) => {
            const seen = [];
            const again = () => {
                const id = requestAnimationFrame(again);
                seen.push(id > 0);
                if (id > 0) return;
                cancelAnimationFrame(id);
                resolve([seen, requestAnimationFrame(() => undefined) > 0]);
            };
            requestAnimationFrame(again);
        })"""
    )
    assert numbers == [[True] * 59 + [False], False]

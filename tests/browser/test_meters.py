"""The meters' picture, files and carbon in a real browser."""

from __future__ import annotations

import csv
import io
from pathlib import Path

import pytest
from playwright.sync_api import expect

from tests.browser.chat_page import keep_lanes, open_tab, send, set_max_tokens, wait_idle
from tests.browser.conftest import Scheme, Visit
from tests.serving import Site

pytestmark = pytest.mark.browser


def test_an_answer_leaves_its_mark_and_its_worker_a_layer(visit: Visit, served: Site) -> None:
    page = visit()
    keep_lanes(page, 1)
    set_max_tokens(page, 4)
    send(page, "Hi")
    wait_idle(page)
    open_tab(page, "Meters")
    expect(page.locator(".slm-mark-answer").first).to_be_visible()
    model = served.services.manager.states()[0].spec.model
    expect(page.locator("#slm-meter-shares .slm-legend").first).to_contain_text(model)
    before = page.locator(".slm-stack").element_handle()
    held = served.services.sampler.latest().at
    served.services.sampler.wait_for_next(held, 10)
    page.wait_for_timeout(4500)  # two ticks
    after = page.locator(".slm-stack").element_handle()
    assert before is not None
    assert after is not None
    assert before.evaluate("(node, other) => node === other", after), "the plot was mounted anew"


@pytest.mark.parametrize("width", [1440, 390])
def test_every_figure_of_a_worker_and_its_button_are_in_sight(visit: Visit, width: int) -> None:
    page = visit(width, touch=width < 600)
    keep_lanes(page, 1)
    set_max_tokens(page, 4)
    page.locator("#slm-prompt textarea").fill("Hi")
    page.locator("#slm-send").click()
    wait_idle(page)
    open_tab(page, "Meters")
    row = page.locator("#slm-meter-models tr", has=page.get_by_role("button", name="Unload")).first
    row.scroll_into_view_if_needed()
    for name in ("PSS", "Predicted", "Tokens"):
        expect(row.locator(f"td[data-name={name}]")).to_be_in_viewport(ratio=1)
    expect(row.get_by_role("button", name="Unload")).to_be_in_viewport(ratio=1)


def test_the_seconds_are_saved_as_csv(visit: Visit) -> None:
    page = visit()
    open_tab(page, "Meters")
    with page.expect_download() as download:
        page.get_by_role("button", name="Save seconds").click()
    path = download.value.path()
    rows = list(csv.DictReader(io.StringIO(Path(path).read_text("utf-8"))))
    assert download.value.suggested_filename.startswith("slm-explorer-seconds-")
    assert rows
    assert float(rows[-1]["memory_used_bytes"]) > 0


def test_carbon_is_shown_only_for_a_grid_that_was_named(visit: Visit) -> None:
    page = visit()
    open_tab(page, "Meters")
    energy = page.locator("#slm-meter-energy")
    expect(energy).to_contain_text("Carbon is shown when you name your grid's intensity.")
    energy.locator("input").fill("300")
    expect(energy.locator(".slm-carbon .slm-num")).not_to_contain_text("Carbon is shown")
    page.wait_for_timeout(4500)  # two ticks, which must not take back what was typed
    expect(energy.locator("input")).to_have_value("300")


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [1440, 390])
def test_meters_fit_their_width(visit: Visit, shots: Path, width: int, scheme: Scheme) -> None:
    page = visit(width, scheme, touch=width < 600)
    open_tab(page, "Meters")
    page.locator(".slm-stack").wait_for()
    page.screenshot(path=shots / f"meters-{width}-{scheme}.png", full_page=True)
    wide, inner = page.evaluate("[document.documentElement.scrollWidth, window.innerWidth]")
    assert wide <= inner

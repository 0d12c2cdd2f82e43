"""The Lab in a real browser: a Sprout is made smaller, proven, read token by token, and chats
beside its parent.
"""

from __future__ import annotations

import threading
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from slm_explorer import proof
from slm_explorer.lab import runner
from slm_explorer.lab.types import Order, Run
from tests.browser.chat_page import answers, open_tab, send, set_max_tokens, wait_idle
from tests.browser.conftest import Scheme, Visit
from tests.serving import SLOW_CARD, Site

# A whole proof; generous, because CI machines are slow.
PROOF_MS = 900_000

pytestmark = [pytest.mark.browser, pytest.mark.timeout(1_200)]

MARKUP = "<b>bold</b> <img src=x onerror=alert(1)> ${1+1}\nThe cat sat. What is 3 + 4?"


def open_lab(visit: Visit, width: int = 1440, scheme: Scheme = "light") -> Page:
    page = visit(width, scheme, touch=width < 600)
    open_tab(page, "Lab")
    page.locator(".slm-lab-start").wait_for()
    return page


def choose_recipe(page: Page, recipe: str) -> None:
    page.get_by_label("Recipe", exact=True).fill(recipe)
    expect(page.locator(".slm-lab-go")).to_contain_text("estimated")


def choose_parent(page: Page, model: str) -> None:
    page.get_by_label("Parent", exact=True).select_option(model)
    expect(page.get_by_label("Parent", exact=True)).to_have_value(model)


def wait_ended(site: Site, run_id: str) -> Run:
    for _ in range(PROOF_MS // 200):
        run = site.services.lab.run(run_id)
        if run.ended:
            return run
        threading.Event().wait(0.2)
    raise AssertionError(f"{run_id} has not ended")


@pytest.fixture(scope="module")
def made(served: Site) -> Run:
    """A finished run to look at."""
    lab = served.services.lab
    done = [run for run in lab.runs() if run.kept]
    run = done[0] if done else wait_ended(served, lab.submit(Order("sprout-300k", "int4")))
    assert run.kept, run.error
    return run


def test_a_sprout_is_made_smaller_proven_and_chats_beside_its_parent(
    visit: Visit, served: Site, shots: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # A tenth of the text and fewer questions: the measures are the same, and less sure.
    monkeypatch.setattr(proof, "_CHARACTERS", 8_000)
    monkeypatch.setattr(runner, "SKILL_ITEMS", 2)
    page = open_lab(visit)
    page.screenshot(path=shots / "lab-empty-1440.png", full_page=True)
    choose_parent(page, "sprout-5m")
    choose_recipe(page, "int4")
    page.locator(".slm-lab-start").click()
    # The grid is there before its matrices are, and fills in.
    expect(page.locator("td.slm-lab-done").first).to_be_visible()
    page.screenshot(path=shots / "lab-running-1440.png")
    expect(page.locator("td.slm-lab-done")).to_have_count(6 * 7 + 1, timeout=PROOF_MS)
    cell = page.locator("td.slm-lab-done").nth(3)
    cell.hover()
    expect(page.locator(".slm-lab-said")).to_contain_text("int4, 4.5 bits a weight")
    cell.focus()
    page.keyboard.press("ArrowDown")
    expect(page.locator(".slm-lab-said")).to_contain_text("layer 1, ")

    # Another browser sees the same run: it belongs to no tab.
    other = open_lab(visit)
    expect(other.locator(".slm-lab-head h2")).to_have_text("Sprout 5M → int4")
    other.close()

    report = page.locator(".slm-lab-report")
    report.wait_for(timeout=PROOF_MS)
    (run,) = [run for run in served.services.lab.runs() if run.order.model == "sprout-5m"]
    assert run.report is not None
    verdicts = page.locator(".slm-lab-verdicts li")
    expect(verdicts.first).to_have_text(run.report["verdicts"][0]["text"])  # type: ignore[index]
    expect(page.locator(".slm-lab-bar")).to_have_count(6)
    expect(report.locator("tr", has_text="Bits per byte")).to_contain_text("%")
    page.screenshot(path=shots / "lab-report-1440.png", full_page=True)

    page.get_by_label("Text for both models to read").fill(MARKUP)
    page.get_by_role("button", name="Compare").click()
    tokens = page.locator(".slm-lab-token")
    expect(tokens.first).to_be_visible()
    said = "".join(tokens.all_inner_texts()).replace("⏎", "")
    assert "<b>bold</b>" in said
    assert page.locator(".slm-lab-tokens b, .slm-lab-tokens img").count() == 0
    tokens.nth(2).hover()
    expect(page.locator(".slm-lab-tops li")).to_have_count(10)
    tokens.nth(2).focus()
    before = page.locator(".slm-lab-detail b").inner_text()
    page.keyboard.press("ArrowRight")
    expect(page.locator(".slm-lab-detail b")).not_to_have_text(before)
    page.screenshot(path=shots / "lab-tokens-1440.png", full_page=True)

    page.get_by_role("button", name="Open the pair in Chat").click()
    expect(page.get_by_role("tab", name="Chat", exact=True)).to_have_attribute(
        "aria-selected", "true"
    )
    expect(page.locator("#slm-model-0 input")).to_have_value("Sprout 5M")
    expect(page.locator("#slm-model-1 input")).not_to_have_value("Sprout 5M")
    set_max_tokens(page, 4)
    send(page, "Hi")
    wait_idle(page)
    expect(answers(page, "done")).to_have_count(2)
    loaded = {state.spec.recipe + state.spec.model for state in served.services.manager.states()}
    assert f"nativelab/{run.id}" in loaded


def test_a_finished_run_is_given_out_as_files(visit: Visit, made: Run) -> None:
    page = open_lab(visit)
    page.locator(f".slm-lab-list li[data-id='{made.id}'] .slm-link").click()
    with page.expect_download() as waiting:
        page.get_by_role("link", name="Model (zip)").click()
    assert waiting.value.suggested_filename.endswith(".zip")
    assert waiting.value.path().stat().st_size > 100_000
    with page.expect_download() as waiting:
        page.get_by_role("link", name="Report (JSON)").click()
    assert f'"{made.id}"' in waiting.value.path().read_text()
    page.get_by_role("button", name="Python").click()
    expect(page.locator(".slm-lab-report pre")).to_contain_text("load")


def test_a_point_of_the_plot_opens_its_run_and_a_run_is_deleted(
    visit: Visit, served: Site, made: Run
) -> None:
    lab = served.services.lab
    cancelled = lab.submit(Order("sprout-300k", "int8"))
    lab.cancel(cancelled)
    wait_ended(served, cancelled)
    page = open_lab(visit)
    row = page.locator(f".slm-lab-list li[data-id='{cancelled}']")
    row.locator(".slm-link").click()
    expect(row).to_have_class("slm-chosen")
    expect(page.locator(".slm-lab-report")).to_have_count(0)
    page.locator(".slm-lab-point").first.press("Enter")
    expect(page.locator(".slm-lab-report")).to_be_visible()
    row.get_by_role("button", name="Delete").click()
    assert cancelled in [run.id for run in lab.runs()]
    row.get_by_role("button", name="Really delete").click()
    expect(row).to_have_count(0)
    assert cancelled not in [run.id for run in lab.runs()]
    assert made.id in [run.id for run in lab.runs()]


def test_a_run_is_cancelled_and_leaves_nothing(visit: Visit, served: Site) -> None:
    page = open_lab(visit)
    choose_parent(page, SLOW_CARD)
    choose_recipe(page, "int4-refined")
    page.locator(".slm-lab-start").click()
    page.locator(".slm-lab-progress").wait_for()
    page.get_by_role("button", name="Cancel", exact=True).click()
    expect(page.locator(".slm-lab-head .slm-chip")).to_have_text("cancelled")
    newest = served.services.lab.runs()[0]
    assert newest.state == "cancelled"
    names = [entry.name for entry in (served.services.settings.home / "lab").iterdir()]
    assert not [name for name in names if newest.id in name]


def test_the_builder_says_what_cannot_be(visit: Visit) -> None:
    page = open_lab(visit)
    choose_parent(page, "sprout-300k")
    page.get_by_label("Recipe", exact=True).fill("int3")
    expect(page.locator(".slm-lab-go .slm-error")).to_contain_text("int3")
    expect(page.locator(".slm-lab-start")).to_be_disabled()
    choose_recipe(page, "int8")
    expect(page.locator(".slm-lab-store.slm-chosen b")).to_have_text("int8")
    # What is chosen is written as a recipe, in the order in which it is done.
    page.locator("[data-step='drop-layers'] > label").click()
    expect(page.get_by_label("Recipe", exact=True)).to_have_value("drop-layers:1+int8")
    page.get_by_label("drop-layers: how many").fill("2")
    expect(page.get_by_label("Recipe", exact=True)).to_have_value("drop-layers:2+int8")
    page.get_by_role("button", name="Measure which layers matter").click()
    expect(page.locator(".slm-lab-columns > span")).to_have_count(4)
    page.get_by_role("radio", name="int4", exact=False).first.click()
    page.get_by_label("int4: weights a scale").select_option("128")
    expect(page.get_by_label("Recipe", exact=True)).to_have_value("drop-layers:2+int4:group=128")
    page.get_by_label("int4: weights a scale").select_option("64")
    expect(page.get_by_label("Recipe", exact=True)).to_have_value("drop-layers:2+int4")
    expect(page.locator(".slm-lab-columns > .slm-lab-gone")).to_have_count(2)


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [1440, 390])
def test_the_lab_fits_its_width(
    visit: Visit, made: Run, shots: Path, width: int, scheme: Scheme
) -> None:
    page = open_lab(visit, width, scheme)
    page.locator(f".slm-lab-list li[data-id='{made.id}'] .slm-link").click()
    page.locator(".slm-lab-report").wait_for()
    page.get_by_role("button", name="Compare").click()
    page.locator(".slm-lab-token").nth(2).click()
    page.locator(".slm-lab-tops").wait_for()
    wide, inner = page.evaluate("[document.documentElement.scrollWidth, window.innerWidth]")
    assert wide <= inner
    page.screenshot(path=shots / f"lab-{width}-{scheme}.png", full_page=True)

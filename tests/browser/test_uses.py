"""The playground: every use on one input for all lanes, its result drawn, and models that come
while the page is open.
"""

from __future__ import annotations

import multiprocessing.forkserver
import os
import shutil
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect

from slm_explorer.tasks import Task
from slm_explorer.ui.uses import USES
from tests.browser.chat_page import answers, choose_model, open_tab, send, set_max_tokens, wait_idle
from tests.browser.conftest import Scheme, Visit
from tests.browser.uses_page import choose_use, write
from tests.serving import SLOW_HUB_ID, Site, site
from tests.ui.task_models import (
    ANSWERING_HUB_ID,
    MASKED_CARD,
    MASKED_NAME,
    NEVER_HTML_LABEL,
    SENTIMENT_HUB_ID,
    write_task_models,
)

pytestmark = pytest.mark.browser

RESULTS: dict[Task, str] = {
    "fill-mask": "masks",
    "text-classification": "labels",
    "sentence-similarity": "matrix",
    "question-answering": "spans",
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("uses")


@pytest.fixture(scope="module")
def served(browser: Browser, folder: Path) -> Iterator[Site]:
    del browser
    with site(folder, write_task_models) as running:
        yield running


def fits(page: Page) -> bool:
    wide, inner = page.evaluate("[document.documentElement.scrollWidth, window.innerWidth]")
    return bool(wide <= inner)


@pytest.mark.parametrize(("width", "scheme"), [(1440, "light"), (390, "dark")])
@pytest.mark.parametrize("use", RESULTS)
def test_an_example_of_each_use_is_answered_and_drawn(
    visit: Visit, shots: Path, use: Task, width: int, scheme: Scheme
) -> None:
    page = visit(width, scheme, touch=width < 600)
    choose_use(page, use)
    expect(page.locator(".slm-uses > p")).to_contain_text(USES[use].about)
    page.screenshot(path=shots / f"{use}-empty-{width}-{scheme}.png")
    page.locator(".slm-example").first.click()
    expect(page.locator(".slm-prompt")).to_have_count(1)
    wait_idle(page)
    drawn = answers(page, "done").first
    expect(drawn.locator(f".slm-result-{RESULTS[use]}")).to_be_visible()
    said = " ".join(drawn.locator(".slm-figures .slm-num").all_text_contents())
    assert "tokens" in said
    assert "MB" in said
    assert fits(page)
    page.screenshot(path=shots / f"{use}-{width}-{scheme}.png", full_page=True)


def test_text_to_text_streams_and_reads_nothing_said_before(visit: Visit, shots: Path) -> None:
    page = visit()
    choose_use(page, "text-to-text")
    expect(page.locator(".slm-uses > p")).to_contain_text("Each prompt stands alone")
    set_max_tokens(page, 6)
    read = []
    for _ in range(2):
        write(page, "the fox saw the moon")
        wait_idle(page)
        tokens = answers(page, "done").first.locator(".slm-figures .slm-num", has_text="tokens")
        read.append(tokens.get_attribute("title"))
    assert read[0] == read[1]
    page.screenshot(path=shots / "text-to-text-1440-light.png")


def test_every_mask_gets_bars_and_the_sentence_is_filled(visit: Visit) -> None:
    page = visit()
    choose_use(page, "fill-mask")
    page.locator("#slm-prompt textarea").fill("the fox saw the ")
    page.locator("#slm-mask").click()
    expect(page.locator("#slm-prompt textarea")).to_have_value("the fox saw the [MASK]")
    write(page, "the [MASK] saw the [MASK]")
    wait_idle(page)
    result = answers(page, "done").first.locator(".slm-result")
    expect(result.locator(".slm-bars")).to_have_count(2)
    expect(result.locator("mark")).to_have_count(2)
    expect(result.locator(".slm-bars").first.locator("li")).to_have_count(8)


def test_labels_are_never_markup_and_an_untrained_head_is_said(visit: Visit) -> None:
    page = visit()
    title = page.title()
    choose_use(page, "text-classification")
    choose_model(page, 0, SENTIMENT_HUB_ID.rpartition("/")[2])
    write(page, "<script>document.title='x'</script> ${document.title='y'}")
    wait_idle(page)
    trained = answers(page).first
    expect(trained.locator(".slm-bars-text", has_text=NEVER_HTML_LABEL)).to_be_visible()
    expect(trained.locator(".slm-caution")).to_have_count(0)
    expect(page.locator("#slm-board img")).to_have_count(0)
    assert page.title() == title


def test_what_cannot_be_asked_is_said_beside_the_writer(visit: Visit) -> None:
    page = visit()
    for use, text, sentence in (
        ("fill-mask", "the fox", "Write [MASK] where"),
        ("sentence-similarity", "only one", "Give 2 to 16 texts"),
        ("text-classification", "  ", "The text is empty"),
        ("text-classification", "x" * 20_001, "shorten it"),
        ("question-answering", "who?", "The context is empty"),
    ):
        choose_use(page, use)  # type: ignore[arg-type]
        page.locator("#slm-prompt textarea").fill(text)
        page.locator("#slm-send").click()
        expect(page.locator(".slm-notice")).to_contain_text(sentence)
        expect(page.locator("#slm-prompt textarea")).to_have_value(text)


def test_a_question_and_its_text_come_back_with_undo(visit: Visit) -> None:
    page = visit()
    choose_use(page, "question-answering")
    expect(page.locator("#slm-model-0 input")).to_have_value(ANSWERING_HUB_ID.rpartition("/")[2])
    context = page.locator("#slm-context textarea")
    context.fill("the fox found a lantern over the hill .")
    write(page, "where was the lantern ?")
    wait_idle(page)
    expect(page.locator("#slm-prompt textarea")).to_have_value("")
    expect(context).to_have_value("the fox found a lantern over the hill .")
    context.fill("")
    page.get_by_role("button", name="Undo").click()
    expect(context).to_have_value("the fox found a lantern over the hill .")
    expect(page.locator("#slm-prompt textarea")).to_have_value("where was the lantern ?")


def test_each_use_keeps_its_own_lanes_and_words(visit: Visit) -> None:
    page = visit()
    set_max_tokens(page, 4)
    send(page, "Hi")
    wait_idle(page)
    page.locator("#slm-prompt textarea").fill("half a thought")
    choose_use(page, "fill-mask")
    expect(page.locator(".slm-prompt")).to_have_count(0)
    expect(page.locator("#slm-model-0 input")).not_to_have_value("Sprout 300K")
    expect(page.get_by_label("number input for Max tokens")).to_be_hidden()
    choose_use(page, "chat")
    expect(page.locator(".slm-prompt .slm-text")).to_have_text(["Hi"])
    expect(page.locator("#slm-prompt textarea")).to_have_value("half a thought")
    names = [page.locator(f"#slm-model-{slot} input").input_value() for slot in range(3)]
    assert names == ["Sprout 300K", "Sprout 1M", "Sprout 5M"]


def test_a_lane_offers_only_models_of_its_use_and_says_what_the_others_are_for(
    visit: Visit,
) -> None:
    page = visit()
    page.locator("#slm-model-0 input").click()
    expect(page.locator("#slm-model-0").get_by_role("option", name=MASKED_NAME)).to_have_count(0)
    page.keyboard.press("Escape")
    others = page.locator(".slm-others")
    others.locator("summary").click()
    expect(others.locator("li", has_text=MASKED_NAME)).to_contain_text("Fill in")


def test_uses_are_chosen_by_arrow_keys_too(visit: Visit) -> None:
    page = visit()
    page.locator(".slm-use[data-use=chat]").focus()
    page.keyboard.press("ArrowRight")
    chosen = page.locator(".slm-use[aria-checked=true]")
    expect(chosen).to_have_attribute("data-use", "text-to-text")
    expect(chosen).to_be_focused()


def test_a_model_that_arrives_is_offered_without_a_restart(visit: Visit, folder: Path) -> None:
    page = visit()
    hub = folder / "hub"
    arrived = hub / "models--tests--just-arrived"
    shutil.copytree(hub / f"models--{SLOW_HUB_ID.replace('/', '--')}", arrived, symlinks=True)
    try:
        choose_model(page, 0, "just-arrived")
        expect(page.locator(".slm-about").first).to_contain_text("no card")
        set_max_tokens(page, 4)
        send(page, "Hi")
        wait_idle(page)
        expect(answers(page, "done")).to_have_count(3)
    finally:
        shutil.rmtree(arrived)
    page.locator("#slm-model-1 input").click()
    page.keyboard.press("Escape")
    send(page, "Hi again")
    wait_idle(page)
    expect(answers(page, "failed")).to_contain_text("no longer on this machine")
    open_tab(page, "Meters")
    open_tab(page, "Chat")
    expect(page.locator("#slm-model-0 input")).to_have_value("Sprout 300K")


def test_an_encoders_card_opens_in_its_own_use(visit: Visit, served: Site) -> None:
    page = visit()
    open_tab(page, "Catalog")
    card = served.services.catalog.get(MASKED_CARD)
    page.get_by_label("Search the catalog").fill(card.name)
    page.locator("#slm-catalog .slm-link").first.click()
    page.locator("#slm-card").get_by_role("button", name="Open in Chat").click()
    chosen = page.locator(".slm-use[aria-checked=true]")
    expect(chosen).to_have_attribute("data-use", "fill-mask")
    write(page, "the [MASK] saw the moon")
    wait_idle(page)
    expect(answers(page, "done").first.locator(".slm-result-masks")).to_be_visible()


def test_stop_while_a_model_loads_ends_the_run(visit: Visit, served: Site) -> None:
    page = visit()
    for state in served.services.manager.states():
        served.services.manager.unload(state.key)
    choose_use(page, "fill-mask")
    # A model that loads as slowly as one likes: nothing starts its process.
    starts = multiprocessing.forkserver._forkserver._forkserver_pid  # type: ignore[attr-defined]
    os.kill(starts, signal.SIGSTOP)
    try:
        page.locator(".slm-example").first.click()
        expect(page.locator(".slm-prompt")).to_have_count(1)
        page.keyboard.press("Escape")
        wait_idle(page)
    finally:
        os.kill(starts, signal.SIGCONT)
    expect(answers(page, "done")).to_have_count(0)
    expect(answers(page).first.locator(".slm-note")).to_contain_text("stopped")
    write(page, "the [MASK]")
    wait_idle(page)
    expect(answers(page, "done")).not_to_have_count(0)


def test_a_lanes_model_is_shown_as_code(visit: Visit) -> None:
    page = visit()
    page.locator(".slm-about").first.hover()
    page.locator(".slm-about").first.get_by_role("button", name="Code").click()
    panel = page.locator("#slm-code")
    expect(panel.locator("pre")).to_contain_text("from transformers import")
    expect(panel).to_contain_text("Sprout 300K")
    panel.get_by_role("button", name="Close").click()
    expect(panel.locator("pre")).to_have_count(0)

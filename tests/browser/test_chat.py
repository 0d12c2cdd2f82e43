"""Side-by-side chat in a real browser, with real models in real processes."""

from __future__ import annotations

import os
import re
import signal

import pytest
from playwright.sync_api import Page, Route, expect

from tests.browser.chat_page import (
    answers,
    choose_model,
    make_slow,
    send,
    set_max_tokens,
    wait_idle,
    wait_writing,
)
from tests.browser.conftest import Visit
from tests.serving import SLOW_CARD, Site

pytestmark = pytest.mark.browser

NEVER_HTML = "<img src=x onerror=\"document.title='x'\"> ${document.title='y'} {{value}} **b**"


def idle(served: Site) -> bool:
    return all(state.phase != "busy" for state in served.services.manager.states())


def until(page: Page, met: object, limit_ms: int = 60_000) -> None:
    """Wait for something on the server's side while the page goes on living."""
    assert callable(met)
    for _ in range(limit_ms // 50):
        if met():
            return
        page.wait_for_timeout(50)
    raise AssertionError("it never came")


def test_it_lands_on_chat_with_three_sprouts(visit: Visit) -> None:
    page = visit()
    names = [page.locator(f"#slm-model-{slot} input").input_value() for slot in range(3)]
    assert names == ["Sprout 300K", "Sprout 1M", "Sprout 5M"]
    expect(page.locator(".slm-example")).not_to_have_count(0)
    expect(page.locator(".slm-gauge")).to_have_count(3)


def test_one_prompt_gets_three_answers_with_figures(visit: Visit) -> None:
    page = visit()
    set_max_tokens(page, 24)
    send(page, "What is 12 + 30?")
    wait_idle(page)
    expect(answers(page, "done")).to_have_count(3)
    for lane in range(3):
        figures = answers(page).nth(lane).locator(".slm-figures .slm-num")
        said = " ".join(figures.all_text_contents())
        for unit in (r"TTFT [\d.]+ m?s", r"[\d.,]+ tok/s", r"\d+ tokens", r"[\d.]+ MB"):
            assert re.search(unit, said), said
        assert all(figure.get_attribute("title") for figure in figures.all())
    expect(page.locator("#slm-prompt textarea")).to_have_value("")


def test_an_example_of_three_prompts_runs_from_one_click(visit: Visit) -> None:
    page = visit()
    set_max_tokens(page, 8)
    page.get_by_title("My favourite colour is teal. →").click()
    expect(page.locator(".slm-prompt")).to_have_count(3)
    wait_idle(page)
    expect(answers(page, "done")).to_have_count(3)


def test_retry_undo_edit_and_clear_act_on_all_lanes(visit: Visit) -> None:
    page = visit()
    set_max_tokens(page, 4)
    for prompt in ("first", "second"):
        send(page, prompt)
        wait_idle(page)
    page.get_by_role("button", name="Retry").click()
    expect(answers(page).first.locator(".slm-figures [title*='Seed 1']")).to_be_visible()
    wait_idle(page)
    expect(page.locator(".slm-prompt")).to_have_count(2)
    page.get_by_role("button", name="Edit").first.click()
    page.locator(".slm-editor").fill("anew")
    page.locator(".slm-editor").press("Enter")
    expect(page.locator(".slm-prompt .slm-text")).to_have_text(["anew"])
    wait_idle(page)
    expect(answers(page, "done")).to_have_count(3)
    page.get_by_role("button", name="Undo").click()
    expect(page.locator(".slm-examples")).to_be_visible()
    expect(page.locator("#slm-prompt textarea")).to_have_value("anew")
    page.locator("#slm-prompt textarea").press("Enter")
    expect(page.locator(".slm-prompt")).to_have_count(1)
    wait_idle(page)
    page.get_by_role("button", name="Clear chat").click()
    expect(page.locator(".slm-examples")).to_be_visible()


def test_escape_and_stop_all_end_a_run_and_free_its_worker(visit: Visit, served: Site) -> None:
    page = visit()
    make_slow(page)
    send(page, "Go on.")
    wait_writing(page)
    page.locator("#slm-stop").click()
    wait_idle(page)
    expect(answers(page).locator(".slm-note")).to_have_text(["stopped"])
    until(page, lambda: idle(served))
    send(page, "Again.")
    wait_writing(page)
    page.keyboard.press("Escape")
    wait_idle(page)
    until(page, lambda: idle(served))


def test_a_choice_for_a_lane_is_kept_when_the_lanes_settings_come_late(visit: Visit) -> None:
    page = visit()
    make_slow(page, lanes=2)
    page.get_by_label("Race: all at once").check()
    late: list[Route] = []
    asked = re.compile("/run/predict")
    page.route(asked, lambda route: route.continue_() if late else late.append(route))
    page.get_by_label("Lane B", exact=True).last.check()
    page.get_by_label("Recipe").click()
    page.get_by_role("option", name="f32").click()
    until(page, lambda: bool(late))
    with page.expect_response(asked):
        late[0].continue_()
    send(page, "Go on.")
    wait_writing(page, 2)
    expect(page.get_by_label("Recipe")).to_have_value("f32")
    expect(answers(page).nth(1).locator(".slm-chip").first).to_have_text("recipe f32")
    page.keyboard.press("Escape")
    wait_idle(page)


def test_stopping_one_lane_leaves_the_other_writing(visit: Visit) -> None:
    page = visit()
    make_slow(page, lanes=2)
    page.get_by_label("Race: all at once").check()
    page.get_by_label("Lane B", exact=True).last.check()
    page.get_by_label("Recipe").click()
    page.get_by_role("option", name="f32").click()
    send(page, "Go on.")
    wait_writing(page, 2)
    answers(page).nth(0).get_by_role("button", name="Stop").click()
    expect(answers(page).nth(0)).to_have_attribute("data-status", "done")
    wait_writing(page, 1)
    expect(answers(page).nth(1).locator(".slm-chip").first).to_have_text("recipe f32")
    page.keyboard.press("Escape")
    wait_idle(page)


def test_fair_lanes_wait_for_each_other(visit: Visit) -> None:
    page = visit()
    make_slow(page, lanes=2)
    page.get_by_label("Fair: one lane after the other").check()
    send(page, "Go on.")
    wait_writing(page)
    expect(answers(page).nth(1).locator(".slm-note")).to_have_text("waits for lane A")
    answers(page).nth(0).get_by_role("button", name="Stop").click()
    expect(answers(page).nth(1)).to_have_attribute("data-status", "writing")
    page.keyboard.press("Escape")
    wait_idle(page)


def test_a_fourth_lane_joins_and_leaves(visit: Visit) -> None:
    page = visit()
    set_max_tokens(page, 4)
    page.get_by_role("button", name="Add lane").click()
    choose_model(page, 3, "Sprout 300K distilled")
    expect(page.get_by_role("button", name="Add lane")).to_be_disabled()
    send(page, "Hi")
    wait_idle(page)
    expect(answers(page, "done")).to_have_count(4)
    page.locator(".slm-remove:visible").nth(1).click()
    expect(answers(page)).to_have_count(3)
    expect(answers(page).locator(".slm-caption b")).to_have_text(["A", "C", "D"])


def test_a_killed_model_is_a_sentence_in_its_lane_and_the_next_prompt_works(
    visit: Visit, served: Site
) -> None:
    page = visit()
    make_slow(page)
    send(page, "Go on.")
    wait_writing(page)
    for state in served.services.manager.states():
        if state.spec.model == SLOW_CARD and state.pid and state.phase == "busy":
            os.kill(state.pid, signal.SIGKILL)
    wait_idle(page)
    error = answers(page, "failed").locator(".slm-error")
    expect(error).to_be_visible()
    assert "Traceback" not in error.inner_text()
    set_max_tokens(page, 4)
    send(page, "Once more.")
    wait_idle(page)
    expect(answers(page, "done")).to_have_count(1)


def test_what_is_refused_is_said_and_nothing_is_lost(visit: Visit) -> None:
    page = visit()
    prompt = "x" * 250_000
    page.locator("#slm-prompt textarea").fill(prompt)
    page.locator("#slm-prompt textarea").press("Enter")
    expect(page.locator(".slm-notice")).to_contain_text("shorten it")
    assert page.locator("#slm-prompt textarea").input_value() == prompt


def test_words_are_never_markup_or_script(visit: Visit) -> None:
    page = visit()
    set_max_tokens(page, 4)
    title = page.title()
    send(page, NEVER_HTML)
    wait_idle(page)
    expect(page.locator(".slm-prompt .slm-text")).to_have_text(NEVER_HTML)
    expect(page.locator("#slm-board img")).to_have_count(0)
    assert page.title() == title


def test_two_browsers_cannot_stop_each_other(visit: Visit, served: Site) -> None:
    first, second = visit(), visit()
    for page in (first, second):
        make_slow(page)
    send(first, "Go on.")
    wait_writing(first)
    send(second, "Go on.")
    wait_writing(second)
    second.keyboard.press("Escape")
    wait_idle(second)
    written = answers(first).locator(".slm-text").inner_text()
    expect(answers(first).locator(".slm-text")).not_to_have_text(written)
    wait_writing(first)
    first.keyboard.press("Escape")
    wait_idle(first)
    until(first, lambda: idle(served))


def test_closing_the_tab_idles_the_worker(visit: Visit, served: Site) -> None:
    page, other = visit(), visit()
    make_slow(page)
    send(page, "Go on.")
    wait_writing(page)
    assert not idle(served)
    page.context.close()
    until(other, lambda: idle(served))


def test_on_a_phone_enter_breaks_the_line(visit: Visit) -> None:
    page = visit(390, touch=True)
    field = page.locator("#slm-prompt textarea")
    field.fill("one")
    field.press("Enter")
    page.keyboard.type("two")
    expect(field).to_have_value("one\ntwo")
    page.locator("#slm-send").click()
    expect(page.locator(".slm-prompt .slm-text")).to_have_text("one\ntwo")
    wait_idle(page)


def test_a_model_that_is_not_there_is_refused_in_its_lane(visit: Visit) -> None:
    page = visit()
    field = page.locator("#slm-model-0 input")
    field.fill("/etc/passwd")
    field.press("Tab")
    send(page, "Hello!")
    wait_idle(page)
    expect(page.locator(".slm-answer").first).to_contain_text("choose")
    expect(answers(page, "done")).to_have_count(2)

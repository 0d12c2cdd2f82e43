"""An answer on its way to the page: asked for beside Gradio's events, or brought by them."""

from __future__ import annotations

import pytest
from playwright.sync_api import Page, Request, Response, expect

from tests.browser.chat_page import answers, make_slow, send, wait_idle, wait_writing
from tests.browser.conftest import Visit

pytestmark = pytest.mark.browser


def is_news(item: Request | Response) -> bool:
    return "/slm-live/run/" in item.url


def goes_on(page: Page) -> None:
    """More words come."""
    text = answers(page).locator(".slm-text")
    before = text.inner_text()
    expect(text).not_to_have_text(before)


def end(page: Page) -> None:
    page.keyboard.press("Escape")
    wait_idle(page)


def test_a_page_that_is_seen_asks_for_the_words(visit: Visit) -> None:
    page = visit()
    make_slow(page)
    with page.expect_response(lambda answer: is_news(answer) and answer.status == 200) as news:
        send(page, "Go on.")
    shown = news.value.json()["shown"]
    assert (shown["turn"], len(shown["answers"])) == (0, 4)
    wait_writing(page)
    goes_on(page)
    end(page)
    expect(answers(page).locator(".slm-note")).to_have_text(["stopped"])


def test_where_the_words_are_not_asked_for_gradio_brings_them(visit: Visit) -> None:
    page = visit()
    page.route("**/slm-live/run/**", lambda route: route.fulfill(status=204))
    make_slow(page)
    send(page, "Go on.")
    wait_writing(page)
    goes_on(page)
    goes_on(page)
    end(page)


def test_a_hidden_page_asks_for_nothing(visit: Visit) -> None:
    page = visit()
    make_slow(page)
    send(page, "Go on.")
    wait_writing(page)
    page.evaluate("Object.defineProperty(document, 'hidden', {get: () => true})")
    page.wait_for_timeout(500)  # a question that was under way
    asked: list[Request] = []
    page.on("request", lambda request: asked.append(request) if is_news(request) else None)
    goes_on(page)
    goes_on(page)
    assert not asked
    end(page)


def test_a_second_prompt_is_not_shown_with_the_first_one_s_words(visit: Visit) -> None:
    page = visit()
    make_slow(page)
    for prompt in ("Go on.", "And again."):
        send(page, prompt)
        wait_writing(page)
        goes_on(page)
        end(page)
    assert page.locator(".slm-turns > .slm-answers").count() == 2
    texts = page.locator(".slm-answer .slm-text").all_inner_texts()
    assert len(texts) == 2

"""A lesson in real browsers: the teacher's screen on the wall, a student's phone."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, Request, expect

from tests.browser.chat_page import answers, keep_lanes, open_tab, send, set_max_tokens
from tests.browser.conftest import WAIT_MS, Contexts, Scheme, Visit
from tests.classroom.acts import eventually
from tests.serving import Site, site

pytestmark = pytest.mark.browser
expect.set_options(timeout=WAIT_MS)

MODELS = ("Sprout 300K", "Sprout 1M")
EVIL = "<b>Eve</b>"
Open = Callable[..., Page]


@pytest.fixture(scope="module")
def lesson(
    browser: Browser, served: Site, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Site]:
    """The app as `serve --class` runs it: reached by all addresses, and nobody is trusted."""
    del browser, served  # that site first: each puts the Hub cache back as it found it
    with site(tmp_path_factory.mktemp("class"), host="0.0.0.0") as running:
        running.services.manager.prewarm()
        yield Site(running.services, running.address.replace("0.0.0.0", "127.0.0.1"))


@pytest.fixture
def key(lesson: Site) -> Iterator[str]:
    yield lesson.services.classroom.open()
    lesson.services.classroom.shut_down()


@pytest.fixture
def screen(contexts: Contexts, lesson: Site) -> Iterator[Open]:
    """Open a page in a browser of its own; at the end, nothing foreign and no error."""
    problems: list[str] = []

    def on_request(request: Request) -> None:
        if not request.url.startswith((lesson.address, "data:", "blob:")):
            problems.append(f"foreign request: {request.url}")

    def open_page(query: str, width: int = 1440, scheme: Scheme = "light") -> Page:
        page = contexts.take(width, scheme, touch=width < 600).new_page()
        page.on("pageerror", lambda error: problems.append(f"script: {error}"))
        page.on("request", on_request)
        page.goto(lesson.address + query)
        return page

    yield open_page
    contexts.give_back()
    assert not problems


def enter(page: Page, key: str) -> None:
    page.get_by_text("I am the teacher").click()
    page.get_by_label("Teacher's key").fill(key)
    page.get_by_role("button", name="Open the teacher's screen").click()
    page.locator(".slm-class-code").wait_for()


def join(page: Page, name: str) -> None:
    page.get_by_label("Nickname").fill(name)
    page.get_by_role("button", name="Join", exact=True).click()
    page.locator(".slm-class-student").wait_for()


def test_a_lesson(screen: Open, key: str, lesson: Site, shots: Path) -> None:
    teacher = screen("?class")
    enter(teacher, key)
    code = teacher.locator(".slm-class-code").inner_text()
    phone = screen(f"?class={code}", 390)
    phone.get_by_label("Nickname").wait_for()
    phone.screenshot(path=shots / "class-door-390-light.png")
    join(phone, EVIL)
    expect(phone.get_by_role("tab", name="Chat", exact=True)).to_be_hidden()
    phone.screenshot(path=shots / "class-waiting-390-light.png")
    expect(teacher.locator(".slm-class-students")).to_contain_text(EVIL)

    for name in MODELS:
        teacher.get_by_role("checkbox", name=name, exact=True).click()
        expect(teacher.get_by_role("checkbox", name=name).first).to_be_checked()
    room = lesson.services.classroom
    eventually(lambda: all(seat.status == "ready" for seat in room.teacher_state(key).seats))
    teacher.get_by_role("checkbox", name="Vote with hidden names").click()
    teacher.get_by_label("Prompt or question").fill("What is 3 + 4?")
    teacher.get_by_role("button", name="Send", exact=True).click()
    done = ".slm-class-answers .slm-answer[data-status=done]"
    expect(phone.locator(done)).to_have_count(2)
    expect(phone.locator(".slm-class-answers")).not_to_contain_text("Sprout")
    phone.get_by_role("radio", name="Vote for B").click()
    expect(teacher.locator(".slm-class-count")).to_have_text("1 of 1 have voted")
    expect(teacher.locator(".slm-class-answers")).not_to_contain_text("Sprout")
    phone.screenshot(path=shots / "class-vote-390-light.png", full_page=True)
    teacher.screenshot(path=shots / "class-vote-1440-light.png", full_page=True)
    teacher.get_by_role("button", name="Show names and votes").click()
    expect(phone.locator(".slm-class-tally")).to_have_count(2)
    expect(phone.locator(".slm-class-answers")).to_contain_text("Sprout 1M")

    phone.get_by_label("Your question").fill("What is 2 + 2?")
    phone.get_by_role("button", name="Ask", exact=True).click()
    expect(phone.locator(".slm-class-turn footer")).to_contain_text("tokens")
    answer = phone.locator(".slm-class-turn .slm-text").last.inner_text()
    phone.screenshot(path=shots / "class-chat-390-light.png", full_page=True)
    phone.reload()
    expect(phone.locator(".slm-class-turn .slm-text").last).to_have_text(answer)
    expect(phone.locator(".slm-class-me")).to_contain_text(EVIL)

    teacher.reload()
    open_tab(teacher, "Class")
    teacher.get_by_role("radio", name="Ask the class").click()
    teacher.get_by_label("Prompt or question").fill("Which was best?")
    teacher.get_by_label("Answers to choose from").fill("The first\nThe second")
    teacher.get_by_role("button", name="Send", exact=True).click()
    phone.get_by_role("radio", name="The second").click()
    expect(teacher.locator(".slm-class-count").first).to_have_text("1 of 1 have answered")
    assert teacher.locator(".slm-class-bars").count() == 0
    teacher.get_by_role("button", name="Show answers", exact=True).last.click()
    expect(teacher.locator(".slm-class-bars li").last).to_contain_text("1")
    with teacher.expect_download() as download:
        teacher.get_by_role("button", name="Export as CSV").click()
    assert EVIL in Path(download.value.path()).read_text(encoding="utf-8")
    end = teacher.get_by_role("button", name="End the class")
    end.click()
    teacher.get_by_role("button", name="Really end it?").click()
    expect(phone.locator(".slm-class-door")).to_contain_text("No class is running")
    assert not room.running


def test_the_host_switches_a_class_on(visit: Visit, served: Site, shots: Path) -> None:
    room = served.services.classroom
    page = visit()
    try:
        open_tab(page, "Class")
        begin = page.get_by_role("button", name="Begin a class")
        begin.wait_for()
        page.screenshot(path=shots / "class-shut-1440-light.png")
        begin.click()
        page.locator(".slm-class-code").wait_for()
        expect(page.locator(".slm-class-entrance")).to_contain_text("Other machines cannot reach")
        page.wait_for_timeout(5000)  # two rounds of news, which must not show it the door
        expect(page.locator(".slm-class-code")).to_be_visible()
        # The teacher's own page may use the other tabs; any other may not.
        other = visit()
        keep_lanes(other, 1)
        send(other, "Hi")
        expect(answers(other, "failed")).to_contain_text("Class tab")
        open_tab(page, "Chat")
        keep_lanes(page, 1)
        set_max_tokens(page, 4)
        send(page, "Hi")
        expect(answers(page, "done")).to_have_count(1)
    finally:
        room.shut_down()


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [1440, 390])
def test_the_screens_fit_their_width(
    screen: Open, key: str, lesson: Site, shots: Path, width: int, scheme: Scheme
) -> None:
    classroom = lesson.services.classroom
    code = classroom.teacher_state(key).code
    names = ["Ada", "Bartholomäus the Great", "Chloé", "Dmitri", "Emre", "W" * 24]
    tokens = [classroom.join(code, name, "here") for name in names]
    classroom.allow(key, {"sprout-300k": "Sprout 300K"})
    number = classroom.push(key, "question", "Which sentence did a model write?", ["A" * 60, "B"])
    for index, token in enumerate(tokens):
        classroom.reply(token, number, None, int(index < 4))
    teacher = screen("?class", width, scheme)
    enter(teacher, key)
    teacher.get_by_role("button", name="Show answers", exact=True).last.click()
    expect(teacher.locator(".slm-class-bars li")).to_have_count(2)
    teacher.screenshot(path=shots / f"class-teacher-{width}-{scheme}.png", full_page=True)
    pupil = screen(f"?class={code}", width, scheme)
    join(pupil, "Zoë")
    expect(pupil.locator(".slm-class-choice")).to_have_count(2)
    pupil.screenshot(path=shots / f"class-student-{width}-{scheme}.png", full_page=True)
    for page in (teacher, pupil):
        # A phone's innerWidth grows with what does not fit.
        assert page.evaluate("document.documentElement.scrollWidth") <= width


def test_a_screen_asks_for_news_only_where_it_is_seen(screen: Open, key: str) -> None:
    page = screen("?class")
    enter(page, key)
    config = page.evaluate("window.gradio_config")
    ids = {each["props"].get("elem_id"): each["id"] for each in config["components"]}
    look = next(
        dependency["id"]
        for dependency in config["dependencies"]
        if [ids["slm-classroom"], "look"] in dependency["targets"]
    )

    def news(request: Request) -> bool:
        return f'"fn_index":{look},' in (request.post_data or "")

    asked: list[Request] = []
    page.on("request", lambda request: asked.append(request) if news(request) else None)
    with page.expect_request(news):
        pass
    open_tab(page, "Meters")
    page.wait_for_timeout(2500)  # a tick that was under way
    before = len(asked)
    page.wait_for_timeout(5000)
    assert len(asked) == before
    with page.expect_request(news):
        open_tab(page, "Class")
    page.evaluate(
        "Object.defineProperty(document, 'hidden', {get: () => true});"
        "document.dispatchEvent(new Event('visibilitychange'))"
    )
    page.wait_for_timeout(2500)
    before = len(asked)
    page.wait_for_timeout(5000)
    assert len(asked) == before

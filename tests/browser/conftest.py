"""A real Chromium on the running app. Every page fails its test on a script error, an error in
the console, a broken answer or a request that leaves this machine.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Literal

import pytest
from playwright.sync_api import (
    Browser,
    BrowserContext,
    ConsoleMessage,
    Page,
    Request,
    Response,
    sync_playwright,
)

from tests.serving import Site, site

# Generous, because CI machines are slow: what must happen is waited for, and never timed.
WAIT_MS = 90_000
ARGUMENTS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
Scheme = Literal["light", "dark"]


def chromium() -> str:
    """The installed browser; without one the tests skip, and fail in CI."""
    for name in ("chromium", "chromium-browser", "google-chrome"):
        if found := shutil.which(name):
            return found
    if os.environ.get("CI"):
        pytest.fail("There is no Chromium: install it, since CI must not skip the browser tests.")
    pytest.skip("THE BROWSER TESTS DID NOT RUN: there is no Chromium; install the package.")


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    program = chromium()
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program, args=ARGUMENTS)
        yield browser
        browser.close()


@pytest.fixture(scope="session")
def served(browser: Browser, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    del browser  # without one there is no reason to start a server
    with site(tmp_path_factory.mktemp("site")) as running:
        yield running


@pytest.fixture(scope="session")
def shots(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where screenshots go, for people to look at: SLM_EXPLORER_SHOTS, or a temporary folder."""
    named = os.environ.get("SLM_EXPLORER_SHOTS")
    folder = Path(named) if named else tmp_path_factory.mktemp("shots")
    folder.mkdir(parents=True, exist_ok=True)
    return folder


Visit = Callable[..., Page]
Look = tuple[int, Scheme, bool]


class Contexts:
    """Browser contexts by what they look like. Those of earlier tests are used again, without
    their pages and what those have kept: a new one would load and parse all of the page's scripts.
    """

    def __init__(self, browser: Browser) -> None:
        self._browser = browser
        self._idle: dict[Look, list[BrowserContext]] = {}
        self._used: list[tuple[Look, BrowserContext]] = []

    def take(self, width: int, scheme: Scheme, touch: bool) -> BrowserContext:
        look = (width, scheme, touch)
        idle = self._idle.get(look)
        context = idle.pop() if idle else self._made(*look)
        self._used.append((look, context))
        return context

    def give_back(self) -> None:
        for look, context in self._used:
            if context.pages:
                for page in context.pages:
                    page.evaluate("localStorage.clear()")
                    page.close()
                context.clear_cookies()
                self._idle.setdefault(look, []).append(context)
            else:
                context.close()
        self._used.clear()

    def _made(self, width: int, scheme: Scheme, touch: bool) -> BrowserContext:
        context = self._browser.new_context(
            viewport={"width": width, "height": 900 if width > 600 else 844},
            color_scheme=scheme,
            has_touch=touch,
            is_mobile=touch,
        )
        context.set_default_timeout(WAIT_MS)
        return context


@pytest.fixture(scope="session")
def contexts(browser: Browser) -> Contexts:
    return Contexts(browser)


@pytest.fixture
def visit(contexts: Contexts, served: Site) -> Iterator[Visit]:
    """Open the page as a browser of its own, and judge at the end what it did."""
    problems: list[str] = []

    def on_console(message: ConsoleMessage) -> None:
        if message.type == "error":
            problems.append(f"console: {message.text}")

    def on_request(request: Request) -> None:
        if not request.url.startswith((served.address, "data:", "blob:")):
            problems.append(f"foreign request: {request.url}")

    def on_response(response: Response) -> None:
        if response.status >= 400:
            problems.append(f"HTTP {response.status}: {response.url}")

    def open_page(width: int = 1440, scheme: Scheme = "light", *, touch: bool = False) -> Page:
        page = contexts.take(width, scheme, touch).new_page()
        page.on("console", on_console)
        page.on("pageerror", lambda error: problems.append(f"script: {error}"))
        page.on("request", on_request)
        page.on("response", on_response)
        page.goto(served.address)
        page.locator(".slm-examples").wait_for()
        return page

    yield open_page
    contexts.give_back()
    assert not problems

"""What a visitor does in Chromium: open the page, choose lanes, ask, watch tokens arrive."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from playwright.sync_api import Browser, Page, sync_playwright

FLAGS = (
    "--no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking "
    "--disable-component-update --disable-sync"
).split()

# Notes for each change of a lane the time and how many tokens it shows, in the page itself, so
# that what is measured is what was painted and not when a driver asked.
_WATCH = """
() => {
  window.watcher?.disconnect();
  window.seen = [];
  const turns = () => [...document.querySelectorAll('.slm-turns .slm-answers')];
  const before = turns().length;
  const note = () => {
    if (turns().length === before) return;
    const lanes = [...turns().at(-1).querySelectorAll('.slm-answer')];
    const row = lanes.map((lane) => ({
      status: lane.dataset.status,
      text: lane.querySelector('.slm-text')?.textContent.length ?? 0,
      tokens: Number((lane.querySelector('.slm-figures')?.textContent.match(/([\\d,]+) tokens/) ??
        [0, '0'])[1].replaceAll(',', '')),
    }));
    window.seen.push([performance.now() / 1000, row]);
  };
  window.watcher = new MutationObserver(note);
  window.watcher.observe(document.querySelector('#slm-board'),
    { subtree: true, childList: true, characterData: true, attributes: true });
}
"""

# For each key: from the event (the time at which the system saw the key) to the end of the frame
# that was painted with the rows changed. A message is handled only after that paint.
_KEYS = """
() => {
  window.keys = [];
  document.querySelector('#slm-catalog input[type=search]').addEventListener('input', (event) => {
    requestAnimationFrame(() => {
      const channel = new MessageChannel();
      channel.port1.onmessage = () =>
        window.keys.push((performance.now() - event.timeStamp) / 1000);
      channel.port2.postMessage(null);
    });
  });
}
"""


@dataclass(frozen=True)
class Seen:
    """One change on the page: seconds on the page's clock, and each lane's state then."""

    at: float
    statuses: tuple[str, ...]
    texts: tuple[int, ...]
    tokens: tuple[int, ...]


@contextmanager
def chromium() -> Iterator[Browser]:
    """Debian's Chromium, headless."""
    path = next(filter(None, map(shutil.which, ("chromium", "chromium-browser"))), None)
    with sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=path, args=FLAGS)
        yield browser
        browser.close()


def open_page(browser: Browser, url: str) -> Page:
    """A visitor of their own, with the chat ready to be written to."""
    page = browser.new_context(viewport={"width": 1440, "height": 900}).new_page()
    page.goto(url)
    page.wait_for_selector("#slm-prompt textarea")
    page.wait_for_selector(".slm-example")
    return page


def choose_one_lane(page: Page, name: str) -> None:
    """Leave a single lane, with the model of that name."""
    while page.locator(".slm-remove:visible").count() > 1:
        lanes = page.locator(".slm-answer").count()
        page.locator(".slm-remove:visible").last.click()
        page.wait_for_function(f"document.querySelectorAll('.slm-answer').length < {lanes}")
    choose_model(page, 0, name)


def choose_model(page: Page, slot: int, name: str) -> None:
    """Give a lane the model of that name."""
    lane = page.locator(f"#slm-model-{slot}")
    lane.locator("input").click()
    lane.get_by_role("option", name=name, exact=True).click()
    page.wait_for_function(
        "([slot, name]) => document.querySelectorAll('.slm-answer .slm-name')[slot]"
        ".textContent === name",
        arg=[slot, name],
    )


def ask(page: Page, prompt: str) -> float:
    """Send a prompt; the moment of the click on the page's clock, in seconds."""
    page.fill("#slm-prompt textarea", prompt)
    page.evaluate(_WATCH)
    return float(
        page.evaluate(
            "() => { const at = performance.now() / 1000;"
            " document.querySelector('#slm-send').click(); return at; }"
        )
    )


def await_end(page: Page, timeout_s: float = 300) -> list[Seen]:
    """Everything seen until all lanes have ended. Looks for that twice a second: as it would
    otherwise, in every frame, the browser would draw sixty a second for the measurement alone.
    """
    page.wait_for_function(
        "() => window.seen.length && window.seen.at(-1)[1].length && window.seen.at(-1)[1]"
        ".every((lane) => ['done', 'failed', 'stopped'].includes(lane.status))",
        polling=500,
        timeout=timeout_s * 1000,
    )
    return [
        Seen(
            at,
            tuple(lane["status"] for lane in row),
            tuple(lane["text"] for lane in row),
            tuple(lane["tokens"] for lane in row),
        )
        for at, row in page.evaluate("() => window.seen")
    ]


def keystrokes(page: Page, words: tuple[str, ...]) -> list[float]:
    """Type each word into the catalog's search and take it back, key by key; the seconds from
    each key to the frame that shows what it found.
    """
    page.get_by_role("tab", name="Catalog", exact=True).click()
    page.wait_for_selector("#slm-catalog tbody tr")
    field = page.get_by_label("Search the catalog")
    field.click()
    page.evaluate(_KEYS)
    pressed = 0
    for word in words:
        for key in [*word, *["Backspace"] * len(word)]:
            field.press(key if key != " " else "Space")
            pressed += 1
            page.wait_for_function("count => window.keys.length === count", arg=pressed)
    return [float(each) for each in page.evaluate("window.keys")]

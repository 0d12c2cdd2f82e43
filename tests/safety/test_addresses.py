"""What is not for visitors is not there: files, proxies, uploads, foreign names and pages."""

from __future__ import annotations

import pytest

from tests.safety.server import App

API = "/gradio_api"
READ = [
    # Files and fetches: CVE-2023-51449, CVE-2024-47164, CVE-2026-28414, CVE-2026-59806.
    f"{API}/file=/etc/passwd",
    f"{API}/file=../../../../etc/passwd",
    f"{API}/file=%2e%2e/%2e%2e/etc/passwd",
    f"{API}/file=..%252f..%252fetc/passwd",
    f"{API}/file=C:\\Windows\\win.ini",
    f"{API}/file=\\\\evil.example\\share",
    f"{API}/file=http://127.0.0.1:22/",
    f"{API}/file=http://169.254.169.254/latest/meta-data/",
    f"{API}/file=https://example.com/",
    f"{API}/file=//evil.example/x",
    f"{API}/file/etc/passwd",
    "/file=/etc/passwd",
    f"{API}/proxy=http://127.0.0.1:22/",
    f"{API}/proxy=https://example.hf.space/file",
    "/static/../../../../etc/passwd",
    "/static/%2e%2e/%2e%2e/etc/passwd",
    "/assets/..%2f..%2fetc%2fpasswd",
    "/svelte/..%5c..%5cetc",
    "/slm/../catalog.json",
    "/slm/%2e%2e/catalog.json",
    "/slm/%2e%2e%2fspace.yaml",
    "/slm/.%00./x",
    "/slm-lab/../../etc/passwd/model.zip",
    "/slm-lab/%2e%2e/model.zip",
    "/slm-lab/x/report.html",
    "/slm-live/run",
    "/slm-live/run/../../etc/passwd",
    "/slm-live/x",
    "//etc/passwd",
    "/.env",
    "/custom_component/1/client/../../x",
    f"{API}/custom_component/a/client/component/..%2f..%2fx",
    f"{API}/stream/a/b/1/playlist.m3u8",
    # What others asked, and the host's inside.
    f"{API}/runs",
    f"{API}/run-history/records",
    f"{API}/deep_link?session_hash=x",
    "/gradio_api/token",
    "/monitoring",
    "/monitoring/summary",
    f"{API}/vibe-code",
    f"{API}/dev/reload",
    f"{API}/upload_progress?upload_id=x",
]
WRITE = [
    f"{API}/upload",
    f"{API}/component_server",
    f"{API}/process_recording",
    f"{API}/vibe-edit",
    f"{API}/stream/x",
    "/login",
    "/",
]


def harmless(text: str) -> bool:
    return not any(word in text for word in ("root:", "Traceback", "site-packages", "catalog"))


@pytest.mark.parametrize("path", READ)
def test_there_is_nothing_to_read(victim: App, path: str) -> None:
    got = victim.ask("GET", path)
    assert got.status in (400, 403, 404)
    assert harmless(got.text)


@pytest.mark.parametrize("ticket", ["x", "A" * 32, "%2e%2e", "..%2fstrip"])
@pytest.mark.parametrize("after", ["0", "-1", "9" * 3000, "%00"])
@pytest.mark.parametrize("what", ["run", "end"])
def test_a_guessed_ticket_does_and_tells_nothing_of_another_s_run(
    victim: App, what: str, ticket: str, after: str
) -> None:
    got = victim.ask("GET", f"/slm-live/{what}/{ticket}?after={after}")
    assert got.status in (204, 400, 403, 404)
    assert got.status != 204 or got.text == ""
    assert harmless(got.text)


@pytest.mark.parametrize("path", WRITE)
def test_there_is_nothing_to_write(victim: App, path: str) -> None:
    got = victim.ask("POST", path, b"x", {"content-type": "multipart/form-data; boundary=x"})
    assert got.status == 404
    assert got.sentence == "There is nothing at this address."


@pytest.mark.parametrize("method", ["PUT", "DELETE", "PATCH", "TRACE", "BREW"])
def test_there_is_nothing_to_change(victim: App, method: str) -> None:
    assert victim.ask(method, "/config").status in (400, 405)


@pytest.mark.parametrize(
    "host",
    [
        "evil.example",
        "localhost.evil.example",
        "127.0.0.1.evil.example",
        "evil.example:7860",
        "127.0.0.1@evil.example",
        "[::1].evil.example",
        "0x7f000001.evil.example",
        "",
    ],
)
def test_a_name_that_was_rebound_is_refused(victim: App, host: str) -> None:
    got = victim.ask("GET", "/config", headers={"host": host})
    assert got.status in (400, 403)
    assert "components" not in got.text


@pytest.mark.parametrize(
    "origin",
    [
        "http://evil.example",
        "https://evil.example",
        "null",
        "http://127.0.0.1:1",
        "http://localhost",
        "http://127.0.0.1.evil.example",
        "chrome-extension://abcdef",
        "http://[broken",
        "file://",
    ],
)
@pytest.mark.parametrize("path", [f"{API}/run/models", f"{API}/queue/join", f"{API}/cancel"])
def test_a_foreign_page_cannot_call(victim: App, path: str, origin: str) -> None:
    got = victim.post(path, {"data": [""]}, {"origin": origin})
    assert got.status == 403
    assert "not from another site" in got.sentence


def test_the_page_itself_can_call(victim: App) -> None:
    got = victim.post(f"{API}/run/models", {"data": ["sprout"]}, {"origin": victim.address})
    assert got.status == 200


def test_nobody_but_a_proxy_says_where_the_page_is(victim: App) -> None:
    forged = {"x-forwarded-host": "evil.example", "x-forwarded-proto": "https"}
    for path in ("/", "/config"):
        got = victim.ask("GET", path, headers=forged)
        assert got.status == 200
        assert "evil.example" not in got.text


def test_what_others_asked_is_not_kept(victim: App) -> None:
    assert victim.chat(model="sprout-300k", prompt="my secret", max_tokens=2)[0] == "complete"
    for path in ("/config", f"{API}/info", "/"):
        assert "my secret" not in victim.ask("GET", path).text

"""What is settled before Gradio is imported, and the end of a server's life."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from slm_explorer.ui.security import content_security_policy
from slm_explorer.ui.server import prepare_environment
from tests.serving import free_port

NAMES = (
    "GRADIO_ANALYTICS_ENABLED",
    "HF_HUB_DISABLE_TELEMETRY",
    "GRADIO_ANALYTICS_CACHE_FREQUENCY",
    "GRADIO_TEMP_DIR",
    "DISABLE_TELEMETRY",
    "DO_NOT_TRACK",
    "FORWARDED_ALLOW_IPS",
)


@pytest.fixture(autouse=True)
def _same_environment_afterwards(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in NAMES:
        monkeypatch.setenv(name, "before")


def test_temporary_files_live_in_the_home_and_nothing_is_reported(tmp_path: Path) -> None:
    prepare_environment(tmp_path)
    assert os.environ["GRADIO_TEMP_DIR"] == str(tmp_path / "gradio")
    assert os.environ["GRADIO_ANALYTICS_ENABLED"] == "False"
    assert os.environ["HF_HUB_DISABLE_TELEMETRY"] == "1"
    assert os.environ["DO_NOT_TRACK"] == "1"


def test_a_home_that_cannot_be_written_does_not_stop_the_page(tmp_path: Path) -> None:
    # A file in its place: root may write into any folder, whatever its mode says.
    blocked = tmp_path / "home"
    blocked.write_text("")
    prepare_environment(blocked)
    folder = Path(os.environ["GRADIO_TEMP_DIR"])
    assert folder.is_dir()
    assert tmp_path not in folder.parents
    folder.rmdir()


def test_nothing_foreign_is_allowed_but_showing_the_page_on_the_hub() -> None:
    policy = content_security_policy(space=True)
    rules = dict(rule.split(" ", 1) for rule in policy.split("; "))
    frame = rules.pop("frame-ancestors")
    assert "https://huggingface.co" in frame
    assert "//" not in content_security_policy(space=False)
    assert not any("//" in sources or "*" in sources for sources in rules.values())


@pytest.mark.parametrize("way", [signal.SIGINT, signal.SIGTERM], ids=["SIGINT", "SIGTERM"])
def test_serve_ends_quietly_when_it_is_told_to(tmp_path: Path, way: signal.Signals) -> None:
    command = [sys.executable, "-m", "slm_explorer", "serve", "--port", str(free_port())]
    server = subprocess.Popen(
        [*command, "--home", str(tmp_path)], stderr=subprocess.PIPE, text=True
    )
    try:
        assert server.stderr is not None
        said = server.stderr.readline()
        assert "http://127.0.0.1:" in said
        server.send_signal(way)
        rest = server.communicate(timeout=120)[1]
        assert "Traceback" not in rest
        assert server.returncode in (0, 130)
    finally:
        server.kill()

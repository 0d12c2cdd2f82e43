"""`space push` to a Hub on loopback: whole, with the user's own token, and never over another's."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from tests.conftest import Cli
from tests.lab import upload_hub
from tests.lab.upload_hub import UploadHub

TOKEN = "hf_" + "a" * 34
NAME = "ann/explorer"


class _Spaces(upload_hub._Handler):
    """The same Hub, which also tells what a Space has and takes deletions."""

    server: SpaceHub

    def do_GET(self) -> None:  # noqa: N802
        path = urlsplit(self.path).path
        if path.startswith(f"/api/spaces/{NAME}/tree/"):
            files = [
                {"type": "file", "path": name, "size": len(content), "oid": "0" * 40}
                for name, content in self.server.files.items()
            ]
            body = json.dumps(files).encode()
            self.send_response(200)
        elif path.startswith(f"/api/spaces/{NAME}"):
            siblings = [{"rfilename": name} for name in self.server.files]
            body = json.dumps({"id": NAME, "sha": "0" * 40, "siblings": siblings}).encode()
            self.send_response(200)
        else:
            body = b"{}"
            self.send_response(404)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def _commit(self, entry: dict[str, dict[str, str]]) -> None:
        if str(entry["key"]) == "deletedFile":
            del self.server.files[entry["value"]["path"]]
        super()._commit(entry)


class SpaceHub(UploadHub):
    def __init__(self, token: str) -> None:
        super().__init__(token)
        self.RequestHandlerClass = _Spaces


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[SpaceHub]:
    server = SpaceHub(TOKEN)
    thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    monkeypatch.setenv("HF_ENDPOINT", server.address)
    monkeypatch.setenv("HF_HOME", str(tmp_path / "hf"))
    monkeypatch.setenv("HF_TOKEN", TOKEN)
    monkeypatch.setenv("NO_PROXY", "localhost,127.0.0.1")
    for name in ("HUGGING_FACE_HUB_TOKEN", "HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE"):
        monkeypatch.delenv(name, raising=False)
    yield server
    server.shutdown()
    server.server_close()


def test_the_space_arrives_whole_and_the_token_is_never_printed(hub: SpaceHub, cli: Cli) -> None:
    hub.files = {"slm_explorer/__init__.py": b"", "slm_explorer/old.py": b"", "notes.md": b"mine"}
    done = cli("space", "push", NAME, "--hardware", "zero-a10g", "--private", "--json")
    assert done.code == 0, done.err
    assert done.rows[0]["url"] == f"{hub.address}/spaces/{NAME}"
    assert hub.created is not None
    assert hub.created["type"] == "space"
    assert hub.created["sdk"] == "gradio"
    assert "zero-a10g" in json.dumps(hub.created)
    assert {"README.md", "app.py", "requirements.txt"} <= set(hub.files)
    assert any(name.endswith(".safetensors") for name in hub.files)
    assert "slm_explorer/old.py" not in hub.files
    assert hub.files["notes.md"] == b"mine"
    assert not any("tests" in name.split("/") or "__pycache__" in name for name in hub.files)
    assert hub.tokens == {f"Bearer {TOKEN}"}
    assert TOKEN not in done.out + done.err
    assert not any(TOKEN.encode() in content for content in hub.files.values())


@pytest.mark.parametrize("status", [401, 402, 403, 500])
def test_a_refusal_is_a_sentence(hub: SpaceHub, cli: Cli, status: int) -> None:
    hub.refuse = status
    done = cli("space", "push", NAME)
    assert done.code == 1
    assert done.err.startswith("error: ")
    assert TOKEN not in done.err
    assert "<b>" not in done.err
    assert status == 500 or "zero-a10g" in done.err


def test_what_is_not_ours_is_left_alone(hub: SpaceHub, cli: Cli) -> None:
    hub.files = {"app.py": b"another app", "README.md": b"---"}
    done = cli("space", "push", NAME)
    assert done.code == 2
    assert "another kind" in done.err
    assert hub.files == {"app.py": b"another app", "README.md": b"---"}


def test_no_name_no_sign_in_no_network(hub: SpaceHub, cli: Cli) -> None:
    assert cli("space", "push", "explorer").code == 2
    assert "started offline" in cli("space", "push", NAME, SLM_EXPLORER_OFFLINE="1").err
    assert "own sign-in" in cli("space", "push", NAME, HF_TOKEN="").err
    assert hub.tokens == set()

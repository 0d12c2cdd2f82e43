"""Metadata before any weights, from a real HTTP server, and every way in which it fails."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import pytest

from slm_explorer.errors import HubError, SlmError, UnknownModel
from slm_explorer.hub.service import HubService
from tests.hub.conftest import NEEDED, WEIGHTS, MakeService, llama, llama_files
from tests.hub.server import (
    COMMIT,
    Answer,
    Hub,
    Repository,
    redirect_to_itself,
    status,
    trickle,
)

SECRET = "hf_thisIsNobodysToken0123456789"


def test_metadata_without_weights(hub: Hub, tiny: Repository, service: HubService) -> None:
    found = service.look_up(tiny.hub_id)
    assert (found.commit, found.revision, found.problem) == (COMMIT, "main", None)
    assert (found.license, found.gated, found.access) == ("apache-2.0", "no", True)
    assert found.formats == ("safetensors", "pickle", "onnx")
    needed = [file for file in found.files if file.needed]
    assert [file.name for file in needed] == NEEDED
    weights = next(file for file in needed if file.name == "model.safetensors")
    assert weights.sha256 == weights.etag == hashlib.sha256(WEIGHTS).hexdigest()
    total = sum(len(tiny.files[name]) for name in NEEDED)
    assert found.download_bytes == found.missing_bytes == total
    assert found.local_path is None
    assert found.card is not None
    assert (found.card.parameters, found.card.native_dtype) == (917_504, "float32")
    assert found.card.architecture is not None
    assert found.card.architecture.num_layers == 4
    assert hub.asked("safetensors") == []
    assert json.loads(json.dumps(found.row())) == found.row()


def test_a_card_is_looked_up_by_its_id(hub: Hub, service: HubService) -> None:
    hub.add(llama("HuggingFaceTB/SmolLM2-135M-Instruct"))
    found = service.look_up("smollm2-135m-instruct")
    assert found.hub_id == "HuggingFaceTB/SmolLM2-135M-Instruct"
    assert found.card_id == "smollm2-135m-instruct"


def test_a_revision_is_pinned_to_its_commit(hub: Hub, service: HubService) -> None:
    hub.add(llama("a/b", branches=("main", "refs/pr/1")))
    assert service.look_up("a/b", "refs/pr/1").commit == COMMIT
    assert service.look_up("a/b", COMMIT).revision == COMMIT
    with pytest.raises(UnknownModel, match="a/b has no revision 'v9'"):
        service.look_up("a/b", "v9")


def test_gated(hub: Hub, service: HubService, monkeypatch: pytest.MonkeyPatch) -> None:
    hub.add(llama("a/b", gated="manual"))
    hub.allowed_token = SECRET
    found = service.look_up("a/b")
    assert (found.gated, found.access, found.card) == ("manual", False, None)
    assert "accept its terms on its page on the Hub, then sign in" in str(found.problem)
    monkeypatch.setenv("HF_TOKEN", SECRET)
    found = service.look_up("a/b")
    assert (found.gated, found.access, found.problem) == ("manual", True, None)
    assert found.card is not None


def echo_token(code: int) -> Answer:
    """An answer that gives back what it was sent, as HTML."""

    def answer(handler: object, _content: bytes) -> None:
        sent = handler.headers["Authorization"]  # type: ignore[attr-defined]
        page = f"<script>alert('{sent}')</script>".encode()
        handler.send(code, page, X_Error_Message=sent)  # type: ignore[attr-defined]

    return answer


@pytest.mark.parametrize("code", [400, 401, 403, 500])
def test_no_error_repeats_the_token_or_the_page(
    hub: Hub, service: HubService, monkeypatch: pytest.MonkeyPatch, code: int
) -> None:
    monkeypatch.setenv("HF_TOKEN", SECRET)
    hub.fault("/api/", echo_token(code))
    with pytest.raises(HubError) as caught:
        service.look_up("a/b")
    assert hub.seen[0].token == f"Bearer {SECRET}"
    assert SECRET not in str(caught.value)
    assert "<" not in str(caught.value)


@pytest.mark.parametrize(
    ("answer", "kind", "says"),
    [
        (status(401), HubError, "asks for a sign-in: run `hf auth login`"),
        (status(403), HubError, "forbids a/b to this machine"),
        (status(403, X_Error_Code="GatedRepo"), HubError, "is gated: accept its terms"),
        (status(404), UnknownModel, "has no model a/b, or it is private: check the spelling"),
        (status(429, Retry_After="77"), HubError, "too many requests from here: try again in 77 s"),
        (status(429, Retry_After="soon"), HubError, "try again in a few minutes"),
        (status(500), HubError, r"fails \(HTTP 500\): try again"),
        (status(200, b"<html>hello</html>"), HubError, "something that is no model's description"),
        (status(200, b'{"id": "a/b"}'), HubError, "something that is no model's description"),
        (status(200, b"[1, 2]"), HubError, "something that is no model's description"),
        (redirect_to_itself, HubError, "redirects in a circle"),
    ],
    ids="401 403 gated 404 429 429-soon 500 html no-commit list loop".split(),
)
def test_a_hub_that_fails_is_told_in_a_sentence(
    hub: Hub, service: HubService, answer: Answer, kind: type[SlmError], says: str
) -> None:
    hub.fault("/api/", answer)
    with pytest.raises(kind, match=says) as caught:
        service.look_up("a/b")
    assert "\n" not in str(caught.value)


def test_nobody_there(hub: Hub, service: HubService, monkeypatch: pytest.MonkeyPatch) -> None:
    hub.close()
    with pytest.raises(HubError, match="cannot be reached: check the connection, the proxy"):
        service.look_up("a/b")
    monkeypatch.setenv("HF_ENDPOINT", "nonsense")
    with pytest.raises(HubError, match=r"cannot be reached|no model's description"):
        service.look_up("a/b")


def test_one_byte_a_second_is_given_up(hub: Hub, make_service: MakeService) -> None:
    hub.add(llama("a/b"))
    hub.fault("config.json", trickle)
    with pytest.raises(HubError, match="has not answered within 4 s"):
        make_service(deadline_s=4.0).look_up("a/b")
    # On a machine so busy that nothing was asked yet, there is nobody to see going.
    assert not hub.asked("config.json") or hub.gone.wait(10)


@pytest.mark.parametrize(
    ("config", "says"),
    [
        (b"x" * 10_000_000, "config.json is larger than 1 MiB"),
        (b"\xff\xfe garbage", "is not valid JSON"),
        (json.dumps({"model_type": "llama", "num_hidden_layers": 10**12}).encode(), "no model has"),
    ],
    ids=["10MB", "garbage", "a trillion layers"],
)
def test_hostile_configs(hub: Hub, service: HubService, config: bytes, says: str) -> None:
    hub.add(Repository("a/b", llama_files() | {"config.json": config}))
    try:
        found = service.look_up("a/b")
    except HubError as error:
        told = str(error)
    else:
        told = str(found.problem)
        assert found.card is None
    assert says in told


def test_too_big_for_the_disk(tiny: Repository, make_service: MakeService) -> None:
    found = make_service(free_bytes=lambda _folder: 503_000_000).look_up(tiny.hub_id)
    assert found.problem is not None
    assert "needs 3.67 MB more, and 500 MB are kept free" in found.problem
    assert "has 503 MB left" in found.problem


def test_a_listing_without_hashes_or_with_absurd_sizes(hub: Hub, service: HubService) -> None:
    lies: dict[str, dict[str, object]] = {"config.json": {"blobId": "../../../etc/passwd"}}
    hub.add(llama("a/b", lied=lies))
    assert "lists no size or hash of config.json" in str(service.look_up("a/b").problem)
    hub.add(llama("a/c", lied={"model.safetensors": {"size": -5, "sha256": "no hash"}}))
    found = service.look_up("a/c")
    assert "lists no size or hash of model.safetensors" in str(found.problem)


def test_looking_up_writes_nothing(tiny: Repository, service: HubService, tmp_path: Path) -> None:
    service.look_up(tiny.hub_id)
    assert not (tmp_path / "cache").exists()

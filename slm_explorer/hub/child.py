"""The process that talks to the Hub: one errand, told as JSON lines, and then it ends.

A process of its own because it can be ended at once whatever a server does, because its memory
is bounded, and because huggingface_hub reads the environment only when it is imported.

stdin: one line with the order; when it closes, the app is gone, and so is this process.
stdout: lines with "file", "bytes", "verifying", and one last with "result" or "error".
"""

from __future__ import annotations

import io
import json
import os
import re
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx2
from huggingface_hub import HfApi, constants, hf_hub_url
from huggingface_hub.errors import GatedRepoError, HfHubHTTPError
from huggingface_hub.hf_api import ModelInfo, RepoSibling
from huggingface_hub.utils import (  # type: ignore[attr-defined]
    build_hf_headers,
    get_session,
    hf_raise_for_status,
)

from slm_explorer.errors import HubError
from slm_explorer.hub.fetch import Report, WantedFile, fetch
from slm_explorer.hub.refusals import hub_name, refusal
from slm_explorer.hub.upload import upload
from slm_explorer.hub.upload_space import upload_space

MAX_CONFIG_BYTES = 2**20
# Enough for any repository's list of files; not for a server that never stops talking.
_MEMORY_BYTES = 4 * 2**30
_REPORT_S = 0.2
_COMMIT = re.compile(r"[0-9a-f]{40}")

Say = Callable[[dict[str, object]], None]


def main() -> None:
    # What libraries print goes to stderr; stdout is for the app.
    lines = io.TextIOWrapper(os.fdopen(os.dup(1), "wb"), "utf-8", line_buffering=True)
    os.dup2(2, 1)

    turn = threading.Lock()

    def say(values: dict[str, object]) -> None:
        with turn:
            lines.write(json.dumps(values) + "\n")

    order: dict[str, Any] = json.loads(sys.stdin.buffer.readline())
    threading.Thread(target=_end_with_the_app, daemon=True).start()
    _limit_memory()
    try:
        result = _work(order, say)
    except Exception as error:  # the child's boundary: every failure becomes a sentence
        told = refusal(error, order["hub_id"], order["revision"])
        say({"error": str(told), "kind": type(told).__name__})
    else:
        say({"result": result})
    lines.flush()
    os._exit(0)


def _work(order: dict[str, Any], say: Say) -> dict[str, object]:
    if order["do"] == "look_up":
        return _look_up(order)
    if order["do"] == "push":
        folder, extra = Path(order["folder"]), order["extra"]
        return upload(order["hub_id"], folder, extra, private=order["private"])
    if order["do"] == "push_space":
        folder, hardware = Path(order["folder"]), order["hardware"]
        return upload_space(order["hub_id"], folder, private=order["private"], hardware=hardware)
    return _fetch(order, say)


def _end_with_the_app() -> None:
    while sys.stdin.buffer.read(1):
        continue
    os._exit(1)


def _limit_memory() -> None:
    try:
        import resource
    except ImportError:
        return
    resource.setrlimit(resource.RLIMIT_AS, (_MEMORY_BYTES, _MEMORY_BYTES))


def _look_up(order: dict[str, Any]) -> dict[str, object]:
    hub_id, revision = str(order["hub_id"]), str(order["revision"])
    info = HfApi().model_info(
        hub_id,
        revision=None if revision == "main" else revision,
        timeout=constants.HF_HUB_DOWNLOAD_TIMEOUT,
        files_metadata=True,
    )
    if not isinstance(info.sha, str) or not _COMMIT.fullmatch(info.sha):
        raise ValueError("no commit")
    siblings = info.siblings or []
    config, access = _config(hub_id, info.sha, siblings)
    return {
        "commit": info.sha,
        "gated": info.gated if info.gated in ("auto", "manual") else "no",
        "access": access,
        "license": _license(info),
        "pipeline_tag": _text(info.pipeline_tag),
        "library": _text(info.library_name),
        "last_modified": info.last_modified.isoformat() if info.last_modified else None,
        "files": [_file(sibling) for sibling in siblings],
        "parameters": _parameters(info),
        "chat_template": _has_chat_template(info),
        "config": config,
    }


def _config(
    hub_id: str, commit: str, siblings: list[RepoSibling]
) -> tuple[str | None, bool | None]:
    """The text of config.json, and whether files may be read; None where not found out."""
    if not any(sibling.rfilename == "config.json" for sibling in siblings):
        return None, None
    try:
        return _small_text(hf_hub_url(hub_id, "config.json", revision=commit)), True
    except GatedRepoError:
        return None, False
    except HfHubHTTPError as error:
        if error.response.status_code in (401, 403):
            return None, False
        raise


def _small_text(url: str) -> str:
    headers = {**build_hf_headers(), "Accept-Encoding": "identity"}
    content = bytearray()
    with get_session().stream(
        "GET", url, headers=headers, timeout=constants.HF_HUB_DOWNLOAD_TIMEOUT
    ) as response:
        hf_raise_for_status(response)
        for chunk in response.iter_bytes():
            content += chunk
            if len(content) > MAX_CONFIG_BYTES:
                raise HubError(
                    f"Its config.json is larger than {MAX_CONFIG_BYTES // 2**20} MiB, which no "
                    "model's is: choose another model."
                )
    return content.decode("utf-8", "replace")


def _file(sibling: RepoSibling) -> dict[str, object]:
    """What becomes a file's name in the cache is a hash, or nothing."""
    size = sibling.lfs.size if sibling.lfs else sibling.size
    sha256 = _hash(sibling.lfs.sha256, 64) if sibling.lfs else None
    return {
        "name": str(sibling.rfilename)[:500],
        "size": size if type(size) is int and 0 <= size < 2**50 else None,
        "etag": sha256 if sibling.lfs else _hash(sibling.blob_id, 40),
        "sha256": sha256,
    }


def _hash(value: object, digits: int) -> str | None:
    found = isinstance(value, str) and re.fullmatch(f"[0-9a-f]{{{digits}}}", value)
    return str(value) if found else None


def _license(info: ModelInfo) -> str | None:
    card = info.card_data
    named = (card.get("license_name") or card.get("license")) if card else None
    if named is None:
        tags = [tag for tag in info.tags or [] if str(tag).startswith("license:")]
        named = tags[0].removeprefix("license:") if tags else None
    return _text(named)


def _parameters(info: ModelInfo) -> dict[str, int]:
    counts = info.safetensors.parameters if info.safetensors else {}
    return {str(k)[:20]: v for k, v in counts.items() if type(v) is int and 0 <= v < 2**50}


def _text(value: object) -> str | None:
    return value[:100] if isinstance(value, str) else None


def _has_chat_template(info: ModelInfo) -> bool:
    if any(sibling.rfilename == "chat_template.jinja" for sibling in info.siblings or []):
        return True
    tokenizer = (info.config or {}).get("tokenizer_config")
    return isinstance(tokenizer, dict) and bool(tokenizer.get("chat_template"))


def _fetch(order: dict[str, Any], say: Say) -> dict[str, object]:
    # A thread tells what has come, so that the last bytes before a silence are told too.
    came = told = 0

    def count(total: int) -> None:
        nonlocal came
        came = total

    def tell() -> None:
        nonlocal told
        while True:
            time.sleep(_REPORT_S)
            if came != told:
                told = came
                say({"bytes": told})

    threading.Thread(target=tell, daemon=True).start()
    report = Report(
        file=lambda name: say({"file": name}),
        bytes=count,
        verifying=lambda name: say({"verifying": name}),
    )
    files = [WantedFile(file["name"], file["size"], file["etag"]) for file in order["files"]]
    try:
        snapshot = fetch(
            order["hub_id"],
            order["commit"],
            order["revision"],
            Path(order["repository"]),
            files,
            report,
        )
    except httpx2.TimeoutException:
        raise HubError(
            f"{hub_name()} stopped sending: check the connection and download again; what came "
            "is kept."
        ) from None
    return {"path": str(snapshot)}


if __name__ == "__main__":
    main()

"""In the child process: a built Space as one commit to the Hub."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from huggingface_hub import HfApi, constants, get_token
from huggingface_hub.errors import HfHubHTTPError

from slm_explorer.errors import HubError, InvalidRequest
from slm_explorer.hub.refusals import hub_name

_MESSAGE = "Build with SLM Explorer"
# What the Hub itself puts into a new Space, and what tells ours from another's.
_OF_THE_HUB = {"README.md", ".gitattributes"}
_OURS = "slm_explorer/__init__.py"


def upload_space(
    hub_id: str, folder: Path, *, private: bool, hardware: str | None
) -> dict[str, object]:
    """Create the Space where it is missing, and make its files those of `folder`.

    Modules and assets that are no longer ours are deleted there; whatever else somebody added
    stays. Raises HubError without a sign-in or where the Hub refuses it, InvalidRequest for a
    Space that is something else.
    """
    if get_token() is None:
        raise HubError(
            "Pushing needs your own sign-in: run `hf auth login` or set HF_TOKEN, and try again."
        )
    api = HfApi()
    wish: dict[str, Any] = {"space_hardware": hardware} if hardware else {}
    try:
        api.create_repo(
            hub_id, repo_type="space", space_sdk="gradio", private=private, exist_ok=True, **wish
        )
        there = set(api.list_repo_files(hub_id, repo_type="space")) - _OF_THE_HUB
        if there and _OURS not in there:
            raise InvalidRequest(f"{hub_id} is a Space of another kind: take a new name.")
        commit = api.upload_folder(
            repo_id=hub_id,
            repo_type="space",
            folder_path=folder,
            commit_message=_MESSAGE,
            delete_patterns=["slm_explorer/*", "assets/*"],
        )
    except HfHubHTTPError as error:
        raise _refused(error, hub_id) from None
    return {"url": f"{constants.ENDPOINT}/spaces/{hub_id}", "commit": commit.oid}


def _refused(error: HfHubHTTPError, hub_id: str) -> Exception:
    status = error.response.status_code
    if status == 402:
        return HubError(
            f"{hub_name()} asks for a paid plan for this Space's hardware (HTTP 402): a free "
            "account may have a ZeroGPU Space, with --hardware zero-a10g."
        )
    if status in (401, 403, 404):
        return HubError(
            f"{hub_name()} does not let this sign-in write to the Space {hub_id} (HTTP {status}): "
            "take a name of your own, and a token that may write. CPU Spaces need a paid plan; "
            "with a free account try --hardware zero-a10g."
        )
    return error

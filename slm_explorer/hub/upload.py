"""In the child process: a model's folder as one commit to the Hub."""

from __future__ import annotations

from pathlib import Path

from huggingface_hub import CommitOperationAdd, HfApi, constants, get_token
from huggingface_hub.errors import HfHubHTTPError

from slm_explorer.errors import HubError
from slm_explorer.hub.refusals import hub_name

_MESSAGE = "Upload a model made with SLM Explorer"


def upload(hub_id: str, folder: Path, extra: dict[str, str], *, private: bool) -> dict[str, object]:
    """Commit every file of `folder`, and `extra` (names to texts) in the place of any of the same
    name. Raises HubError without a sign-in or where the Hub refuses it.
    """
    if get_token() is None:
        raise HubError(
            "Pushing needs your own sign-in: run `hf auth login` or set HF_TOKEN, and try again."
        )
    api = HfApi()
    adding = [
        CommitOperationAdd(file.name, file)
        for file in sorted(folder.iterdir())
        if file.is_file() and file.name not in extra
    ]
    adding += [CommitOperationAdd(name, text.encode()) for name, text in sorted(extra.items())]
    try:
        api.create_repo(hub_id, private=private, exist_ok=True)
        api.create_commit(hub_id, adding, commit_message=_MESSAGE)
    except HfHubHTTPError as error:
        status = error.response.status_code
        if status in (401, 403, 404):
            raise HubError(
                f"{hub_name()} does not let this sign-in write to {hub_id} (HTTP {status}): take "
                "a name of your own, and a token that may write."
            ) from None
        raise
    return {"url": f"{constants.ENDPOINT}/{hub_id}"}

"""What went wrong with the Hub, as one sentence with the next step.

Nothing that a server wrote is repeated: it may be HTML, or hold what was sent to it.
"""

from __future__ import annotations

import errno
from urllib.parse import urlsplit

import httpx2
from huggingface_hub import constants, get_token
from huggingface_hub.errors import (
    DisabledRepoError,
    GatedRepoError,
    HfHubHTTPError,
    OfflineModeIsEnabled,
    RemoteEntryNotFoundError,
    RepositoryNotFoundError,
    RevisionNotFoundError,
)

from slm_explorer.errors import HubError, Offline, SlmError, StorageError, UnknownModel
from slm_explorer.hub.plan import gated_sentence


def hub_name() -> str:
    """What the Hub is called: its host where it is not the public one."""
    host = urlsplit(constants.ENDPOINT).hostname
    return "The Hub" if host in ("huggingface.co", "hf.co") else f"The Hub at {host}"


def refusal(error: Exception, hub_id: str, revision: str) -> SlmError:
    """The error to show for what a request raised."""
    if isinstance(error, SlmError):
        return error
    if isinstance(error, OfflineModeIsEnabled):
        return Offline("HF_HUB_OFFLINE is set, so the Hub is not asked: unset it to download.")
    if isinstance(error, HfHubHTTPError):
        return _answered(error, hub_id, revision)
    if isinstance(error, httpx2.TooManyRedirects):
        return HubError(f"{hub_name()} redirects in a circle: check HF_ENDPOINT, or try later.")
    if isinstance(error, httpx2.TimeoutException):
        return HubError(
            f"{hub_name()} sent nothing for {constants.HF_HUB_DOWNLOAD_TIMEOUT} s: check the "
            "connection and try again; what came is kept."
        )
    if isinstance(error, httpx2.ConnectError | httpx2.ProxyError | httpx2.UnsupportedProtocol):
        return HubError(
            f"{hub_name()} cannot be reached: check the connection, the proxy and HF_ENDPOINT."
        )
    if isinstance(error, httpx2.HTTPError | httpx2.InvalidURL):
        return HubError(
            f"{hub_name()} broke off in the middle of an answer: try again; what came is kept."
        )
    if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
        return StorageError(
            "The disk of the model cache is full: free some space and download again; what came "
            "is kept."
        )
    if isinstance(error, OSError):
        return StorageError(
            f"The model cache cannot be written ({error.strerror or type(error).__name__}): check "
            "HF_HOME and its permissions."
        )
    return HubError(
        f"{hub_name()} answered with something that is no model's description "
        f"({type(error).__name__}): check HF_ENDPOINT, or try later."
    )


def _answered(error: HfHubHTTPError, hub_id: str, revision: str) -> SlmError:
    status = error.response.status_code
    if isinstance(error, GatedRepoError):
        return HubError(gated_sentence(hub_id))
    if isinstance(error, RevisionNotFoundError):
        return UnknownModel(
            f"{hub_id} has no revision {revision!r}: give a branch, a tag or a commit of it."
        )
    if isinstance(error, DisabledRepoError):
        return HubError(f"The Hub has disabled {hub_id}: choose another model.")
    if isinstance(error, RemoteEntryNotFoundError):
        return HubError(
            f"{hub_name()} lists a file of {hub_id} that it does not have: try again later."
        )
    if isinstance(error, RepositoryNotFoundError) or status == 404:
        return UnknownModel(
            f"{hub_name()} has no model {hub_id}, or it is private: check the spelling, or sign "
            "in with `hf auth login`."
        )
    if status == 401:
        if get_token() is None:
            return HubError(f"{hub_id} asks for a sign-in: run `hf auth login` or set HF_TOKEN.")
        return HubError(
            f"{hub_name()} refuses this machine's token: sign in again with `hf auth login`, or "
            "unset HF_TOKEN."
        )
    if status == 403:
        return HubError(
            f"{hub_name()} forbids {hub_id} to this machine: accept its terms on its page, and "
            "sign in with a token that may read it."
        )
    if status == 429:
        wait = retry_after(error)
        when = f"in {wait:,} s" if wait is not None else "in a few minutes"
        return HubError(
            f"{hub_name()} has had too many requests from here: try again {when}; signing in "
            "raises the limit."
        )
    return HubError(f"{hub_name()} fails (HTTP {status}): try again in a few minutes.")


def retry_after(error: HfHubHTTPError) -> int | None:
    """Seconds that the answer asks to wait; None where it does not say."""
    text = error.response.headers.get("Retry-After", "").strip()
    return int(text) if text.isdecimal() and len(text) < 10 else None

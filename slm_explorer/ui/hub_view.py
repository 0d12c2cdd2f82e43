"""The values of the Hub tab's three views: what was looked up, the downloads, what is here."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from secrets import token_hex

from slm_explorer.catalog.fit import Fit
from slm_explorer.hub.values import DownloadState, HubModel, LocalModel
from slm_explorer.units import format_bytes

_GATES = {
    "no": "open to everybody",
    "auto": "asks for an account, and grants access at once",
    "manual": "asks for an account, and its makers grant access by hand",
}


def look_up_view(
    refused: str, *, error: str = "", found: HubModel | None = None, fit: Fit | None = None
) -> dict[str, object]:
    """`refused` is why nothing can be looked up or downloaded here, empty where it can.

    `answer` is another one each time: the page waits for it while the Hub is asked.
    """
    return {
        "refused": refused,
        "error": error,
        "answer": token_hex(4),
        "found": None if found is None else _found(found, fit),
    }


def _found(model: HubModel, fit: Fit | None) -> dict[str, object]:
    card = model.card
    facts: list[tuple[str, str | None]] = [
        ("Commit", model.commit),
        ("Licence", model.license),
        ("Access", _access(model)),
        ("Architecture", f"{card.architecture_kind}, {card.model_type}" if card else None),
        ("Parameters", f"{card.parameters:,}" if card and card.parameters else None),
        ("Context, tokens", f"{card.context_length:,}" if card and card.context_length else None),
        ("Stored as", card.native_dtype if card else None),
        ("Weights", ", ".join(model.formats) or None),
        ("To download", _to_download(model)),
        ("Last changed", model.last_modified),
    ]
    return {
        "id": model.hub_id,
        "revision": model.revision,
        "commit": model.commit,
        "facts": [[label, "n/a" if text is None else text] for label, text in facts],
        "verdict": fit.verdict if fit else "n/a",
        "fit": fit.reason if fit else "n/a: its config gives no shape to estimate from",
        "problem": model.problem or "",
        "here": model.local_path is not None,
        "files": [
            [each.name, "n/a" if each.size is None else format_bytes(each.size), each.needed]
            for each in model.files
        ],
    }


def _access(model: HubModel) -> str:
    may = {True: ", which this machine has", False: ", which this machine lacks", None: ""}
    return _GATES[model.gated] + ("" if model.gated == "no" else may[model.access])


def _to_download(model: HubModel) -> str:
    if model.local_path is not None:
        return f"nothing: all {format_bytes(model.download_bytes)} are on this disk"
    total, missing = format_bytes(model.download_bytes), format_bytes(model.missing_bytes)
    return total if total == missing else f"{missing} of {total}, the rest is on this disk"


def downloads_view(
    states: Sequence[DownloadState], refused: str, error: str = ""
) -> dict[str, object]:
    """Newest first. `share` is 0 to 1, None while the size is not known."""
    return {
        "refused": refused,
        "error": error,
        "downloads": [
            {
                "id": each.hub_id,
                "revision": each.revision,
                "status": each.status,
                "sentence": each.sentence,
                "share": each.bytes_done / each.bytes_total if each.bytes_total else None,
                "ended": each.ended,
            }
            for each in reversed(states)
        ],
    }


def local_view(
    models: Sequence[LocalModel], refused: str, errors: Mapping[str, str] | None = None
) -> dict[str, object]:
    """`errors` are sentences by a model's id, shown in its row; under "" what belongs to none."""
    said = errors or {}
    return {
        "refused": refused,
        "error": said.get("", ""),
        "models": [
            {
                "id": each.id,
                "name": each.name,
                "hub_id": each.hub_id or "",
                "shipped": each.origin == "shipped",
                "size": format_bytes(each.size_bytes),
                "partial": format_bytes(each.partial_bytes) if each.partial_bytes else "",
                "used": "n/a" if each.last_used is None else _day(each.last_used),
                "revision": each.revision or "n/a",
                "problem": each.problem or "",
                "deletable": each.deletable and not refused,
                "error": said.get(each.id, ""),
            }
            for each in models
        ],
    }


def _day(seconds: float) -> str:
    return datetime.fromtimestamp(seconds).astimezone().strftime("%Y-%m-%d")

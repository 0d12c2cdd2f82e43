"""Gradio components that several tabs use."""

from __future__ import annotations

import json
from typing import Any

import gradio as gr

QUIET: dict[str, Any] = {"queue": False, "show_progress": "hidden", "api_visibility": "private"}
"""For an event that is answered at once: beside the queue, no endpoint for programs. A click while
the one before is being answered is dropped.
"""
LATEST: dict[str, Any] = {**QUIET, "trigger_mode": "always_last"}
"""The same where of quick changes the last counts; a view names such events as `latest`."""
EVERY: dict[str, Any] = {**QUIET, "trigger_mode": "multiple"}
"""The same where each click counts."""

# Our own modules draw from the value: Gradio's templates evaluate `${...}` in what they are given.
_MOUNT = """
import(new URL("slm/page.js", document.baseURI).href)
  .then((page) => page.mount("%s", element, props, trigger, watch, %s)); // sends %s
"""


def view(
    name: str,
    value: object,
    *,
    sends: tuple[str, ...] = (),
    latest: tuple[str, ...] = (),
    elem_id: str,
    **props: object,
) -> gr.HTML:
    """An HTML component drawn by the view `name` of assets/page from a plain value.

    `sends` and `latest` name the events that the view triggers; each becomes a listener of the
    component. Those in `latest` are to be heard with LATEST.
    """
    names = " ".join(f"'{event}'" for event in (*sends, *latest))
    return gr.HTML(
        value,
        html_template="",
        js_on_load=_MOUNT % (name, json.dumps(latest), names),
        apply_default_css=False,
        elem_id=elem_id,
        **props,  # type: ignore[arg-type]
    )


def sent(event: gr.EventData, name: str) -> object:
    """What a view sent along with an event under that name; None where it sent nothing."""
    data = event._data
    return data.get(name) if isinstance(data, dict) else None

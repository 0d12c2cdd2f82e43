"""Gradio components that several tabs use."""

from __future__ import annotations

import gradio as gr

# Our own modules draw from the value: Gradio's templates evaluate `${...}` in what they are given.
_MOUNT = """
import(new URL("slm/page.js", document.baseURI).href)
  .then((page) => page.mount("%s", element, props, trigger, watch)); // sends %s
"""


def view(
    name: str, value: object, *, sends: tuple[str, ...] = (), elem_id: str, **props: object
) -> gr.HTML:
    """An HTML component drawn by the view `name` of assets/page from a plain value.

    `sends` names the events that the view triggers; each becomes a listener of the component.
    """
    names = " ".join(f"'{event}'" for event in sends)
    return gr.HTML(
        value,
        html_template="",
        js_on_load=_MOUNT % (name, names),
        apply_default_css=False,
        elem_id=elem_id,
        **props,  # type: ignore[arg-type]
    )


def sent(event: gr.EventData, name: str) -> object:
    """What a view sent along with an event under that name; None where it sent nothing."""
    data = event._data
    return data.get(name) if isinstance(data, dict) else None

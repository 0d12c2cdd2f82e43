"""What Gradio keeps of each visitor: only what this page asks for, and of the newest only.

Gradio 6.31 makes a copy of the whole page's settings for everyone who comes, an endpoint's caller
too, and keeps in it what they last saw: 222 KB and 9 ms each. Only links to a page as somebody left
it need that, which guard.py does not serve. It also keeps a set for every visitor there ever was.
"""

from __future__ import annotations

from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, cast

from gradio.state_holder import SessionState, StateHolder
from gradio.utils import LRUCache

if TYPE_CHECKING:
    import gradio as gr

KEPT_STATES = 500
"""Visitors whose state is kept; an older one finds the page as it is at first."""
# As many as Gradio keeps answers for.
_KEPT_EVENTS = 2000


class _State(SessionState):
    """A visitor's values, without the page's settings."""

    def __init__(self, blocks: gr.Blocks) -> None:
        nothing = SimpleNamespace(default_config=blocks.default_config, blocks={})
        super().__init__(cast("gr.Blocks", nothing))

    def __setitem__(self, key: int, value: Any) -> None:
        super().__setitem__(key, value)
        self.config_values.clear()

    def _update_config(self, key: int) -> None:
        pass

    def _update_value_in_config(self, key: int, value: Any) -> None:
        pass


class _States(StateHolder):
    def __getitem__(self, session_id: str) -> SessionState:
        if session_id not in self.session_data:
            self.session_data[session_id] = _State(self.blocks)
        return super().__getitem__(session_id)


def keep_little(page: gr.Blocks) -> None:
    """Of the visitors of a page that is being served."""
    states = _States()  # type: ignore[no-untyped-call]
    states.set_blocks(page)
    page.app.state_holder = states
    page._queue.pending_event_ids_session = LRUCache(_KEPT_EVENTS)

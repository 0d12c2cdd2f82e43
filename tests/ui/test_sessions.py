"""A small page with visitors, and what the server keeps of them."""

from __future__ import annotations

from collections.abc import Iterator

import gradio as gr
import pytest
from gradio_client import Client

from slm_explorer.ui import sessions
from slm_explorer.ui.sessions import keep_little

VISITORS = 12


@pytest.fixture
def page(monkeypatch: pytest.MonkeyPatch) -> Iterator[gr.Blocks]:
    monkeypatch.setattr(sessions, "_KEPT_EVENTS", 4)
    with gr.Blocks() as blocks:
        count = gr.State(0)
        choice = gr.Dropdown(["a"])
        gr.Button("Count").click(lambda old: (old + 1, old + 1), count, [count, gr.Number()])
        gr.Button("Offer").click(lambda: gr.Dropdown(["a", "b"]), None, choice, api_name="offer")
        gr.Button("Take").click(lambda taken: taken, choice, gr.Textbox(), api_name="take")
    blocks.launch(
        server_name="127.0.0.1", prevent_thread_lock=True, quiet=True, state_session_capacity=6
    )
    keep_little(blocks)
    yield blocks
    blocks.close(verbose=False)


def test_each_has_values_of_their_own(page: gr.Blocks) -> None:
    first, second = (Client(page.local_url, verbose=False) for _ in range(2))
    assert [first.predict(api_name="/lambda") for _ in range(3)] == [1, 2, 3]
    assert second.predict(api_name="/lambda") == 1


def test_a_choice_that_was_offered_to_one_can_be_taken_by_that_one(page: gr.Blocks) -> None:
    first, second = (Client(page.local_url, verbose=False) for _ in range(2))
    first.predict(api_name="/offer")
    assert first.predict("b", api_name="/take") == "b"
    with pytest.raises(ValueError, match="not in the list"):
        second.predict("b", api_name="/take")


def test_of_many_only_the_newest_and_of_those_no_copy_of_the_page_is_kept(page: gr.Blocks) -> None:
    visitors = [Client(page.local_url, verbose=False) for _ in range(VISITORS)]
    for visitor in visitors:
        assert visitor.predict(api_name="/lambda") == 1
    states = page.app.state_holder.session_data
    assert len(states) == 6
    assert not any(state.config_values for state in states.values())
    assert len(page._queue.pending_event_ids_session) == 4
    # Whoever was forgotten is answered as at first; whoever was not goes on.
    assert visitors[0].predict(api_name="/lambda") == 1
    assert visitors[-1].predict(api_name="/lambda") == 2

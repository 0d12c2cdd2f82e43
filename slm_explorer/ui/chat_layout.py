"""The chat tab's components: lane heads, the board, the writer, and the settings panel."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import gradio as gr

from slm_explorer.chat import RECIPES
from slm_explorer.types import MAX_NEW_TOKENS
from slm_explorer.ui.board import Lane, board_view
from slm_explorer.ui.components import view
from slm_explorer.ui.conversation import LETTERS, SLOTS, Conversation
from slm_explorer.ui.lane_settings import SCOPES, LaneSettings
from slm_explorer.ui.models import Choice, default_lanes
from slm_explorer.ui.uses import USES

SENDS = ("example", "retry", "undo", "edit", "halt", "code")
_MASK = "() => window.slm.mask()"


@dataclass(frozen=True)
class ChatLayout:
    """What the handlers need. `controls` are in the order of LaneSettings' fields."""

    uses: gr.HTML
    columns: Sequence[gr.Column]
    models: Sequence[gr.Dropdown]
    removes: Sequence[gr.Button]
    board: gr.HTML
    code: gr.HTML
    context: gr.Textbox
    prompt: gr.Textbox
    mask: gr.Button
    send: gr.Button
    stop: gr.Button
    clear: gr.Button
    add: gr.Button
    mode: gr.Radio
    scope: gr.Radio
    controls: Sequence[Any]


def build_chat_layout(
    choices: dict[str, Choice], uses_view: dict[str, object], threads: int
) -> ChatLayout:
    """Draw the tab as it is for chatting, with these models; `threads` decides whether lanes
    first run in turn or at once.
    """
    first = default_lanes(choices)
    uses = view("uses", uses_view, sends=("use",), elem_id="slm-uses")
    options = [(choice.name, choice.id) for choice in choices.values()]
    columns, models, removes = [], [], []
    with gr.Row(elem_id="slm-heads"):
        for slot in range(SLOTS):
            with (
                gr.Column(visible=slot < len(first), min_width=0) as column,
                gr.Row(elem_classes="slm-head"),
            ):
                model = gr.Dropdown(
                    options,
                    value=first[min(slot, len(first) - 1)] if first else None,
                    label=f"Lane {LETTERS[slot]}",
                    elem_id=f"slm-model-{slot}",
                    min_width=0,
                    # Gradio refuses, with an error, what is not among the newest choices, and an
                    # event may carry the lane of a moment ago. What is asked is checked anyway.
                    allow_custom_value=True,
                )
                remove = gr.Button("✕", size="sm", min_width=0, scale=0, elem_classes="slm-remove")
            columns.append(column)
            models.append(model)
            removes.append(remove)
    lanes = [Lane(slot, choices[model]) for slot, model in enumerate(first)]
    board = view(
        "board",
        board_view(Conversation(), lanes, choices),
        sends=SENDS,
        elem_id="slm-board",
    )
    code = view("code", {}, sends=("close",), elem_id="slm-code")
    with gr.Column(elem_id="slm-writer"):
        context = gr.Textbox(
            show_label=False,
            label="Text to answer from",
            placeholder="The text in which the answer stands.",
            lines=3,
            max_lines=6,
            container=False,
            visible=False,
            elem_id="slm-context",
        )
        with gr.Row():
            prompt = gr.Textbox(
                show_label=False,
                label="Prompt for all lanes",
                placeholder=USES["chat"].placeholder,
                lines=1,
                max_lines=8,
                container=False,
                autofocus=True,
                elem_id="slm-prompt",
                scale=1,
            )
            mask = gr.Button("[MASK]", scale=0, min_width=70, visible=False, elem_id="slm-mask")
            send = gr.Button("Send", variant="primary", scale=0, min_width=88, elem_id="slm-send")
            stop = gr.Button("Stop all", scale=0, min_width=88, elem_id="slm-stop")
    with gr.Row(elem_id="slm-tools"):
        mode = gr.Radio(
            [("Fair: one lane after the other", "fair"), ("Race: all at once", "race")],
            value="fair" if threads < 8 else "race",
            show_label=False,
            label="How lanes share the machine",
            container=False,
            elem_id="slm-mode",
        )
        add = gr.Button("Add lane", size="sm", scale=0, min_width=80, elem_id="slm-add")
        clear = gr.Button("Clear chat", size="sm", scale=0, min_width=80, elem_id="slm-clear")
    with gr.Accordion("Settings", open=False, elem_id="slm-settings"):
        scope = gr.Radio(
            SCOPES,
            value=SCOPES[0],
            label="Settings of",
            info="A lane keeps only what you set for it otherwise than for all.",
            elem_id="slm-scope",
        )
        controls = _controls()
    mask.click(None, None, None, js=_MASK, api_visibility="private")
    return ChatLayout(
        uses=uses, columns=columns, models=models, removes=removes, board=board, code=code,
        context=context, prompt=prompt, mask=mask, send=send, stop=stop, clear=clear, add=add,
        mode=mode, scope=scope, controls=controls,
    )  # fmt: skip


def _controls() -> list[Any]:
    """One input a field of LaneSettings, in its order, each with what it does."""
    default = LaneSettings()
    system = gr.Textbox(
        default.system,
        label="System prompt",
        info="What the model reads before the conversation; not every model heeds it.",
        lines=2,
    )
    with gr.Row(elem_classes="slm-controls"):
        recipe = gr.Dropdown(
            list(RECIPES),
            value=default.recipe,
            label="Recipe",
            info="How weights are held: native is as stored; f32, bf16 and f16 are casts.",
        )
        temperature = gr.Slider(
            0, 2, default.temperature, step=0.05, label="Temperature",
            info="0 always takes the likeliest token; higher evens out the odds.",
        )  # fmt: skip
        top_k = gr.Slider(
            0, 200, default.top_k, step=1, label="Top-k",
            info="Draws among this many likeliest tokens only; 0 is off.",
        )  # fmt: skip
        top_p = gr.Slider(
            0, 1, default.top_p, step=0.01, label="Top-p",
            info="Draws among the likeliest tokens that reach this share together; 1 is off.",
        )  # fmt: skip
        min_p = gr.Slider(
            0, 1, default.min_p, step=0.01, label="Min-p",
            info="Drops tokens less likely than this share of the likeliest; 0 is off.",
        )  # fmt: skip
        penalty = gr.Slider(
            0.5, 2, default.repetition_penalty, step=0.01, label="Repetition penalty",
            info="Above 1 makes tokens that were there before less likely; 1 is off.",
        )  # fmt: skip
        max_tokens = gr.Slider(
            1, MAX_NEW_TOKENS, default.max_tokens, step=1, label="Max tokens",
            info="The answer is cut after this many tokens.",
        )  # fmt: skip
        seed = gr.Number(
            default.seed, label="Seed", precision=0, minimum=0, maximum=2**31,
            info="Same seed and settings, same answer; each Retry adds 1.",
        )  # fmt: skip
        stop = gr.Textbox(
            default.stop,
            label="Stop strings",
            info="One a line; the answer ends before any of them.",
            lines=2,
        )
    return [
        system, recipe, temperature, top_k, top_p, min_p, penalty, max_tokens, seed, stop,
    ]  # fmt: skip

"""Shared settings, and lanes that differ in some of them."""

from __future__ import annotations

from dataclasses import replace

import pytest

from slm_explorer.errors import InvalidRequest
from slm_explorer.ui.lane_settings import (
    FIELDS,
    LaneSettings,
    SettingsBook,
    chips,
    of_lane,
    of_scope,
    written,
)

LANE_B = replace(SettingsBook(), shown="Lane B")


def test_a_lane_keeps_only_what_differs() -> None:
    book = written(LANE_B, LaneSettings(temperature=0.8))
    book = written(replace(book, shown="All lanes"), LaneSettings(max_tokens=32))
    assert of_lane(book, 0) == LaneSettings(max_tokens=32)
    assert of_lane(book, 1) == LaneSettings(temperature=0.8, max_tokens=32)


def test_a_lane_set_back_to_the_shared_value_follows_it_again() -> None:
    book = written(LANE_B, LaneSettings(temperature=0.8))
    book = written(book, LaneSettings())
    book = written(replace(book, shown="All lanes"), LaneSettings(temperature=1.5))
    assert of_lane(book, 1).temperature == 1.5


def test_the_panel_shows_what_the_lane_answers_with() -> None:
    book = written(LANE_B, LaneSettings(recipe="f32"))
    assert of_scope(book, "Lane B").recipe == "f32"
    assert of_scope(book, "All lanes").recipe == "native"


def test_chips_say_what_is_not_default() -> None:
    book = written(LANE_B, LaneSettings(system="You are terse.", temperature=0.8, recipe="bf16"))
    assert chips(book, 0) == ()
    assert chips(book, 1) == ("system prompt", "recipe bf16", "temperature 0.8")


def test_settings_become_sampling() -> None:
    made = LaneSettings(top_k=4, seed=7, stop="END\n\n###").sampling(retries=2)
    assert (made.top_k, made.seed, made.stop) == (4, 9, ("END", "###"))


def test_a_value_out_of_range_is_named() -> None:
    with pytest.raises(InvalidRequest, match="top-p"):
        LaneSettings(top_p=1.5).sampling(0)


def test_every_field_has_a_control() -> None:
    # build_chat_layout makes one control a field, in this order.
    assert FIELDS == (
        "system", "recipe", "temperature", "top_k", "top_p", "min_p", "repetition_penalty",
        "max_tokens", "seed", "stop",
    )  # fmt: skip

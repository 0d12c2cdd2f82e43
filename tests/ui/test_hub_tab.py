"""The Hub tab where the page is served to other machines, and the shape panel's kept results."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import gradio as gr
import pytest

from slm_explorer.services import Services, build_services
from slm_explorer.settings import Settings
from slm_explorer.ui.hub_tab import REFUSED, HubTab
from slm_explorer.ui.models import ModelList
from slm_explorer.ui.shape_panel import ShapeRuns, result_view

MakeServices = Callable[[str], Services]


@pytest.fixture
def make_services(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[MakeServices]:
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path / "cache"))
    made: list[Services] = []

    def make(host: str) -> Services:
        settings = replace(Settings.from_env({}), home=tmp_path / "home", host=host)
        made.append(build_services(settings))
        return made[-1]

    yield make
    for services in made:
        services.close()


def event(**data: object) -> gr.EventData:
    return gr.EventData(None, data)


def tab(services: Services) -> HubTab:
    with gr.Blocks():
        return HubTab(services, ModelList(services, cardless=True))


def cached(folder: Path, hub_id: str) -> Path:
    repository = folder / "cache" / f"models--{hub_id.replace('/', '--')}"
    (repository / "snapshots" / ("0" * 40)).mkdir(parents=True)
    return repository


def ids(view: Any) -> list[str]:
    return [each["id"] for each in view["models"]]


def test_visitors_change_nothing_and_do_not_see_models_without_a_card(
    make_services: MakeServices, tmp_path: Path
) -> None:
    private = cached(tmp_path, "some-one/private")
    shown = tab(make_services("0.0.0.0"))
    assert shown._look_up(event(id="some-one/private"))["refused"] == REFUSED
    shown._download(event(id="some-one/private"))
    assert shown._services.hub.downloads() == ()
    here = shown._delete(event(id="some-one/private"))
    assert private.is_dir()
    assert "some-one/private" not in ids(here)
    assert not any(each["deletable"] for each in here["models"])  # type: ignore[attr-defined]


def test_a_refused_delete_is_said_in_its_row(make_services: MakeServices) -> None:
    shown = tab(make_services("127.0.0.1"))
    here = shown._delete(event(id="sprout-300k"))
    said = {each["id"]: each["error"] for each in here["models"]}  # type: ignore[attr-defined]
    assert said["sprout-300k"]
    assert not any(text for model, text in said.items() if model != "sprout-300k")


def test_only_decoders_that_fit_are_measured(make_services: MakeServices) -> None:
    services = make_services("127.0.0.1")
    runs = ShapeRuns(services)
    assert runs.refusal(services.catalog.get("sprout-300k"), "int8") == ""
    encoder = next(c for c in services.catalog.cards if c.architecture_kind == "encoder")
    assert "no decoder" in runs.refusal(encoder, "native")


def test_what_a_result_lacks_is_not_a_number() -> None:
    words = result_view({"recipe": "native", "decode_tps": None})
    assert words["speed"].startswith("n/a written")
    assert words["memory"] == "memory n/a"

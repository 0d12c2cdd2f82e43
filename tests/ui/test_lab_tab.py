"""The Lab where the page is served to others, and what its handlers send."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import gradio as gr
import pytest
from starlette.applications import Starlette
from starlette.testclient import TestClient

from slm_explorer.lab.types import Order
from slm_explorer.services import Services, build_services
from slm_explorer.settings import Settings
from slm_explorer.ui.lab_build import Building
from slm_explorer.ui.lab_builder import Builder
from slm_explorer.ui.lab_files import lab_files
from slm_explorer.ui.lab_tab import REFUSED, LabTab
from slm_explorer.ui.lab_watch import Drawn, Looking, Watch
from slm_explorer.ui.models import ModelList

MakeServices = Callable[..., Services]


@pytest.fixture
def make_services(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[MakeServices]:
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path / "cache"))
    made: list[Services] = []

    def make(host: str, *, public_lab: bool = False) -> Services:
        settings = replace(
            Settings.from_env({}), home=tmp_path / "home", host=host, public_lab=public_lab
        )
        made.append(build_services(settings))
        return made[-1]

    yield make
    for services in made:
        services.close()


def event(**data: object) -> gr.EventData:
    return gr.EventData(None, data)


def visitor(session: str = "one") -> gr.Request:
    return cast(gr.Request, SimpleNamespace(session_hash=session))


def parts(services: Services) -> tuple[Builder, Watch]:
    trusted = services.settings.host == "127.0.0.1"
    with gr.Blocks():
        tab = LabTab(services, ModelList(services, cardless=True), trusted=trusted)
    return tab._builder, tab._watch


def started(services: Services, model: str = "sprout-300k") -> str:
    """A run that is over before it has begun: what is asked here is who may see and touch it."""
    run = services.lab.submit(Order(model, "int8", visitor="one"))
    services.lab.cancel(run)
    for _ in range(600):
        if services.lab.run(run).ended:
            return run
        threading.Event().wait(0.1)
    raise AssertionError(f"{run} has not ended")


def test_visitors_start_and_delete_nothing_where_the_host_has_not_allowed_it(
    make_services: MakeServices,
) -> None:
    services = make_services("0.0.0.0")
    builder, watch = parts(services)
    view: Any = builder._start(
        visitor(), Building("sprout-300k"), event(model="sprout-300k", recipe="int8", text="")
    )[0]
    assert view["refused"] == REFUSED
    assert services.lab.runs() == ()
    run = started(services)
    _, _, listed, *_ = cast(Any, watch._delete(visitor(), Looking(), Drawn(), event(id=run)))
    assert [each["deletable"] for each in listed["runs"]] == [False]
    assert [each.id for each in services.lab.runs()] == [run]


def test_a_host_may_allow_the_lab_and_then_each_stops_only_their_own(
    make_services: MakeServices,
) -> None:
    services = make_services("0.0.0.0", public_lab=True)
    builder, watch = parts(services)
    shown: Any = builder._start(
        visitor(), Building("sprout-300k"), event(model="sprout-300k", recipe="int8", text="")
    )
    assert shown[0]["refused"] == ""
    run = services.lab.run(shown[2])
    control = watch._control(services.lab.cancel)
    drawn: Any = control(visitor("another"), Looking(), Drawn(), event(id=run.id))
    assert services.lab.run(run.id).state != "cancelled"
    assert drawn[0]["may_cancel"] is False
    control(visitor(), Looking(), Drawn(), event(id=run.id))


def test_a_page_that_others_see_shows_only_runs_of_models_that_the_catalog_names(
    make_services: MakeServices, tmp_path: Path
) -> None:
    services = make_services("0.0.0.0")
    started(services)
    private = tmp_path / "private"
    private.symlink_to(services.chat.resolve("sprout-300k").path)
    started(services, str(private))
    _, watch = parts(services)
    listed: Any = watch._all(visitor(), Looking(), Drawn())[2]
    assert [each["title"] for each in listed["runs"]] == ["Sprout 300K → int8"]


def test_a_recipe_that_cannot_be_started_is_said_beside_the_button(
    make_services: MakeServices,
) -> None:
    services = make_services("127.0.0.1")
    builder, _ = parts(services)
    for model, recipe, said in (
        ("sprout-300k", "int3", "int3"),
        ("no-such-model", "int8", "no longer"),
        ("sprout-300k", "int8+" * 200, "400"),
    ):
        view: Any = builder._start(
            visitor(), Building("sprout-300k"), event(model=model, recipe=recipe, text="")
        )[0]
        assert said in view["failed"]
    assert services.lab.runs() == ()


def test_nothing_is_sent_where_nothing_has_changed(make_services: MakeServices) -> None:
    services = make_services("127.0.0.1")
    _, watch = parts(services)
    run = started(services)
    *views, drawn = watch._tick(visitor(), Looking(), Drawn())
    assert cast(Any, views[0])["id"] == run
    again = watch._tick(visitor(), Looking(), cast(Drawn, drawn))
    assert again == (gr.skip(),) * 4
    services.lab.delete(run)
    after: Any = watch._tick(visitor(), Looking(), cast(Drawn, drawn))
    assert after[0]["id"] == ""
    assert after[2]["runs"] == []


def test_a_tick_under_way_does_not_take_a_choice_back(make_services: MakeServices) -> None:
    services = make_services("127.0.0.1")
    _, watch = parts(services)
    first, second = started(services), started(services)
    *_, chosen = watch._show(visitor(), Looking(first), Drawn(), event(id=second))
    # It began before the choice, and ends after it.
    *views, late = watch._tick(visitor(), Looking(first), Drawn())
    assert cast(Any, views[0])["id"] == first
    healed: Any = watch._tick(visitor(), cast(Looking, chosen), cast(Drawn, late))
    assert healed[0]["id"] == second
    assert healed[2]["shown"] == second


def test_a_parent_is_described_from_its_own_files(make_services: MakeServices) -> None:
    builder, _ = parts(make_services("127.0.0.1"))
    view: Any = builder._open(Building())[0]
    assert view["model"] == "sprout-5m"
    assert "6 layers" in view["about"]
    steps = {step["name"]: step for step in view["steps"]}
    assert steps["drop-layers"]["knobs"][0]["high"] == 5
    gone: Any = builder._open(Building(model="was-deleted"))[0]
    assert gone["model"] == "sprout-5m"


@pytest.mark.parametrize("host", ["127.0.0.1", "0.0.0.0"])
def test_files_are_given_only_of_runs_that_have_them(
    make_services: MakeServices, host: str
) -> None:
    services = make_services(host)
    run = started(services)
    client = TestClient(Starlette(routes=[lab_files(services)]))
    for path in (
        f"{run}/model.zip", f"{run}/report.json", f"{run}/report.html", f"{run}/settings.py",
        "no-such/report.json",
        "..%2F..%2Fetc/report.html", "../../etc/passwd",
    ):  # fmt: skip
        assert client.get(f"/slm-lab/{path}").status_code == 404

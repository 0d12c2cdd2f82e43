"""A run that trains: its points, waiting, going on, and ending early with what was learnt."""

from __future__ import annotations

from slm_explorer.lab.types import Order
from tests.conftest import ROOT
from tests.lab.conftest import SMALL, MakeServices, ended, left_in, until

TEXT = (ROOT / "assets" / "calibration.txt").read_text(encoding="utf-8")


def test_it_waits_goes_on_and_ends_early(make_services: MakeServices) -> None:
    services = make_services()
    lab = services.lab
    run = lab.submit(Order(SMALL, "distil:2,minutes=240+int8", text=TEXT * 3))
    until(lambda: bool(lab.run(run).training) or lab.run(run).ended)
    now = lab.run(run)
    assert (now.error, now.state, now.can_pause) == (None, "compressing", True)
    lab.pause(run)
    assert lab.run(run).paused
    lab.resume(run)
    seen = len(lab.run(run).training)
    until(lambda: len(lab.run(run).training) > seen)
    assert not lab.run(run).paused
    losses = [point.loss for point in lab.run(run).training]
    assert all(loss > 0 for loss in losses)
    lab.finish(run)
    until(lambda: lab.run(run).state != "compressing")
    now = lab.run(run)
    assert (now.error, now.state, now.can_pause) == (None, "proving", False)
    assert now.layers, "it was stored after it had learnt"
    lab.cancel(run)
    assert ended(lab, run).state == "cancelled"
    assert left_in(services.settings.home) == []


def test_text_too_short_to_learn_from_is_said(make_services: MakeServices) -> None:
    lab = make_services().lab
    run = lab.submit(Order(SMALL, "distil:2,minutes=1", text="Too short."))
    found = ended(lab, run)
    assert found.state == "failed"
    assert "text" in (found.error or "")

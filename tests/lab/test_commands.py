"""`slm-explorer lab` as a user types it, on a home where the page has made a model."""

from __future__ import annotations

import zipfile
from pathlib import Path

from slm_explorer.lab.types import Run
from slm_explorer.services import Services
from tests.conftest import Cli


def test_list_report_and_archive(
    cli: Cli,
    finished: tuple[Services, Run],
    tmp_path: Path,
) -> None:
    services, run = finished
    home = str(services.settings.home)
    (row,) = cli("lab", "list", "--home", home, "--json").rows
    assert (row["id"], row["state"], row["offered_as"]) == (run.id, "done", f"lab/{run.id}")
    assert run.id in cli("lab", "list", "--home", home).out
    (report,) = cli("lab", "report", run.id, "--home", home, "--json").rows
    assert report["run"] == run.id
    people = cli("lab", "report", run.id, "--home", home).out
    assert "Smaller, " in people
    page, packed = tmp_path / "page.html", tmp_path / "model.zip"
    assert cli("lab", "report", run.id, "--home", home, "--html", str(page)).code == 0
    assert page.read_text().startswith("<!doctype html>")
    assert cli("lab", "archive", run.id, "--home", home, "--out", str(packed)).code == 0
    assert zipfile.is_zipfile(packed)
    # The app that has made it still runs here.
    refused = cli("lab", "delete", run.id, "--home", home)
    assert (refused.code, refused.out) == (2, "")
    assert "error: Another slm-explorer runs the lab" in refused.err


def test_its_model_chats_by_its_id(cli: Cli, finished: tuple[Services, Run]) -> None:
    services, run = finished
    home = str(services.settings.home)
    said = cli(
        "chat", f"lab/{run.id}", "--home", home, "--prompt", "Hi", "--max-tokens", "3", "--json"
    )
    assert said.rows[0]["output_tokens"] == 3


def test_a_run_that_is_none_is_named(cli: Cli) -> None:
    done = cli("lab", "report", "nothing-here")
    assert done.code == 1
    assert "error: The lab has no run nothing-here" in done.err

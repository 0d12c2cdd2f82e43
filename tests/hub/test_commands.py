"""lookup, download and local as a user types them."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import ROOT, Cli
from tests.hub.conftest import WEIGHTS
from tests.hub.server import COMMIT, Hub, Repository, hold_at

ID = "some-one/Tiny.Llama-1"


@pytest.mark.usefixtures("tiny")
def test_look_up_download_list_and_delete(hub: Hub, cli: Cli, tmp_path: Path) -> None:
    [row] = cli("lookup", ID, "--json").rows
    assert (row["commit"], row["problem"], row["parameters"]) == (COMMIT, None, 917_504)
    assert hub.asked("safetensors") == []
    done = cli("download", ID, "--json")
    assert (done.code, "done" in done.err) == (0, True)
    [row] = done.rows
    assert row["status"] == "done"
    assert str(row["path"]).startswith(str(tmp_path / "cache"))
    rows = {str(row["id"]): row for row in cli("local", "--json").rows}
    assert rows[ID]["revision"] == COMMIT
    assert rows["sprout-5m"]["origin"] == "shipped"
    people = cli("local").out
    assert f"{COMMIT[:7]} " in people
    [row] = cli("local", "--delete", ID, "--json").rows
    assert row["freed_bytes"] == rows[ID]["size_bytes"]
    again = cli("local", "--delete", ID)
    assert (again.code, again.out) == (1, "")
    assert "error: some-one/Tiny.Llama-1 is not in the model cache" in again.err


def test_what_fails_is_one_line_and_its_exit_code(hub: Hub, cli: Cli) -> None:
    wrong = cli("lookup", "../x")
    assert (wrong.code, wrong.out) == (2, "")
    missing = cli("download", "no/body", "--json")
    assert (missing.code, missing.out) == (1, "")
    assert "error: The Hub at 127.0.0.1 has no model no/body" in missing.err
    assert "Traceback" not in missing.err
    before = len(hub.seen)
    offline = cli("download", ID, SLM_EXPLORER_OFFLINE="1")
    assert offline.code == 1
    assert "started offline" in offline.err
    assert len(hub.seen) == before


def test_ctrl_c_keeps_what_came_and_says_so(hub: Hub, tiny: Repository, tmp_path: Path) -> None:
    hub.fault("cdn:.*safetensors", hold_at(0.5))
    command = subprocess.Popen(
        [sys.executable, "-m", "slm_explorer", "download", tiny.hub_id],
        stderr=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": str(ROOT), "SLM_EXPLORER_HOME": str(tmp_path / "home")},
        cwd=tmp_path,
    )
    try:
        assert command.stderr is not None
        for line in command.stderr:
            if "1.84 MB of 3.67 MB" in line:
                break
        command.send_signal(signal.SIGINT)
        out, err = command.communicate(timeout=60)
    finally:
        command.kill()
        command.wait()
    assert (command.returncode, out) == (130, "")
    assert "stopped; 1.84 MB of 3.67 MB are kept: the same command continues" in err
    assert hub.gone.wait(10)
    [partial] = (tmp_path / "cache").rglob("*.incomplete")
    assert partial.stat().st_size == len(WEIGHTS) // 2


@pytest.mark.usefixtures("tiny")
def test_a_killed_app_leaves_no_download_behind(hub: Hub, tmp_path: Path) -> None:
    hub.fault("cdn:.*safetensors", hold_at(0.5))
    command = subprocess.Popen(
        [sys.executable, "-m", "slm_explorer", "download", ID],
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": str(ROOT), "SLM_EXPLORER_HOME": str(tmp_path / "home")},
        cwd=tmp_path,
    )
    assert command.stderr is not None
    for line in command.stderr:
        if "1.84 MB" in line:
            break
    command.kill()
    command.wait()
    command.stderr.close()
    assert hub.gone.wait(10)

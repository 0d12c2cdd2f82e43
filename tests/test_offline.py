"""With the network cut off, the app serves its page's endpoints and three Sprouts answer."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import ROOT

UNSHARE = ["unshare", "--net", "--map-root-user"]


def can_unshare() -> bool:
    if shutil.which("unshare") is None:
        return False
    return subprocess.run([*UNSHARE, "true"], capture_output=True, check=False).returncode == 0


@pytest.mark.skipif(not can_unshare(), reason="network namespaces are not allowed here")
def test_three_sprouts_answer_without_any_network(tmp_path: Path) -> None:
    home = tmp_path / "home"
    home.mkdir()
    done = subprocess.run(
        [*UNSHARE, sys.executable, "-m", "tests.offline_visit", str(home)],
        capture_output=True,
        text=True,
        timeout=240,
        cwd=ROOT,
        env={**os.environ, "HOME": str(tmp_path)},
        check=False,
    )
    assert done.returncode == 0, done.stderr
    answers = json.loads(done.stdout.splitlines()[-1])
    assert [answer["model"] for answer in answers] == ["sprout-300k", "sprout-1m", "sprout-5m"]
    assert all(answer["text"] and answer["finish_reason"] for answer in answers)

"""What every test folder shares: where the project is, and the command line as a user types it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from slm_explorer.cli import main

ROOT = Path(__file__).parent.parent


@dataclass(frozen=True)
class Ran:
    """A finished command."""

    code: int
    out: str
    err: str

    @property
    def rows(self) -> list[dict[str, object]]:
        """stdout as JSON Lines; fails where a line is anything else."""
        return [json.loads(line) for line in self.out.splitlines()]


Cli = Callable[..., Ran]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Browser tests last: their driver keeps an event loop and their server keeps threads until
    the session ends, which others count or start themselves.
    """
    items.sort(key=lambda item: "browser" in item.path.parts)


@pytest.fixture
def cli(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Cli:
    """Run `slm-explorer` in this process, where its workers need not import torch each time, with
    a home of its own, outside the checkout.
    """
    monkeypatch.setenv("SLM_EXPLORER_HOME", str(tmp_path / "home"))
    monkeypatch.chdir(tmp_path)

    def run(*words: str, **env: str) -> Ran:
        capfd.readouterr()
        with monkeypatch.context() as changed:
            for name, value in env.items():
                changed.setenv(name, value)
            with pytest.raises(SystemExit) as ended:
                main(words)
        code = ended.value.code
        assert isinstance(code, int)
        return Ran(code, *capfd.readouterr())

    return run


@pytest.fixture
def cli_process(tmp_path: Path) -> Cli:
    """The same in a fresh process, as a user starts it."""

    def run(*words: str) -> Ran:
        command = [sys.executable, "-m", "slm_explorer", *words]
        variables = {**os.environ, "SLM_EXPLORER_HOME": str(tmp_path / "home")}
        variables.setdefault("PYTHONPATH", str(ROOT))
        done = subprocess.run(
            command,
            capture_output=True,
            text=True,
            timeout=240,
            cwd=tmp_path,
            env=variables,
            check=False,
        )
        return Ran(done.returncode, done.stdout, done.stderr)

    return run

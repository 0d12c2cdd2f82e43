"""Gradio is imported without writing type stubs into its installation."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

COMPONENT = """
from gradio.components.base import Component


class Probe(Component):
    EVENTS = ["change"]
"""
PROGRAM = """
import gc, sys
{before}
    import gradio
    import probe
print(gc.isenabled(), len([f for f in sys.meta_path if type(f).__name__ == "_Finder"]))
"""


def run(folder: Path, before: str) -> str:
    (folder / "probe.py").write_text(COMPONENT)
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM.format(before=before)],
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_a_quick_import_writes_no_stub_and_leaves_the_interpreter_as_it_was(tmp_path: Path) -> None:
    before = "from slm_explorer.ui.quick_import import quick_imports\nwith quick_imports():"
    assert run(tmp_path, before) == "True 0"
    assert not (tmp_path / "probe.pyi").exists()


def test_gradio_by_itself_still_writes_stubs_so_that_the_detour_is_needed(tmp_path: Path) -> None:
    run(tmp_path, "if True:")
    assert (tmp_path / "probe.pyi").exists()

"""Who may import whom, read from the source of every module: the house stays as designed."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parent.parent / "slm_explorer"
BASE = {
    "types",
    "tasks",
    "energy",
    "errors",
    "settings",
    "assets",
    "skills",
    "task_suites",
    "text",
    "units",
    "",
}
SERVICES = {
    "services", "chat", "bench", "evaluate", "doctor", "space", "compress", "proof", "lab",
    "classroom", "loads",
}  # fmt: skip
ALLOWED: dict[str, set[str]] = {
    "catalog": {"catalog"} | BASE,
    "hub": {"hub", "catalog"} | BASE,
    "compression": {"compression", "engines"} | BASE,
    "meters": {"meters"} | BASE,
    "store": BASE,
    "runtime": {"runtime"} | BASE,
    "runtime.child": {"runtime", "engines", "compression"} | BASE,
    "engines": {"engines", "compression"} | BASE,
    "ui": {"ui", "catalog", "hub", "meters", "runtime"} | SERVICES | BASE,
    "cli": {"cli", "ui", "catalog", "printing"} | SERVICES | BASE,
    "__main__": {"cli"},
    "printing": SERVICES | BASE,
} | {name: SERVICES | {"catalog", "hub", "meters", "runtime", "store"} | BASE for name in SERVICES}
HOMES: dict[str, tuple[str, ...]] = {
    "gradio": ("ui/",),
    "plotly": ("ui/figures.py",),
    "psutil": ("meters/",),
    "pynvml": ("meters/",),
    "torch": ("engines/", "compression/"),
    "transformers": ("engines/", "compression/"),
    "optimum": ("engines/", "compression/"),
}
# Plain values, and files and folders: modules of their folder that need no library.
READ_BY_ALL = {
    "slm_explorer.compression.recipes",
    "slm_explorer.compression.training_plan",
    "slm_explorer.compression.workspace",
}
MODULES = sorted(PACKAGE.rglob("*.py"))


def imported(path: Path) -> Iterator[str]:
    """Every module named in an import statement of the file, wherever it stands."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            assert node.module is not None
            if node.module == "slm_explorer":
                yield from (f"slm_explorer.{alias.name}" for alias in node.names)
            else:
                yield node.module


def group_of(path: Path) -> str:
    parts = path.relative_to(PACKAGE).with_suffix("").parts
    if parts in (("runtime", "child"), ("runtime", "gpu_call")):
        return "runtime.child"
    return "" if parts[0] == "__init__" else parts[0]


@pytest.mark.parametrize("path", MODULES, ids=lambda p: str(p.relative_to(PACKAGE)))
def test_a_module_imports_only_what_its_place_allows(path: Path) -> None:
    relative = path.relative_to(PACKAGE).as_posix()
    allowed = ALLOWED.get(group_of(path), BASE)
    for name in imported(path):
        top, *rest = name.split(".")
        for library, homes in HOMES.items():
            if top == library:
                assert relative.startswith(homes), f"{relative} imports {name}"
        if top == "slm_explorer":
            target = rest[0] if rest else ""
            if name in READ_BY_ALL:
                continue
            if not (PACKAGE / f"{target}.py").exists() and not (PACKAGE / target).is_dir():
                target = ""  # a name of slm_explorer/__init__.py
            assert target in allowed, f"{relative} imports {name}"


def test_no_file_grows_beyond_one_idea() -> None:
    long = {
        str(path.relative_to(PACKAGE)): count
        for path in MODULES
        if (count := len(path.read_text(encoding="utf-8").splitlines())) > 330
    }
    assert not long


def test_the_web_process_has_no_torch() -> None:
    code = (
        "import sys; import slm_explorer.cli, slm_explorer.ui.app, slm_explorer.ui.server;"
        "from slm_explorer.services import build_services;"
        "from slm_explorer.settings import Settings;"
        "services = build_services(Settings.from_env());"
        "slm_explorer.ui.app.build_app(services, slm_explorer.ui.live.LiveRuns());"
        "print(sorted({'torch', 'transformers', 'optimum'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.stdout.strip().endswith("[]"), done.stdout + done.stderr

"""What this machine has, what bounds the app here, and what is missing with what to type."""

from __future__ import annotations

import platform
import tempfile
from importlib.metadata import PackageNotFoundError, version

from slm_explorer import __version__
from slm_explorer.catalog.checkpoint import inspect_checkpoint
from slm_explorer.errors import SlmError
from slm_explorer.meters.limits import cpu_limit, read_memory
from slm_explorer.services import Services

PACKAGES = ("torch", "transformers", "gradio", "plotly", "psutil", "safetensors")


def examine(services: Services) -> dict[str, object]:
    """The sections of `doctor`: versions, devices, limits, missing."""
    memory, cpu = read_memory(), cpu_limit()
    return {
        "versions": _versions(),
        "devices": services.meters_row()["devices"],
        "limits": {
            "memory_bytes": memory.limit,
            "memory_available_bytes": memory.available,
            "memory_source": memory.source,
            "budget_bytes": services.budget(),
            "cpu_cores": cpu.cores,
            "cpu_source": cpu.source,
            "threads": services.threads,
        },
        "missing": _missing(services),
    }


def _versions() -> dict[str, object]:
    found: dict[str, object] = {"slm-explorer": __version__, "python": platform.python_version()}
    for name in PACKAGES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            found[name] = None
    return found


def _missing(services: Services) -> list[object]:
    problems: list[object] = []

    def say(what: str, then: str) -> None:
        problems.append({"what": what, "type": then})

    for name, found in _versions().items():
        if found is None:
            say(f"the package {name} is not installed", f"pip install {name}")
    for card in services.catalog.cards:
        if card.shipped:
            try:
                inspect_checkpoint(services.chat.resolve(card.id).path)
            except SlmError as error:
                say(f"{card.id}: {error}", "git checkout assets/sprouts (in a checkout)")
    home = services.settings.home
    try:
        home.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=home):
            pass
    except OSError as error:
        say(f"history cannot be kept in {home} ({error.strerror})", "slm-explorer --home FOLDER")
    return problems

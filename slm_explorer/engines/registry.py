"""Engine names and where they live. Adding an engine is one line here and one module."""

from __future__ import annotations

from importlib import import_module
from typing import cast

from slm_explorer.engines.base import Engine
from slm_explorer.errors import InvalidRequest

# Imported by name only when a worker needs it: torch must not load for the echo engine.
ENGINES: dict[str, str] = {
    "torch": "slm_explorer.engines.torch_engine:TorchEngine",
    "transformers": "slm_explorer.engines.reference:ReferenceEngine",
    "echo": "slm_explorer.engines.echo:EchoEngine",
}


def create_engine(name: str) -> Engine:
    """A new engine of that name; InvalidRequest names the known ones."""
    if name not in ENGINES:
        raise InvalidRequest(f"No engine is called {name!r}; there are {', '.join(ENGINES)}.")
    module, _, attribute = ENGINES[name].partition(":")
    return cast(Engine, getattr(import_module(module), attribute)())

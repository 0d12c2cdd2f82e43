"""Importing Gradio in half the time.

At import Gradio writes a type stub beside the source of each of its components: it parses and
renders them anew every time, which is half of the import, and changes an installation that may
belong to somebody else. A server needs no stubs.
"""

from __future__ import annotations

import gc
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from importlib.util import find_spec
from types import ModuleType

_WRITER = "gradio.component_meta"


class _WithoutStubs(Loader):
    def __init__(self, loader: Loader) -> None:
        self._loader = loader

    def exec_module(self, module: ModuleType) -> None:
        self._loader.exec_module(module)
        module.create_or_modify_pyi = lambda *_: None  # type: ignore[attr-defined]


class _Finder(MetaPathFinder):
    """Finds the one module that writes stubs, once, and steps aside."""

    def find_spec(
        self,
        fullname: str,
        path: Sequence[str] | None,  # noqa: ARG002
        target: ModuleType | None = None,  # noqa: ARG002
    ) -> ModuleSpec | None:
        if fullname != _WRITER:
            return None
        sys.meta_path.remove(self)
        spec = find_spec(fullname)
        if spec is not None and spec.loader is not None:
            spec.loader = _WithoutStubs(spec.loader)
        return spec


@contextmanager
def quick_imports() -> Iterator[None]:
    """Import Gradio and what is built on it inside this block.

    The garbage collector rests meanwhile: an import makes hundreds of thousands of objects
    that live as long as the process, and searching them again and again is a sixth of its time.
    """
    finder = _Finder()
    if _WRITER not in sys.modules:
        sys.meta_path.insert(0, finder)
    resting = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if finder in sys.meta_path:
            sys.meta_path.remove(finder)
        if resting:
            gc.enable()

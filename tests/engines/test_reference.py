"""The yardstick is not held back by how it is called."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

import pytest
from torch.nn.modules.module import register_module_forward_pre_hook

from slm_explorer.types import Sampling
from tests.engines.answers import ask, request, score
from tests.engines.conftest import load


@pytest.mark.parametrize("recipe", ["native", "int8"])
def test_one_thread_computes_whatever_is_asked(tiny_llama: Path, recipe: str) -> None:
    seen: set[int] = set()

    def note(_module: Any, _inputs: Any) -> None:
        seen.add(threading.get_ident())

    hook = register_module_forward_pre_hook(note)
    try:
        engine = load(tiny_llama, "transformers", recipe)
        for text in ("The fox saw", "The dog ran"):
            ask(engine, request(Sampling(max_tokens=4, ignore_eos=True), raw=text))
            score(engine, "The fox saw the dog.")
    finally:
        hook.remove()
    # A second one would have OpenMP threads of its own, and all of them would sleep too early.
    assert len(seen) == 1
    assert seen != {threading.get_ident()}
    engine.close()

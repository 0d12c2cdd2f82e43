"""What a real load leaves behind: its measured peak beside what was expected, in the home."""

from __future__ import annotations

import sys
import threading
from dataclasses import replace
from pathlib import Path

import pytest

from slm_explorer.chat import Ask
from slm_explorer.loads import engine_version
from slm_explorer.services import build_services
from slm_explorer.settings import Settings
from slm_explorer.types import Done, Sampling


@pytest.mark.skipif(sys.platform != "linux", reason="private memory is read from /proc")
def test_every_load_is_kept_and_three_correct_the_base(tmp_path: Path) -> None:
    services = build_services(replace(Settings.from_env({}), home=tmp_path))
    try:
        assert services.correction.count == 0
        for recipe in ("native", "f32", "bf16"):
            ask = Ask("sprout-300k", raw="The", recipe=recipe, sampling=Sampling(max_tokens=2))
            events = list(services.chat.stream(ask, threading.Event()))
            assert isinstance(events[-1], Done), events[-1]
        loads = services.store.peaks("sprout-300k")
        assert [load.recipe for load in loads] == ["native", "f32", "bf16"]
        for load in loads:
            assert load.engine_version == engine_version()
            assert load.parts["weights"] == load.weights_bytes
            assert load.measured_bytes is not None
            assert load.weights_bytes < load.measured_bytes
        differences = sorted((load.measured_bytes or 0) - load.loaded_bytes for load in loads)
        assert services.correction.count == 3
        assert services.correction.bytes == differences[1]
        here = services.fits("here", "native", 512)["sprout-300k"]
        phone = services.fits("phone-8gb", "native", 512)["sprout-300k"]
        assert here.needed is not None
        assert phone.needed is not None
        assert here.needed - phone.needed == differences[1]
    finally:
        services.close()

"""The torch engine in a worker: a tiny random Llama, because these tests are not about words."""

from __future__ import annotations

import json
import sys
import threading

from slm_explorer.runtime.manager import ModelManager
from slm_explorer.types import (
    Delta,
    Done,
    Event,
    GenerateRequest,
    GenerationStats,
    ModelSpec,
    Sampling,
)
from tests.runtime.conftest import MakeManager
from tests.runtime.visits import Counting, alive

TINY = ModelSpec(
    model="tiny",
    path=None,
    shape_config=json.dumps(
        {
            "architectures": ["LlamaForCausalLM"],
            "model_type": "llama",
            "hidden_size": 32,
            "intermediate_size": 64,
            "num_hidden_layers": 2,
            "num_attention_heads": 4,
            "num_key_value_heads": 2,
            "vocab_size": 128,
            "max_position_embeddings": 16384,
            "torch_dtype": "float32",
        }
    ),
)


def request(tokens: int, prompt: int = 4) -> GenerateRequest:
    return GenerateRequest(
        id="1",
        visitor="ann",
        sampling=Sampling(max_tokens=tokens, ignore_eos=True),
        prompt_ids=tuple(n % 128 for n in range(prompt)),
    )


def stats_of(events: list[Event]) -> GenerationStats:
    last = events[-1]
    assert isinstance(last, Done), last
    assert isinstance(last.stats, GenerationStats)
    return last.stats


def ask(manager: ModelManager, tokens: int, prompt: int = 4) -> list[Event]:
    return list(manager.stream(TINY, request(tokens, prompt), threading.Event()))


def test_a_model_runs_in_its_own_process_and_torch_stays_out_of_this_one(
    make_manager: MakeManager, counting: Counting
) -> None:
    before = "torch" in sys.modules
    noted: list[int | None] = []
    manager = make_manager(on_load=lambda *facts: noted.append(facts[3]))
    events = ask(manager, 8)
    stats = stats_of(events)
    assert (stats.prompt_tokens, stats.output_tokens, stats.finish_reason) == (4, 8, "length")
    assert sum(event.tokens for event in events if isinstance(event, Delta)) == 8
    assert stats.memory_bytes is not None
    assert stats.peak_memory_bytes is not None
    assert 0 < stats.memory_bytes <= stats.peak_memory_bytes
    assert noted[0] is not None
    assert ("torch" in sys.modules) == before
    (state,) = manager.states()
    assert state.info is not None
    assert state.info.vocab_size == 128
    manager.unload(state.key)
    assert not alive(counting.pids[0])


def test_a_running_generation_and_a_long_prefill_stop_when_asked(
    make_manager: MakeManager,
) -> None:
    manager = make_manager()
    cancel = threading.Event()
    events: list[Event] = []
    for event in manager.stream(TINY, request(8192), cancel):
        events.append(event)
        if isinstance(event, Delta):
            cancel.set()
    stats = stats_of(events)
    assert stats.finish_reason == "cancelled"
    assert stats.output_tokens < 8192
    assert [state.phase for state in manager.states()] == ["idle"]
    assert stats_of(ask(manager, 3)).output_tokens == 3

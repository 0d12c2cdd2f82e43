"""Encoders' tasks through workers: measured like answers, stopped like answers, ended like them."""

from __future__ import annotations

import threading
from pathlib import Path

from slm_explorer.runtime.manager import ModelManager
from slm_explorer.tasks import (
    Candidate,
    Classify,
    Compare,
    FillMask,
    Labels,
    MaskFills,
    SimilarityMatrix,
    TaskInput,
    TaskRequest,
    TaskStats,
)
from slm_explorer.types import Delta, Done, Event, Failed, GenerationStats, ModelSpec, Sampling
from tests.engines.answers import request
from tests.engines.kinds import CATALOG, save_kind
from tests.runtime.conftest import MakeManager
from tests.runtime.test_manager import settled
from tests.runtime.visits import Counting, alive, echo


def perform(
    manager: ModelManager,
    spec: ModelSpec,
    given: TaskInput,
    cancel: threading.Event | None = None,
) -> list[Event]:
    asked = TaskRequest("1", "ann", given)
    return list(manager.stream(spec, asked, cancel or threading.Event()))


def stats_of(events: list[Event]) -> TaskStats:
    last = events[-1]
    assert isinstance(last, Done), last
    assert isinstance(last.stats, TaskStats)
    return last.stats


def failure_of(events: list[Event]) -> Failed:
    last = events[-1]
    assert isinstance(last, Failed), last
    return last


def test_a_task_says_how_long_it_waited_and_what_it_took(make_manager: MakeManager) -> None:
    manager = make_manager()
    spec = echo(load_s=0.05)
    first = stats_of(perform(manager, spec, Classify("a good fox")))
    assert first.result == Labels((Candidate("a good fox", 1.0),))
    assert first.tokens == 3
    assert first.load_s is not None
    assert first.load_s >= 0.05
    assert first.queue_s is not None
    assert first.memory_bytes is not None
    assert first.peak_memory_bytes is not None
    assert stats_of(perform(manager, spec, Compare(("a", "b")))).load_s == 0.0


def test_a_task_that_ends_its_worker_is_told_so_and_the_next_is_answered(
    make_manager: MakeManager, counting: Counting
) -> None:
    manager = make_manager()
    failure = failure_of(perform(manager, echo(), Classify("good /crash")))
    assert failure.kind == "WorkerCrashed"
    assert stats_of(perform(manager, echo(), Classify("good"))).tokens == 1
    assert len(counting.places) == 2


def test_a_task_is_stopped_and_frees_its_worker(make_manager: MakeManager) -> None:
    manager = make_manager()
    cancel = threading.Event()
    ended: list[Event] = []

    def visit() -> None:
        ended.extend(perform(manager, echo(), Classify("good /slow 60 fox"), cancel))

    visitor = threading.Thread(target=visit)
    visitor.start()
    assert settled(manager, "busy")
    cancel.set()
    visitor.join(180)
    assert failure_of(ended).kind == "Cancelled"
    assert stats_of(perform(manager, echo(), Classify("good"))).tokens == 1


def test_an_encoder_and_an_encoder_decoder_work_in_processes_of_their_own(
    make_manager: MakeManager, counting: Counting, tmp_path: Path
) -> None:
    manager = make_manager()
    bert, t5 = (
        ModelSpec(card, str(save_kind(tmp_path / card, CATALOG.get(card))))
        for card in ("bert-uncased-l-2-h-128-a-2", "t5-small")
    )
    filled = stats_of(perform(manager, bert, FillMask("the [MASK] saw the moon", 2)))
    assert isinstance(filled.result, MaskFills)
    assert len(filled.result.masks[0]) == 2
    assert filled.seconds > 0
    alike = stats_of(perform(manager, bert, Compare(("the fox", "the fox"))))
    assert isinstance(alike.result, SimilarityMatrix)

    writing = request(Sampling(max_tokens=4, ignore_eos=True), raw="The fox")
    refused = failure_of(list(manager.stream(bert, writing, threading.Event())))
    assert refused.kind == "UnsupportedModel"
    assert "It is for fill-mask and sentence-similarity" in refused.error
    events = list(manager.stream(t5, writing, threading.Event()))
    last = events[-1]
    assert isinstance(last, Done)
    assert isinstance(last.stats, GenerationStats)
    assert sum(event.tokens for event in events if isinstance(event, Delta)) == 4
    assert failure_of(perform(manager, t5, FillMask("a [MASK]"))).kind == "UnsupportedModel"

    for state in manager.states():
        manager.unload(state.key)
    assert not any(alive(pid) for pid in counting.pids)
    assert len(counting.places) == 2

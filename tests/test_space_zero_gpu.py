"""ZeroGPU against a stand-in for `spaces` that keeps its documented rules: the function is a sync
generator, runs in a forked process, arguments and events are pickled, closing stops it. It has
not been run on ZeroGPU.
"""

from __future__ import annotations

import contextvars
import multiprocessing
import pickle
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from slm_explorer.assets import asset_folder
from slm_explorer.chat import Ask
from slm_explorer.runtime.gpu_call import LaneOrder, answer_lanes
from slm_explorer.services import Services, build_services
from slm_explorer.settings import Settings
from slm_explorer.types import (
    Delta,
    Done,
    Event,
    Failed,
    GenerateRequest,
    GenerationStats,
    Message,
    ModelSpec,
    Sampling,
)
from slm_explorer.ui import zero_gpu as zero
from slm_explorer.ui.zero_gpu import Turn, ZeroGpu, declared_seconds, quota_sentence

VISITOR: contextvars.ContextVar[str] = contextvars.ContextVar("VISITOR", default="nobody")


def _child(function: Callable[..., Iterator[Any]], orders: bytes, pipe: Any) -> None:
    calls = function(pickle.loads(orders))
    for item in calls:
        pipe.send(item)
        if pipe.recv() == "stop":  # asked at every yield
            calls.close()  # type: ignore[attr-defined]
            break
    pipe.close()


class Spaces:
    """The package, as its source is described: `GPU(duration=...)` around a generator function."""

    def __init__(self, refuse: str = "", *, process: bool = True) -> None:
        self.refuse = refuse
        self.process = process
        self.durations: list[int] = []
        self.visitors: list[str] = []
        self.calls = 0
        self.closed = threading.Event()

    def GPU(self, *, duration: Callable[..., int]) -> Callable[..., Any]:  # noqa: N802
        def decorate(function: Callable[..., Iterator[Any]]) -> Callable[..., Iterator[Any]]:
            def call(orders: tuple[LaneOrder, ...]) -> Iterator[Any]:
                self.calls += 1
                self.durations.append(duration(orders))
                self.visitors.append(VISITOR.get())
                if self.refuse:
                    raise RuntimeError(self.refuse)
                try:
                    yield from self._run(function, orders)
                finally:
                    self.closed.set()

            return call

        return decorate

    def _run(self, function: Callable[..., Iterator[Any]], orders: Any) -> Iterator[Any]:
        if not self.process:
            yield from function(orders)
            return
        ours, theirs = multiprocessing.Pipe()
        process = multiprocessing.get_context("spawn").Process(
            target=_child, args=(function, pickle.dumps(orders), theirs), daemon=True
        )
        process.start()
        theirs.close()
        try:
            while True:
                try:
                    item = ours.recv()
                except EOFError:
                    return
                try:
                    yield item
                except GeneratorExit:
                    ours.send("stop")
                    raise
                ours.send("go on")
        finally:
            process.join()


@pytest.fixture
def services(tmp_path: Path) -> Iterator[Services]:
    built = build_services(Settings(home=tmp_path))
    yield built
    built.close()


def order(slot: int, *, tokens: int = 8, size: int = 10**9, device: str = "cpu") -> LaneOrder:
    folder = asset_folder() / "sprouts" / "sprout-300k"
    spec = ModelSpec("sprout-300k", str(folder), engine="transformers", device=device)
    request = GenerateRequest(
        "1", "v", Sampling(max_tokens=tokens), messages=(Message("user", "What is 2 + 2?"),)
    )
    return LaneOrder(slot, spec, request, size)


def ask(model: str, recipe: str = "native") -> Ask:
    return Ask(model, (Message("user", "Hi"),), recipe=recipe)


def test_two_lanes_are_one_call_in_one_process() -> None:
    spaces = Spaces()
    turn = Turn(spaces.GPU(duration=declared_seconds)(answer_lanes), (order(0), order(2)))
    assert [slot for slot in range(3) if turn.takes(slot)] == [0, 2]
    texts = []
    for slot in (0, 2):
        events = list(turn.stream(slot, threading.Event()))
        assert isinstance(events[-1], Done)
        assert isinstance(events[-1].stats, GenerationStats)
        assert events[-1].stats.load_s
        assert sum(isinstance(event, Done | Failed) for event in events) == 1
        texts.append("".join(event.text for event in events if isinstance(event, Delta)))
    assert texts[0]
    assert texts[0] == texts[1]
    assert spaces.calls == 1


def test_the_quota_is_the_visitors_whose_request_it_is() -> None:
    spaces = Spaces("quota")
    VISITOR.set("ann")
    turn = Turn(spaces.GPU(duration=declared_seconds)(answer_lanes), (order(0),))
    list(turn.stream(0, threading.Event()))
    assert spaces.visitors == ["ann"]


def test_a_lane_that_fails_leaves_the_other_alone() -> None:
    broken = order(0)
    broken = replace(broken, spec=replace(broken.spec, path="/nowhere"))
    events = list(answer_lanes((broken, order(1))))
    assert isinstance([event for slot, event in events if slot == 0][-1], Failed)
    assert isinstance([event for slot, event in events if slot == 1][-1], Done)


def test_stop_in_every_lane_gives_the_gpu_back() -> None:
    def endless(_orders: object) -> Iterator[tuple[int, Event]]:
        while True:
            yield 0, Delta("a", 1)
            yield 1, Delta("b", 1)

    spaces = Spaces(process=False)
    turn = Turn(spaces.GPU(duration=declared_seconds)(endless), (order(0), order(1)))
    for slot in (0, 1):
        stop = threading.Event()
        events = []
        for event in turn.stream(slot, stop):
            events.append(event)
            if isinstance(event, Delta):
                stop.set()
        assert isinstance(events[-1], Failed)
        assert events[-1].kind == "Cancelled"
    assert spaces.closed.wait(30)


@pytest.mark.parametrize(
    ("said", "words"),
    [
        ("You have exceeded your free GPU quota (90s requested vs. 12s left).", "90 s and 12 s"),
        ("ZeroGPU quota exceeded", "Sign in"),
        ("GPU task aborted", "fewer tokens"),
        ("No GPU was available after 60s", "try again"),
    ],
)
def test_a_refused_call_is_said_in_words_in_every_lane(said: str, words: str) -> None:
    assert words in quota_sentence(said)
    spaces = Spaces(said)
    turn = Turn(spaces.GPU(duration=declared_seconds)(answer_lanes), (order(0), order(1)))
    for slot in (0, 1):
        last = list(turn.stream(slot, threading.Event()))[-1]
        assert isinstance(last, Failed)
        assert words in last.error
        assert "RuntimeError" not in last.error


def test_what_is_declared_is_short_and_grows_with_the_work() -> None:
    assert declared_seconds((order(0, tokens=1, size=0),)) == 10
    few, many = (declared_seconds((order(0, tokens=tokens),)) for tokens in (200, 400))
    assert 10 <= few < many <= 60
    assert declared_seconds((order(0, tokens=200, size=8 * 10**9),)) > few
    assert declared_seconds(tuple(order(slot, tokens=4000) for slot in range(4))) == 60


def test_only_what_gains_from_a_gpu_asks_for_one(
    services: Services, monkeypatch: pytest.MonkeyPatch
) -> None:
    gpu = ZeroGpu(Spaces(), services.chat)
    assert not gpu.turn({0: ask("sprout-300k"), 1: ask("no-such-model")}).takes(0)
    monkeypatch.setattr(zero, "WORTH_BYTES", 1)
    turn = gpu.turn({0: ask("sprout-300k"), 1: ask("sprout-300k", "int4"), 2: ask("nothing")})
    assert [slot for slot in range(3) if turn.takes(slot)] == [0]


def test_elsewhere_there_is_none_and_the_package_is_not_needed(
    services: Services, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("SPACES_ZERO_GPU", raising=False)
    assert zero.zero_gpu(services.chat) is None

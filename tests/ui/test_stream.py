"""The merged stream: order, flushing, faults and the end of a closed tab."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator

import pytest

from slm_explorer.errors import InvalidRequest
from slm_explorer.types import Delta, Event, Failed
from slm_explorer.ui.runs import Runs
from slm_explorer.ui.stream import Source, coalesce

SOON = 20.0


def says(*texts: str) -> Source:
    return lambda: iter([Delta(text, 1) for text in texts])


async def collect(sources: dict[int, Source], *, together: bool) -> list[tuple[int, Event]]:
    return [
        item
        async for batch in coalesce(sources, together=together, interval_s=0.01)
        for item in batch
    ]


def test_lanes_in_turn_do_not_mix() -> None:
    got = asyncio.run(collect({2: says("a", "b"), 0: says("c"), 1: says("d")}, together=False))
    assert got == [(2, Delta("a", 1)), (2, Delta("b", 1)), (0, Delta("c", 1)), (1, Delta("d", 1))]


def test_lanes_together_run_at_once() -> None:
    meeting = threading.Barrier(2, timeout=SOON)

    def meets() -> Iterator[Event]:
        meeting.wait()
        yield Delta("met", 1)

    got = asyncio.run(collect({0: meets, 1: meets}, together=True))
    assert sorted(key for key, _ in got) == [0, 1]


def test_nothing_is_lost_among_many_lanes() -> None:
    count = 2000

    def numbers() -> Iterator[Event]:
        for number in range(count):
            yield Delta(str(number), 1)

    got = asyncio.run(collect(dict.fromkeys(range(4), numbers), together=True))
    for key in range(4):
        assert [e.text for k, e in got if k == key and isinstance(e, Delta)] == [
            str(number) for number in range(count)
        ]


def test_what_comes_meanwhile_arrives_in_one_batch() -> None:
    async def main() -> None:
        go = threading.Event()
        said = threading.Event()

        def source() -> Iterator[Event]:
            yield Delta("first", 1)
            go.wait(SOON)
            for _ in range(50):
                yield Delta("x", 1)
            said.set()
            yield Delta("last", 1)

        batches = coalesce({0: source}, together=False, interval_s=0.05)
        assert await anext(batches) == [(0, Delta("first", 1))]
        go.set()
        await asyncio.to_thread(said.wait, SOON)
        second = await anext(batches)
        assert len(second) >= 50
        await batches.aclose()

    asyncio.run(main())


def test_the_end_does_not_wait_for_the_next_flush() -> None:
    async def main() -> list[list[tuple[int, Event]]]:
        go = threading.Event()

        def source() -> Iterator[Event]:
            yield Delta("first", 1)
            go.wait(SOON)
            yield Delta("last", 1)

        batches = coalesce({0: source}, together=False, interval_s=3600)
        got = [await anext(batches)]
        go.set()
        return [*got, *[batch async for batch in batches]]

    got = asyncio.run(asyncio.wait_for(main(), SOON))
    assert got == [[(0, Delta("first", 1))], [(0, Delta("last", 1))]]


def test_a_fault_stays_in_its_lane() -> None:
    def faulty() -> Iterator[Event]:
        yield Delta("so far", 1)
        raise RuntimeError("secret detail")

    got = asyncio.run(collect({0: faulty, 1: says("fine")}, together=False))
    failed = got[1][1]
    assert isinstance(failed, Failed)
    assert "secret detail" not in failed.error
    assert "secret detail" in failed.trace
    assert got[-1] == (1, Delta("fine", 1))


def test_closing_the_stream_lets_a_cancelled_source_end_and_starts_no_other() -> None:
    async def main() -> None:
        runs = Runs()
        run = runs.start("me", [0, 1])
        ended, started = threading.Event(), threading.Event()

        def endless() -> Iterator[Event]:
            try:
                while not run.cancels[0].wait(0.001):
                    yield Delta("x", 1)
            finally:
                ended.set()

        def next_lane() -> Iterator[Event]:
            started.set()
            yield Delta("y", 1)

        stream = coalesce({0: endless, 1: next_lane}, together=False, interval_s=0.01)
        await anext(stream)
        await stream.aclose()
        runs.finish("me", run)
        assert await asyncio.to_thread(ended.wait, SOON)
        assert not started.is_set()
        assert not runs.busy("me")

    asyncio.run(main())


def test_a_browser_cannot_stop_another() -> None:
    runs = Runs()
    mine, yours = runs.start("mine", [0, 1]), runs.start("yours", [0, 1])
    runs.stop("yours")
    runs.stop("nobody")
    assert not any(cancel.is_set() for cancel in mine.cancels.values())
    assert all(cancel.is_set() for cancel in yours.cancels.values())


def test_stopping_one_lane_leaves_the_others() -> None:
    run = (runs := Runs()).start("me", [0, 2])
    runs.stop("me", 2)
    assert not run.cancels[0].is_set()
    assert run.cancels[2].is_set()
    assert not run.ended
    runs.stop("me", 7)
    assert not run.cancels[0].is_set()


def test_one_browser_has_one_run() -> None:
    runs = Runs()
    run = runs.start("me", [0])
    with pytest.raises(InvalidRequest, match="still answering"):
        runs.start("me", [0])
    runs.finish("me", run)
    runs.start("me", [0])

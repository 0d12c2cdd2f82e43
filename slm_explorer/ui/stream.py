"""Blocking event iterators, run in threads and merged into one coalesced asynchronous stream."""

from __future__ import annotations

import asyncio
import threading
import traceback
from collections.abc import AsyncGenerator, Callable, Iterator, Mapping
from contextlib import suppress

from slm_explorer.types import Event, Failed

FLUSH_S = 0.1
"""A flush costs the server far more than a token, and ten a second already look continuous."""
SETTLED_S = 0.25
"""What takes longer than a glance is read and not watched: then a flush costs more, on the cores
that the models compute with, than it shows."""
GLANCE_FLUSHES = 15

Source = Callable[[], Iterator[Event]]


async def coalesce(
    sources: Mapping[int, Source], *, together: bool, interval_s: float = FLUSH_S
) -> AsyncGenerator[list[tuple[int, Event]], None]:
    """Yield what the sources send, as lists of (key, event), at most once per interval, and
    after GLANCE_FLUSHES of them at most once per SETTLED_S; the end of all waits for nothing.

    Each source runs in a thread of its own: all at once when `together`, else one after the
    other in the mapping's order. The first event of a quiet time is passed on at once. An
    exception in a source becomes its Failed event. Closing this generator does not end the
    threads: whoever closes it also sets what its sources poll.
    """
    loop = asyncio.get_running_loop()
    wake, over = asyncio.Event(), asyncio.Event()
    lock = threading.Lock()
    pending: list[tuple[int, Event] | None] = []
    closed = threading.Event()
    orders = [[key] for key in sources] if together else [list(sources)]
    left = len(orders)

    def send(item: tuple[int, Event] | None) -> None:
        nonlocal left
        with lock:
            pending.append(item)
            first = len(pending) == 1  # later ones are taken along by the flush this one wakes
            left -= item is None
            last = not left
        if (first or last) and not closed.is_set():
            try:
                loop.call_soon_threadsafe(wake.set)
                if last:
                    loop.call_soon_threadsafe(over.set)
            except RuntimeError:  # the server's loop has ended, and nobody listens any more
                closed.set()

    def drain(keys: list[int]) -> None:
        for key in keys:
            if closed.is_set():
                break
            try:
                for event in sources[key]():
                    send((key, event))
            except Exception as error:  # the page's boundary: a fault stays in its lane
                sentence = "This lane failed for a reason that the app does not know."
                send((key, Failed(sentence, type(error).__name__, traceback.format_exc())))
        send(None)

    for order in orders:
        threading.Thread(target=drain, args=(order,), daemon=True, name="lane").start()
    running, flushes = len(orders), 0
    try:
        while running:
            await wake.wait()
            wake.clear()
            with lock:
                taken, pending[:] = list(pending), []
            batch = [item for item in taken if item is not None]
            running -= len(taken) - len(batch)
            if batch:
                yield batch
                flushes += 1
                if running:
                    glance = flushes < GLANCE_FLUSHES
                    pause = interval_s if glance else max(interval_s, SETTLED_S)
                    with suppress(TimeoutError):
                        await asyncio.wait_for(over.wait(), pause)
    finally:
        closed.set()

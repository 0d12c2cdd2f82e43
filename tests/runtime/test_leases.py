"""A lease: a model held before anything is asked of it."""

from __future__ import annotations

import threading

import pytest

from slm_explorer.errors import BadCheckpoint, Cancelled, DoesNotFit
from slm_explorer.types import Delta, Done
from tests.runtime.conftest import MakeManager
from tests.runtime.test_manager import phases, settled
from tests.runtime.visits import Counting, alive, ask, echo


def test_a_lease_loads_at_once_tells_how_far_and_says_what_it_is(
    make_manager: MakeManager, counting: Counting
) -> None:
    manager = make_manager()
    cancel = threading.Event()
    spec = echo(load_s=0.1, context_length=77)
    with manager.lease(spec, visitor="ann", cancel=cancel) as lease:
        fractions = [event.fraction for event in lease.loading()]
        assert fractions == sorted(fractions)
        assert lease.info.context_length == 77
        events = list(lease.stream(ask("one two")))
        assert isinstance(events[-1], Done)
        assert [event.text for event in events[:-1] if isinstance(event, Delta)] == ["one ", "two"]
    assert phases(manager) == ["idle"]
    with manager.lease(spec, visitor="bob", cancel=cancel) as lease:
        assert lease.info.context_length == 77
    assert len(counting.places) == 1


def test_a_lease_raises_what_the_load_failed_with_each_time(make_manager: MakeManager) -> None:
    spec = echo(fail="Cut off.")
    cancel = threading.Event()
    with make_manager().lease(spec, visitor="ann", cancel=cancel) as lease:
        for _ in range(2):
            with pytest.raises(BadCheckpoint, match="Cut off"):
                _ = lease.info


def test_a_lease_can_be_stopped_while_it_loads(
    make_manager: MakeManager, counting: Counting
) -> None:
    manager = make_manager()
    cancel = threading.Event()
    with manager.lease(echo(hang=True), visitor="ann", cancel=cancel) as lease:
        seen = lease.loading()
        next(seen)
        cancel.set()
        with pytest.raises(Cancelled):
            list(seen)
    assert settled(manager)
    assert not any(alive(pid) for pid in counting.pids)


def test_a_lease_that_cannot_fit_is_refused_at_once(make_manager: MakeManager) -> None:
    manager = make_manager(settings={"memory_budget": 10**6})
    with (
        pytest.raises(DoesNotFit),
        manager.lease(echo(), visitor="ann", cancel=threading.Event()),
    ):
        pytest.fail("the lease was granted")

"""Memory of the budget kept for a process that is no worker."""

from __future__ import annotations

import pytest

from slm_explorer.errors import DoesNotFit, SlmError
from slm_explorer.runtime.manager import MemoryView
from tests.runtime.conftest import MakeManager
from tests.runtime.test_memory import loaded, sized
from tests.runtime.visits import Visit, echo

GB = 10**9


def nobody(_error: SlmError) -> None:
    raise AssertionError("nothing is over")


def test_idle_models_go_for_it_and_it_counts_until_it_is_given_back(
    make_manager: MakeManager,
) -> None:
    manager = make_manager(
        footprint=sized({"a": 2 * GB, "b": 2 * GB}), settings={"memory_budget": 3 * GB}
    )
    Visit(manager, echo("a"), "hello").stats()
    with manager.reserve("Compressing", 2 * GB, nobody):
        assert loaded(manager) == []
        failure = Visit(manager, echo("b"), "hello").failure()
        assert failure.kind == DoesNotFit.__name__
    Visit(manager, echo("b"), "hello").stats()


def test_what_cannot_fit_is_refused_and_keeps_nothing(make_manager: MakeManager) -> None:
    manager = make_manager(settings={"memory_budget": 3 * GB})
    with (
        pytest.raises(DoesNotFit, match="Compressing"),
        manager.reserve("Compressing", 4 * GB, nobody),
    ):
        pass
    with manager.reserve("Compressing", 3 * GB, nobody):
        pass


def test_a_process_that_outgrows_the_budget_is_named_to_its_owner(
    make_manager: MakeManager,
) -> None:
    told: list[SlmError] = []
    pid = 2**30  # more than any system gives
    sizes = {pid: GB}
    manager = make_manager(
        settings={"memory_budget": 3 * GB},
        process_memory=sizes.get,
        memory=lambda: MemoryView(64 * GB, 0, 60 * GB, "test"),
    )
    with manager.reserve("Compressing a", 2 * GB, told.append) as reservation:
        reservation.started(pid)
        manager.check()
        assert not told
        assert reservation.measured == GB
        sizes[pid] = 4 * GB
        manager.check()
        assert "Compressing a was stopped" in str(told[0])

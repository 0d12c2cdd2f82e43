from __future__ import annotations

import pytest

from slm_explorer.errors import DoesNotFit
from slm_explorer.runtime.budget import (
    REFUSE_AT,
    Claim,
    MemoryView,
    alarm,
    budget,
    make_room,
    reserve,
)
from slm_explorer.runtime.watchdog import next_round, offender

GB = 10**9


def view(available: float = 60, limit: float = 64) -> MemoryView:
    return MemoryView(int(limit * GB), 0, int(available * GB), "test")


def claim(
    key: str,
    predicted: float,
    measured: float | None = None,
    idle: float | None = None,
    loading: bool = False,
) -> Claim:
    taken = None if measured is None else int(measured * GB)
    return Claim(key, int(predicted * GB), taken, loading, idle)


def room(needed: float, *claims: Claim, total: float = 4.0, **changes: object) -> list[str]:
    arguments: dict[str, object] = {"memory": view(), "max_workers": 16, **changes}
    return make_room("Big", int(needed * GB), claims, total=int(total * GB), **arguments)  # type: ignore[arg-type]


def test_the_budget_is_what_the_host_chose_else_the_limit_less_a_reserve() -> None:
    assert budget(view(limit=64), 3 * GB) == 3 * GB
    assert budget(view(limit=64), None) == int(57.6 * GB)
    assert budget(view(limit=2), None) == 2 * GB - 512 * 10**6
    assert budget(view(limit=0.3), None) == 0
    assert reserve(64 * GB) == int(6.4 * GB)


def test_nobody_goes_while_there_is_room() -> None:
    assert room(1, claim("a", 1, idle=100), claim("b", 1, idle=5)) == []


def test_the_least_recently_used_go_first_and_no_more_than_needed() -> None:
    workers = (claim("a", 1, idle=5), claim("b", 1, idle=100), claim("c", 1, idle=50))
    assert room(2, *workers) == ["b"]
    assert room(3, *workers) == ["b", "c"]
    assert room(4, *workers) == ["b", "c", "a"]


def test_a_worker_counts_with_what_it_really_takes_where_that_is_more() -> None:
    assert room(2, claim("a", 1, measured=3, idle=1)) == ["a"]
    assert room(2, claim("a", 3, measured=1, idle=1)) == ["a"]
    assert room(2, claim("a", 1, measured=1.9, idle=1)) == []


def test_busy_workers_stay_and_the_refusal_says_what_is_free() -> None:
    with pytest.raises(DoesNotFit) as refused:
        room(2.3, claim("a", 3.1), claim("b", 0.5, idle=9))
    assert str(refused.value) == (
        "Big needs about 2.3 GB, 900 MB of the 4.0 GB budget is free, and the other loaded "
        "models are busy: stop one, or choose a smaller model."
    )
    assert (refused.value.needed, refused.value.free) == (int(2.3 * GB), int(0.9 * GB))


def test_larger_than_the_whole_budget_is_said_so() -> None:
    with pytest.raises(DoesNotFit, match=r"5\.0 GB, more than the whole budget of 4\.0 GB"):
        room(5, claim("a", 1, idle=9))


def test_the_budget_is_no_promise_of_the_machine() -> None:
    short = view(available=8.0)  # 6.4 GB of it are the reserve of a 64 GB machine
    assert room(1.5, memory=short) == []
    with pytest.raises(DoesNotFit, match=r"only 1\.6 GB of this machine's memory is free"):
        room(2, memory=short)
    assert room(2, claim("a", 1, measured=0.5, idle=1), memory=short) == ["a"]


def test_what_a_loading_worker_has_not_taken_yet_is_not_free() -> None:
    short = view(available=8.4)
    assert room(1.5, memory=short) == []
    with pytest.raises(DoesNotFit, match=r"only 1\.0 GB of this machine's"):
        room(1.5, claim("a", 2, measured=1, loading=True), memory=short)


def test_the_number_of_workers_is_bounded_whatever_their_size() -> None:
    idle = (claim("a", 0.1, idle=5), claim("b", 0.1, idle=50))
    assert room(0.1, *idle, max_workers=2) == ["b"]
    with pytest.raises(DoesNotFit, match="all 2 loaded models are busy"):
        room(0.1, claim("a", 0.1), claim("b", 0.1), max_workers=2)


def test_within_the_budget_nobody_offends() -> None:
    assert offender([], 4 * GB, view()) is None
    assert offender([claim("a", 1, 3.9)], 4 * GB, view()) is None
    assert offender([claim("a", 1), claim("b", 1)], 4 * GB, view()) is None


def test_over_budget_the_newest_that_broke_its_word_offends() -> None:
    workers = [claim("a", 1, 2, idle=9), claim("b", 1, 1.5), claim("c", 1, 1)]
    assert offender(workers, 4 * GB, view()) == "b"


def test_where_all_kept_their_word_the_longest_idle_goes_then_the_newest() -> None:
    busy = [claim("a", 2, 2), claim("b", 2, 2), claim("c", 2, 2)]
    assert offender(busy, 4 * GB, view()) == "c"
    idle = [claim("a", 2, 2, idle=1), claim("b", 2, 2, idle=7), claim("c", 2, 2)]
    assert offender(idle, 4 * GB, view()) == "b"


def test_the_machine_running_short_counts_as_well_as_the_budget() -> None:
    workers = [claim("a", 2, 1), claim("b", 2, 1)]
    assert offender(workers, 4 * GB, view(available=2.0)) is None
    assert offender(workers, 4 * GB, view(available=1.9)) == "b"


@pytest.mark.parametrize(
    ("available", "level"),
    [(64, "ok"), (9.7, "ok"), (9.5, "warn"), (5.2, "warn"), (5.0, "refuse"), (1.9, "end")],
)
def test_alarms_come_in_steps_of_the_true_limit(available: float, level: str) -> None:
    found = alarm(view(available=available))
    assert found.level == level
    assert bool(found.sentence) == (level != "ok")


def test_an_alarm_never_says_more_than_is_so() -> None:
    assert "Memory is 91 % full, of 64.0 GB" in alarm(view(available=5.13)).sentence
    assert alarm(view(available=0)).fraction == 1.0
    assert alarm(view(available=70)).fraction == 0.0
    assert alarm(view(available=0, limit=0)).level == "end"


@pytest.mark.parametrize("limit", [0.6, 3, 16, 64, 1000])
def test_nothing_is_loaded_at_or_above_the_refusing_share(limit: float) -> None:
    left = limit * (1 - REFUSE_AT)
    with pytest.raises(DoesNotFit, match="of this machine's memory is free to use"):
        room(1e-6, memory=view(available=left, limit=limit))


def test_the_watchdog_looks_more_often_when_memory_may_run_out() -> None:
    calm = next_round(view(available=60), busy=False)
    busy = next_round(view(available=60), busy=True)
    alert = next_round(view(available=5), busy=False)
    assert calm > busy > alert

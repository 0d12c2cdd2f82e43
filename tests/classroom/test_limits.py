"""Limits by time, and the estimate of a wait."""

from __future__ import annotations

from slm_explorer.classroom.limits import Allowance, Pace, WrongTries


def test_an_allowance_comes_back_with_time() -> None:
    allowance = Allowance(2, 60.0)
    assert [allowance.take(at) for at in (0.0, 10.0)] == [0.0, 0.0]
    assert allowance.take(20.0) == 40.0
    assert allowance.wait_s(59.0) == 1.0
    assert allowance.take(60.0) == 0.0
    assert allowance.take(61.0) == 9.0


def test_wrong_tries_are_counted_by_address() -> None:
    wrong = WrongTries()
    for _ in range(60):
        wrong.note("eve", 5.0)
    assert wrong.wait_s("eve", 10.0) == 55.0
    assert wrong.wait_s("ada", 10.0) == 0.0
    assert wrong.wait_s("eve", 65.0) == 0.0


def test_a_wait_is_estimated_from_measured_ones_only() -> None:
    pace = Pace()
    assert pace.wait_s("m", 3) is None
    pace.note("m", 1, 4.0)
    pace.note("m", 3, 12.0)
    pace.note("m", 0, 2.0)
    assert pace.wait_s("m", 0) == 2.0
    assert pace.wait_s("m", 9) == 20.0
    assert pace.wait_s("another", 0) is None

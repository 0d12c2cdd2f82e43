from __future__ import annotations

from slm_explorer.catalog.footprint import LOADED_BASE_BYTES, NO_CORRECTION, Correction

MB = 10**6


def test_too_few_loads_correct_nothing() -> None:
    assert Correction.from_residuals([]) == NO_CORRECTION
    assert Correction.from_residuals([9 * MB, 9 * MB]) == Correction(0, 2)


def test_one_outlier_does_not_move_it() -> None:
    steady = [4 * MB, 5 * MB, 5 * MB, 6 * MB]
    for outlier in (-(10**10), 10**10):
        assert Correction.from_residuals([*steady, outlier]) == Correction(5 * MB, 5)


def test_it_stays_within_what_a_base_can_be() -> None:
    assert Correction.from_residuals([-(10**9)] * 3).bytes == -LOADED_BASE_BYTES
    assert Correction.from_residuals([10**9] * 3).bytes == 2 * LOADED_BASE_BYTES

"""What may be claimed from figures: nothing where spreads overlap, nothing rounded up."""

from __future__ import annotations

import pytest

from slm_explorer.lab.verdicts import Claim, Verdict, verdicts


def side(size: int, decode: tuple[float, float, float], bits: float = 1.0) -> dict[str, object]:
    low, middle, high = decode
    return {
        "bytes_on_disk": size,
        "decode_tps": middle,
        "decode_tps_min": low,
        "decode_tps_max": high,
        "bits_per_byte": bits,
    }


def found(
    before: dict[str, object], after: dict[str, object], change: object = (-0.01, 0.01)
) -> dict[str, Verdict]:
    return {each.about: each for each in verdicts(before, after, {"change_interval": change})}


@pytest.mark.parametrize(
    ("decode", "claim", "words"),
    [
        ((18.0, 19.9, 20.0), "better", "Decoding is faster here: 1.9x, 1.6 to 2.3."),
        ((10.0, 19.0, 20.0), "same", "neither faster nor slower here"),
        ((4.0, 5.0, 8.5), "worse", "Decoding is slower here: 0.50x, 0.36 to 0.95."),
    ],
)
def test_speed_is_claimed_only_where_the_slowest_beats_the_fastest(
    decode: tuple[float, float, float], claim: Claim, words: str
) -> None:
    told = found(side(100, (9.0, 10.0, 11.0)), side(50, decode))
    assert told["decode"].claim == claim
    assert words in told["decode"].text


def test_the_headline_says_smaller_and_not_faster() -> None:
    told = found(side(100, (9, 10, 11)), side(50, (9, 10.5, 11)))
    assert told["headline"].text == ("Smaller, not faster here; no loss that this text can tell.")
    told = found(side(100, (9, 10, 11)), side(50, (19, 19.99, 20), 1.05), (0.04, 0.06))
    assert told["headline"].text == (
        "Smaller, and faster here: 1.9x, 1.7 to 2.3; +5.00% bits per byte."
    )
    told = found(side(100, (9, 10, 11)), side(200, (4, 5, 6)))
    assert told["headline"].text.startswith("Larger, slower here: 0.50x")


def test_what_was_not_measured_is_not_judged() -> None:
    told = found({}, {}, None)
    assert {each.claim for each in told.values()} == {"unknown"}
    assert told["headline"].text == (
        "Of unknown size, its speed not measured here; what it lost is not known."
    )


def test_a_loss_is_claimed_only_where_the_interval_leaves_zero_out() -> None:
    before, after = side(100, (1, 1, 1)), side(50, (1, 1, 1), 1.01)
    assert found(before, after, (0.002, 0.02))["quality"].claim == "worse"
    assert found(before, after, (-0.002, 0.02))["quality"].claim == "same"
    assert found(before, after, (-0.02, -0.002))["quality"].claim == "better"
    assert found(before, after, None)["quality"].claim == "unknown"

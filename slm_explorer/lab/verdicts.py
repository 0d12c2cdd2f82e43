"""What the figures of parent and child allow to say, in sentences.

A difference is claimed only where the two spreads (slowest to fastest repeat) do not overlap.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Literal

from slm_explorer.units import format_bytes

Claim = Literal["better", "worse", "same", "unknown"]
Side = Mapping[str, object]


@dataclass(frozen=True)
class Verdict:
    """One sentence on one figure. `ratio` is child over parent, `low` and `high` its spread,
    None where it was not measured.
    """

    about: str
    claim: Claim
    text: str
    ratio: float | None = None
    low: float | None = None
    high: float | None = None


def verdicts(before: Side, after: Side, row: Mapping[str, object]) -> list[Verdict]:
    """On size, decoding, prefill, memory and quality, the headline first."""
    size = _size(before, after)
    decode = _rate("decode", "Decoding", before, after)
    quality = _quality(before, after, row)
    found = [_headline(size, decode, quality), size, decode]
    return [*found, _rate("prefill", "Prefill", before, after), _memory(before, after), quality]


def _headline(size: Verdict, decode: Verdict, quality: Verdict) -> Verdict:
    smaller = {"better": "Smaller", "worse": "Larger", "same": "Of the same size"}
    first = smaller.get(size.claim, "Of unknown size")
    speed = {
        "better": f"and faster here: {_shown(decode)}",
        "worse": f"slower here: {_shown(decode)}",
        "same": "not faster here",
        "unknown": "its speed not measured here",
    }[decode.claim]
    change = f"{(quality.ratio or 1) - 1:+.2%} bits per byte"
    lost = {
        "better": change,
        "worse": change,
        "same": "no loss that this text can tell",
        "unknown": "what it lost is not known",
    }[quality.claim]
    text = f"{first}, {speed}; {lost}."
    return Verdict("headline", decode.claim, text, decode.ratio, decode.low, decode.high)


def _size(before: Side, after: Side) -> Verdict:
    first, second = number(before, "bytes_on_disk"), number(after, "bytes_on_disk")
    if not first or not second:
        return Verdict("size", "unknown", "The size on disk is not known.")
    ratio = second / first
    claim: Claim = "better" if ratio < 1 else "worse" if ratio > 1 else "same"
    text = f"{format_bytes(second)} on disk instead of {format_bytes(first)} ({ratio:.2f}x)."
    return Verdict("size", claim, text, ratio)


def _rate(key: str, name: str, before: Side, after: Side) -> Verdict:
    middle = [number(side, f"{key}_tps") for side in (before, after)]
    least = [number(side, f"{key}_tps_min") for side in (before, after)]
    most = [number(side, f"{key}_tps_max") for side in (before, after)]
    values = [value for value in (*middle, *least, *most) if value]
    if len(values) < 6:
        return Verdict(key, "unknown", f"{name} was not measured here.")
    ratio = (middle[1] or 0) / (middle[0] or 1)
    low, high = (least[1] or 0) / (most[0] or 1), (most[1] or 0) / (least[0] or 1)
    claim: Claim = "better" if low > 1 else "worse" if high < 1 else "same"
    shown = _shown(Verdict(key, claim, "", ratio, low, high))
    text = {
        "better": f"{name} is faster here: {shown}.",
        "worse": f"{name} is slower here: {shown}.",
        "same": f"{name} is neither faster nor slower here: the repeats overlap ({shown}).",
    }[claim]
    return Verdict(key, claim, text, ratio, low, high)


def _shown(found: Verdict) -> str:
    """A ratio, cut and never rounded up to two digits, with its spread, rounded outwards."""
    low, high = _digits(found.low, math.floor), _digits(found.high, math.ceil)
    return f"{_digits(found.ratio, math.floor)}x, {low} to {high}"


def _digits(value: float | None, whole: Callable[[float], int]) -> str:
    if value is None or value <= 0:
        return "n/a"
    digits = max(0, 1 - math.floor(math.log10(value)))
    return f"{whole(value * 10**digits) / 10**digits:.{digits}f}"


def _memory(before: Side, after: Side) -> Verdict:
    first, second = number(before, "peak_memory_bytes"), number(after, "peak_memory_bytes")
    if not first or not second:
        return Verdict("memory", "unknown", "The memory was not measured here.")
    ratio = second / first
    claim: Claim = "better" if ratio < 1 else "worse" if ratio > 1 else "same"
    text = f"{format_bytes(second)} of memory at its peak instead of {format_bytes(first)}."
    return Verdict("memory", claim, text, ratio)


def _quality(before: Side, after: Side, row: Mapping[str, object]) -> Verdict:
    first, second = number(before, "bits_per_byte"), number(after, "bits_per_byte")
    change = row.get("change_interval")
    if not first or not second:
        return Verdict("quality", "unknown", "What was lost was not measured.")
    ratio = second / first
    text = f"{second:.4g} bits per byte instead of {first:.4g} ({ratio - 1:+.2%})"
    if not isinstance(change, (list, tuple)):
        return Verdict("quality", "unknown", f"{text}; too little text for an interval.", ratio)
    low, high = (1 + float(edge) for edge in change)
    claim: Claim = "worse" if low > 1 else "better" if high < 1 else "same"
    shown = f"{text}, {low - 1:+.2%} to {high - 1:+.2%}"
    if claim == "same":
        shown += ": no difference that this text can tell"
    return Verdict("quality", claim, f"{shown}.", ratio, low, high)


def number(side: Side, key: str) -> float | None:
    """A figure of one side, None where it was not measured."""
    value = side.get(key)
    return float(value) if isinstance(value, (int, float)) else None

"""The lab's figures as plain values: bars of parent and child with their spread, and the points
of all runs with the ones that no other beats. The page draws them itself, so that a point can
be pressed, focused and updated in place.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from slm_explorer.units import format_bytes


@dataclass(frozen=True)
class Measure:
    """One figure that parent and child both have. `factor` brings it into `unit`; `spread` are
    the keys of its least and most, or the one key of an interval.
    """

    key: str
    label: str
    unit: str
    more_is_better: bool
    how: str
    spread: tuple[str, ...] = ()
    factor: float = 1.0

    def text(self, value: float | None) -> str:
        if value is None:
            return "n/a"
        if self.unit == "B":
            return format_bytes(value)
        shown = value * self.factor
        if self.unit == "bits":
            return f"{shown:.3f} bits"
        return f"{shown:,.0f} {self.unit}" if shown >= 999.5 else f"{shown:.3g} {self.unit}".strip()


MEASURES = (
    Measure("bytes_on_disk", "On disk", "B", False, "bytes of the files with the weights"),
    Measure(
        "memory_bytes", "Memory", "B", False,
        "what its process took to itself (USS) after answering",
    ),
    Measure(
        "decode_tps", "Decode", "tokens/s", True,
        "tokens written a second after the first, the median of repeats in turns; the line is "
        "the slowest and fastest of them", ("decode_tps_min", "decode_tps_max"),
    ),
    Measure(
        "prefill_tps", "Prefill", "tokens/s", True,
        "tokens of the prompt read a second, the median of repeats in turns",
        ("prefill_tps_min", "prefill_tps_max"),
    ),
    Measure(
        "ttft_s", "Time to first token", "ms", False,
        "from the start of work on a prompt to its first token, the median of repeats in turns",
        ("ttft_s_min", "ttft_s_max"), 1000.0,
    ),
    Measure(
        "bits_per_byte", "Bits per byte", "bits", False,
        "how badly it predicts the text, per byte of it; the line is the interval of 95 %",
        ("interval",),
    ),
)  # fmt: skip


def number(row: Mapping[str, object], key: str) -> float | None:
    """A figure of a report; None where it was not measured."""
    value = row.get(key)
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else None


def mapping(row: Mapping[str, object], key: str) -> Mapping[str, object]:
    value = row.get(key)
    return value if isinstance(value, Mapping) else {}


def sides(report: Mapping[str, object]) -> tuple[dict[str, object], dict[str, object]]:
    """The figures of parent and child."""
    return dict(mapping(report, "before")), dict(mapping(report, "after"))


def spread_of(measure: Measure, row: Mapping[str, object]) -> tuple[float, float] | None:
    """The least and the most of a figure; None where no spread was measured."""
    if len(measure.spread) == 2:
        ends = [number(row, key) for key in measure.spread]
    elif measure.spread and isinstance(found := row.get(measure.spread[0]), Sequence):
        ends = [float(end) for end in found if isinstance(end, int | float)]
    else:
        return None
    if len(ends) != 2 or ends[0] is None or ends[1] is None:
        return None
    return ends[0], ends[1]


def bars(report: Mapping[str, object]) -> list[dict[str, object]]:
    """Each measure that either of the two has, on one scale from zero."""
    pair = sides(report)
    drawn: list[dict[str, object]] = []
    for measure in MEASURES:
        values = [number(row, measure.key) for row in pair]
        spreads = [spread_of(measure, row) for row in pair]
        reach = [value for value in values if value is not None]
        reach += [spread[1] for spread in spreads if spread is not None]
        if not reach:
            continue
        drawn.append(
            {
                "label": measure.label,
                "better": "more is better" if measure.more_is_better else "less is better",
                "how": measure.how,
                "most": max(reach) or 1.0,
                "rows": [
                    {
                        "who": who,
                        "value": value,
                        "text": measure.text(value),
                        "low": None if spread is None else spread[0],
                        "high": None if spread is None else spread[1],
                        "spread": ""
                        if spread is None
                        else f"{measure.text(spread[0])} to {measure.text(spread[1])}",
                    }
                    for who, value, spread in zip(("parent", "child"), values, spreads, strict=True)
                ],
            }
        )
    return drawn


@dataclass(frozen=True)
class Axis:
    """What a model's place on one side of the plot is. `factor` brings it into `unit`."""

    id: str
    name: str
    unit: str
    more_is_better: bool = False
    factor: float = 1.0
    note: str = ""


ACROSS = (
    Axis("bytes_on_disk", "weights on disk, MB", "MB", factor=1e-6),
    Axis("memory_bytes", "memory, MB", "MB", factor=1e-6),
    Axis("decode_tps", "decode, tokens/s", "tokens/s", more_is_better=True),
)
UP = (
    Axis(
        "bits_per_byte", "bits per byte", "bits per byte",
        note="Bits per byte compare across tokenizers, on one text.",
    ),
    Axis(
        "kl", "KL from the parent, nats", "nats a token",
        note="KL tells how far each has moved from its own parent, not how good it is.",
    ),
)  # fmt: skip


@dataclass(frozen=True)
class Point:
    """A model of the plot. `run` is None for a parent."""

    run: str | None
    name: str
    label: str
    figures: Mapping[str, float | None]


def points_view(points: Sequence[Point]) -> list[dict[str, object]]:
    """Each point in its axes' units, with `front`: the pairs of axes, such as "decode_tps kl", in
    which no other point is at least as good in both and better in one.
    """
    ahead = {(x.id, y.id): set(front(points, x, y)) for x in ACROSS for y in UP}
    return [
        {
            "run": point.run,
            "name": point.name,
            "label": point.label,
            **{axis.id: _placed(point, axis) for axis in (*ACROSS, *UP)},
            "front": [f"{x} {y}" for (x, y), members in ahead.items() if place in members],
        }
        for place, point in enumerate(points)
    ]


def front(points: Sequence[Point], x: Axis, y: Axis) -> list[int]:
    """The places of the points that no other beats (the Pareto front)."""

    def cost(point: Point, axis: Axis) -> float | None:
        value = point.figures.get(axis.id)
        return None if value is None else (-value if axis.more_is_better else value)

    placed = [
        (place, a, b)
        for place, point in enumerate(points)
        if (a := cost(point, x)) is not None and (b := cost(point, y)) is not None
    ]
    return [
        place
        for place, a, b in placed
        if not any(c <= a and d <= b and (c < a or d < b) for _, c, d in placed)
    ]


def _placed(point: Point, axis: Axis) -> float | None:
    value = point.figures.get(axis.id)
    return None if value is None else float(f"{value * axis.factor:.4g}")

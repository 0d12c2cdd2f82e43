"""Who has the memory, in one picture: now against the limit, and over ten minutes with marks."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from slm_explorer.meters.events import KINDS, EventKind, Mark
from slm_explorer.meters.readings import Snapshot
from slm_explorer.meters.shares import Share, shares
from slm_explorer.units import format_bytes

SPAN_S = 600.0
"""Seconds that the picture and the charts show."""
BUCKETS = 120
"""One point each: a chart is as wide as a hand, and every point travels to every browser."""

_COLOURS = 6
_MARK_NAMES: dict[EventKind, str] = {
    "load": "model loaded",
    "evict": "model unloaded",
    "answer": "answer",
    "compress": "compression",
    "alarm": "alarm",
}
_SHOWN_EVENTS = 8


def picture_view(
    snapshot: Snapshot, history: Sequence[Snapshot], marks: Iterable[Mark]
) -> dict[str, object]:
    """Bytes as shares of `top`, the upper edge of the chart. It is the limit, or less where
    everything used would be a sliver below it; then `limit` is above 1.
    """
    memory = snapshot.device("memory")
    limit = memory.total_bytes if memory is not None else None
    buckets = fullest(snapshot.at, history)
    parts = [shares(each) for each in buckets]
    highest = max((_used(each) for each in buckets), default=0)
    top = _top(highest, limit)
    shown = [mark for mark in marks if 0 <= snapshot.at - mark.at <= SPAN_S]
    return {
        "span_s": SPAN_S,
        "now": [_segment(part, limit) for part in shares(snapshot)],
        "free": _free(snapshot, limit),
        "limit": None if limit is None else round(limit / top, 4),
        "limit_text": "n/a" if limit is None else format_bytes(limit),
        "budget_now": _share_of(snapshot.budget_bytes, limit),
        "budget": _share_of(snapshot.budget_bytes, top),
        "budget_text": "n/a"
        if snapshot.budget_bytes is None
        else format_bytes(snapshot.budget_bytes),
        "peak": round(highest / top, 4) if buckets and highest else None,
        "peak_text": format_bytes(highest) if highest else "n/a",
        "top_text": format_bytes(top),
        "times": [_x(snapshot.at - each.at) for each in buckets],
        "layers": _layers(parts, top),
        "marks": _glyphs(snapshot.at, shown),
        "events": [
            {"ago": _ago(snapshot.at - mark.at), "kind": mark.kind, "text": mark.text}
            for mark in reversed(shown[-_SHOWN_EVENTS:])
        ],
    }


def fullest(now: float, history: Sequence[Snapshot]) -> list[Snapshot]:
    """The snapshot of the most memory in each bucket of the span, oldest first: a peak of one
    second must not hide between two points.
    """
    found: dict[int, Snapshot] = {}
    for each in history:
        if not 0 <= now - each.at <= SPAN_S:
            continue
        bucket = int(each.at // (SPAN_S / BUCKETS))
        if bucket not in found or _used(each) > _used(found[bucket]):
            found[bucket] = each
    return [found[bucket] for bucket in sorted(found)]


def colour(part: Share) -> str:
    """The class of its colour: a worker keeps its own for as long as it lives."""
    if part.kind != "worker":
        return part.kind
    number = part.key.rpartition("#")[2]
    return f"worker-{int(number) % _COLOURS if number.isdigit() else 0}"


def _layers(moments: Sequence[Sequence[Share]], top: float) -> list[dict[str, object]]:
    """One layer a part, from the app upwards; where a part did not exist it is 0 high."""
    order = {"app": 0, "helper": 1, "worker": 2, "others": 3}
    found = {part.key: part for moment in moments for part in moment}
    kinds = sorted(found.values(), key=lambda part: order[part.kind])
    sizes = [{part.key: part.bytes for part in moment} for moment in moments]
    return [
        {
            "name": part.name,
            "colour": colour(part),
            "heights": [round(size.get(part.key, 0) / top, 4) for size in sizes],
        }
        for part in kinds
    ]


def _segment(part: Share, limit: int | None) -> dict[str, object]:
    return {
        "name": part.name,
        "colour": colour(part),
        "text": format_bytes(part.bytes),
        "fraction": _share_of(part.bytes, limit),
    }


def _free(snapshot: Snapshot, limit: int | None) -> str:
    if snapshot.available_bytes is None or limit is None:
        return "n/a"
    return format_bytes(snapshot.available_bytes)


def _glyphs(now: float, marks: Sequence[Mark]) -> list[dict[str, object]]:
    """One glyph for all marks of a kind in a bucket."""
    groups: dict[tuple[EventKind, int], list[Mark]] = {}
    for mark in marks:
        groups.setdefault((mark.kind, int(mark.at // (SPAN_S / BUCKETS))), []).append(mark)
    rows = [kind for kind in KINDS if any(kind == found for found, _ in groups)]
    return [
        {
            "x": _x(now - found[0].at),
            "kind": kind,
            "row": rows.index(kind),
            "title": _title(kind, found, now),
        }
        for (kind, _), found in groups.items()
    ]


def _title(kind: EventKind, found: Sequence[Mark], now: float) -> str:
    first = f"{found[0].text} ({_ago(now - found[0].at)})"
    return first if len(found) == 1 else f"{first}, and {len(found) - 1} more: {_MARK_NAMES[kind]}"


def _top(highest: int, limit: int | None) -> float:
    roomy = 1.25 * max(highest, 1)
    if limit is None:
        return roomy
    return float(limit) if roomy >= limit / 3 else roomy


def _used(snapshot: Snapshot) -> int:
    memory = snapshot.device("memory")
    return (memory.used_bytes if memory is not None else None) or 0


def _x(ago: float) -> float:
    return round(min(1.0, max(0.0, 1 - ago / SPAN_S)), 4)


def _share_of(part: float | None, whole: float | None) -> float | None:
    return None if part is None or not whole else round(part / whole, 4)


def _ago(seconds: float) -> str:
    return f"{seconds:.0f} s ago" if seconds < 60 else f"{seconds / 60:.0f} min ago"

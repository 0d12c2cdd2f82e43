"""One run, and the list of all, as values for assets/page/lab_run.js and lab_runs.js."""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence

from slm_explorer.compression.training_plan import TrainingPoint
from slm_explorer.lab.types import Run
from slm_explorer.ui.lab_figures import ACROSS, UP, Point, number, points_view, sides
from slm_explorer.ui.lab_grid import grid_view
from slm_explorer.units import format_bytes, format_duration

NOTHING = (
    "No run yet. Choose a parent and a recipe, and press Start: int4 of a Sprout takes a few "
    "seconds, and then both are measured."
)
# More points than this a curve cannot show.
_MOST_POINTS = 400


def title_of(run: Run) -> str:
    return f"{run.name or run.order.model} → {run.order.recipe}"


def run_view(
    run: Run | None,
    *,
    expected: Iterable[str] = (),
    may_control: bool,
    report: dict[str, object] | None = None,
) -> dict[str, object]:
    """`expected` are the matrices that the run will come to; `may_control` whether this visitor
    may stop or pause it.
    """
    if run is None:
        return {"id": "", "nothing": NOTHING}
    return {
        "id": run.id,
        "title": title_of(run),
        "state": run.state,
        "ended": run.ended,
        "stage": stage_words(run),
        "fraction": run.fraction,
        "figures": _figures(run),
        "may_cancel": may_control and not run.ended,
        "may_pause": may_control and run.can_pause and not run.ended,
        "paused": run.paused,
        "error": run.error or "",
        "training": _training(run.training),
        "grid": grid_view(run.layers, () if run.ended else expected),
        "report": report,
    }


def stage_words(run: Run) -> str:
    if run.state == "queued":
        first = "another run goes" if run.ahead == 1 else f"{run.ahead} runs go"
        return f"Waiting: {first} first." if run.ahead else "Waiting to begin."
    stage = run.stage or run.state
    paused = " (paused)" if run.paused else ""
    # A stage that has steps of its own tells them itself.
    share = "" if stage.endswith("%") else f": {run.fraction:.0%}"
    return f"{stage[0].upper()}{stage[1:]}{paused}{share}"


def _figures(run: Run) -> list[dict[str, str]]:
    figures = [{"text": f"{format_duration(run.seconds)} so far", "title": "time worked"}]
    left = "time left n/a" if run.eta_s is None else f"about {format_duration(run.eta_s)} left"
    figures.append({"text": left, "title": "from how long the work so far took"})
    if run.memory_bytes is None:
        memory = "memory n/a"
    elif run.memory_limit_bytes is None:
        memory = f"{format_bytes(run.memory_bytes)} of memory"
    else:
        limit = format_bytes(run.memory_limit_bytes)
        memory = f"{format_bytes(run.memory_bytes)} of memory, the limit is {limit}"
    figures.append({"text": memory, "title": "what its process takes to itself (USS)"})
    if run.peak_memory_bytes is not None:
        figures.append(
            {"text": f"peak {format_bytes(run.peak_memory_bytes)}", "title": "the most so far"}
        )
    return figures


def _training(points: Sequence[TrainingPoint]) -> dict[str, object] | None:
    if not points:
        return None
    every = max(1, len(points) // _MOST_POINTS)
    shown = [*points[::every], points[-1]] if len(points) % every else list(points[::every])
    last = points[-1]
    sample = next((point.sample for point in reversed(points) if point.sample), None)
    took = format_duration(last.seconds)
    return {
        "points": [[point.step, point.loss] for point in shown],
        "figures": f"step {last.step:,}, {last.tokens:,} tokens in {took}, "
        f"loss {last.loss:.3f} nats a token",
        "sample": sample,
    }


def runs_view(
    runs: Sequence[Run], shown: str | None, *, may_delete: bool, error: str = ""
) -> dict[str, object]:
    """`shown` is the id of the run that the page is looking at."""
    return {
        "runs": [
            {
                "id": run.id,
                "title": title_of(run),
                "state": run.state,
                "said": _said(run),
                "deletable": may_delete and run.ended,
            }
            for run in runs
        ],
        "shown": shown or "",
        "axes": {
            name: [
                {
                    "id": axis.id,
                    "name": axis.name,
                    "unit": axis.unit,
                    "more": axis.more_is_better,
                    "note": axis.note,
                }
                for axis in axes
            ]
            for name, axes in (("x", ACROSS), ("y", UP))
        },
        "points": points_view(points(runs)),
        "error": error,
    }


def points(runs: Sequence[Run]) -> list[Point]:
    """Every finished run's model, and each parent once, as it was measured last."""
    children: list[Point] = []
    parents: dict[str, Point] = {}
    for run in runs:
        if run.report is None:
            continue
        before, after = sides(run.report)
        name = run.name or run.order.model
        figures = {axis.id: number(after, axis.id) for axis in (*ACROSS, *UP)}
        figures["kl"] = number(run.report, "kl")
        children.append(Point(run.id, title_of(run), run.order.recipe, figures))
        if run.order.model not in parents:
            own: dict[str, float | None] = {
                axis.id: number(before, axis.id) for axis in (*ACROSS, *UP)
            }
            own["kl"] = 0.0 if figures["kl"] is not None else None
            parents[run.order.model] = Point(None, name, name, own)
    return [*children, *parents.values()]


def _said(run: Run) -> str:
    when = time.strftime("%Y-%m-%d %H:%M", time.localtime(run.created_at))
    if run.error:
        return f"{when} · {run.error}"
    if run.report is None:
        return f"{when} · {run.ahead} go first" if run.ahead else when
    before, after = sides(run.report)
    parts = [when]
    for key, words in (
        ("bytes_on_disk", format_bytes),
        ("bits_per_byte", "{:.3f} bits per byte".format),
    ):
        a, b = number(before, key), number(after, key)
        if a is not None and b is not None:
            parts.append(f"{words(a)} → {words(b)}")
    return " · ".join(parts)

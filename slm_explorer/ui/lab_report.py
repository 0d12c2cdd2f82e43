"""A finished run's report as values, for assets/page/lab_report.js."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass

from slm_explorer.lab.types import Run
from slm_explorer.ui.lab_figures import MEASURES, Measure, bars, mapping, number, sides
from slm_explorer.units import format_bytes, format_duration

# Rows of the table besides the bars: with what they are called and how they were found.
_MORE = (
    Measure("perplexity", "Perplexity", "", False, "e to the mean loss a token"),
    Measure("load_s", "Load time", "s", False, "from its files to ready, in a process of its own"),
    Measure("peak_memory_bytes", "Peak memory", "B", False, "the most its process took to itself"),
)  # fmt: skip


@dataclass(frozen=True)
class Push:
    """The last push to the Hub that a browser asked for. `answer` counts them, so that the page
    knows when its own has ended.
    """

    answer: int = 0
    said: str = ""
    error: str = ""


def report_view(run: Run, *, code: str, files: bool, push: Push | None) -> dict[str, object] | None:
    """None where there is none. `code` loads its model, `files` offers it and the report, `push`
    is drawn where it is given.
    """
    report = run.report
    if report is None:
        return None
    return {
        "verdicts": _verdicts(report),
        "pair": run.model_id is not None,
        "ids": [run.order.model, run.model_id],
        "links": _links(run) if files and run.model_id is not None else [],
        "code": code,
        "bars": bars(report),
        "table": [*_table(report), *_divergence(report), *_skills(report)],
        "notes": [_conditions(report), *strings(report, "not_measured")],
        "push": None if push is None or run.model_id is None else asdict(push),
    }


def _verdicts(report: Mapping[str, object]) -> list[dict[str, str]]:
    """The headline first."""
    found = report.get("verdicts")
    return [
        {"text": str(each.get("text", "")), "claim": str(each.get("claim", ""))}
        for each in (found if isinstance(found, list | tuple) else ())
        if isinstance(each, Mapping)
    ]


def strings(row: Mapping[str, object], key: str) -> list[str]:
    value = row.get(key)
    return [str(each) for each in value] if isinstance(value, list | tuple) else []


def _links(run: Run) -> list[dict[str, str]]:
    folder = f"slm-lab/{run.id}"
    name = f"slm-lab-{run.id}"
    return [
        {
            "text": "Model (zip)", "href": f"{folder}/model.zip", "name": f"{name}.zip",
            "title": "The folder of the model, its report, and how to load it",
        },
        {
            "text": "Report (HTML)", "href": f"{folder}/report.html", "name": f"{name}.html",
            "title": "The report as one page that stands alone",
        },
        {
            "text": "Report (JSON)", "href": f"{folder}/report.json", "name": f"{name}.json",
            "title": "Every figure of the report",
        },
    ]  # fmt: skip


def _table(report: Mapping[str, object]) -> list[dict[str, str]]:
    before, after = sides(report)
    return [
        {
            "label": measure.label,
            "before": measure.text(a),
            "after": measure.text(b),
            "change": change(a, b),
            "how": measure.how,
        }
        for measure in (*MEASURES, *_MORE)
        for a, b in ((number(before, measure.key), number(after, measure.key)),)
        if a is not None or b is not None
    ]


def change(before: float | None, after: float | None) -> str:
    """By how much a figure has changed: in per cent up to a doubling, then as a factor."""
    if not before or after is None:
        return "n/a"
    ratio = after / before
    if ratio == 1:
        return "the same"
    return f"{ratio - 1:+.1%}" if 0.5 < ratio < 2 else f"× {ratio:.2f}"


def _divergence(report: Mapping[str, object]) -> list[dict[str, str]]:
    rows = []
    kl, same = number(report, "kl"), number(report, "top1_agreement")
    if kl is not None:
        rows.append(
            {
                "label": "Mean KL from the parent",
                "before": "0",
                "after": f"{kl:.4f} nats{_interval(report, 'kl_interval', '.4f')}",
                "change": "",
                "how": "how far its predictions are from the parent's, in nats a token",
            }
        )
    if same is not None:
        rows.append(
            {
                "label": "Same first choice",
                "before": "100 %",
                "after": f"{same:.1%}{_interval(report, 'top1_interval', '.1%')}",
                "change": "",
                "how": "how often its likeliest next token is the parent's",
            }
        )
    return rows


def _span(found: Mapping[str, object], key: str) -> tuple[float, float] | None:
    pair = found.get(key)
    if not isinstance(pair, Sequence) or len(pair) != 2:
        return None
    return float(pair[0]), float(pair[1])


def _interval(found: Mapping[str, object], key: str, spec: str) -> str:
    span = _span(found, key)
    return "" if span is None else f" ({span[0]:{spec}} to {span[1]:{spec}})"


def _skills(report: Mapping[str, object]) -> list[dict[str, str]]:
    """What share of a suite's questions each answers right, where suites were asked."""
    found = report.get("skills")
    if not isinstance(found, Sequence):
        return []
    rows = []
    for each in found:
        if not isinstance(each, Mapping):
            continue
        sides = mapping(each, "before"), mapping(each, "after")
        suite, asked = str(each.get("suite", "")).replace("_", " "), each.get("n", "n/a")
        rows.append(
            {
                "label": f"{suite}, {asked} asked",
                "before": _share(sides[0]),
                "after": _share(sides[1]),
                "change": _change(*sides),
                "how": "exact answers, with the interval of 95 % that so few questions allow",
            }
        )
    return rows


def _share(side: Mapping[str, object]) -> str:
    share = number(side, "accuracy")
    return "n/a" if share is None else f"{share:.0%}{_interval(side, 'interval', '.0%')}"


def _change(before: Mapping[str, object], after: Mapping[str, object]) -> str:
    """A difference only where the intervals do not overlap."""
    a, b = number(before, "accuracy"), number(after, "accuracy")
    spans = _span(before, "interval"), _span(after, "interval")
    if a is None or b is None or spans[0] is None or spans[1] is None:
        return ""
    apart = spans[0][1] < spans[1][0] or spans[1][1] < spans[0][0]
    return f"{100 * (b - a):+.0f} points" if apart else "none that this can tell"


def _conditions(report: Mapping[str, object]) -> str:
    """On what, and when, all of it was measured."""
    machine = mapping(report, "machine")
    cores, limit = number(machine, "cores"), number(machine, "memory_bytes")
    text, tokens = report.get("text"), number(report, "tokens")
    peak, seconds = number(report, "peak_memory_bytes"), number(report, "seconds")
    parts = [
        f"Measured {report.get('date', '')} on {machine.get('processor', 'this machine')}".strip(),
        f"{cores:g} cores" if cores is not None else "",
        f"{format_bytes(limit)} of memory" if limit is not None else "",
        f"{machine['threads']} threads" if machine.get("threads") else "",
        f"quality on {text}, {tokens:,.0f} tokens" if text and tokens is not None else "",
        f"compressing took {format_duration(seconds)}" if seconds is not None else "",
        f"and at most {format_bytes(peak)} of memory" if peak is not None else "",
    ]
    return ", ".join(part for part in parts if part) + "."

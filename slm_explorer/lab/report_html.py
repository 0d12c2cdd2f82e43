"""The report as one HTML page that needs nothing but itself: no script, no font, no image.

Everything that comes from a model, a recipe or a user is escaped here, once, in `_text`.
"""

from __future__ import annotations

import html
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from slm_explorer.lab.verdicts import number
from slm_explorer.units import format_bytes

_STYLE = """
:root { color-scheme: light dark; --line: #8884; --soft: #8882;
  --parent: #7a8699; --child: #c2571a }
* { box-sizing: border-box }
body { font: 15px/1.5 system-ui, sans-serif; max-width: 60rem; margin: 2rem auto; padding: 0 1rem }
h1 { font-size: 1.5rem; margin: 0 } h2 { font-size: 1.1rem; margin: 2rem 0 .5rem }
.headline { font-size: 1.15rem; margin: .5rem 0 1rem }
table { border-collapse: collapse; width: 100%; font-variant-numeric: tabular-nums }
th, td { text-align: left; padding: .25rem .8rem .25rem 0; border-bottom: 1px solid var(--line);
  vertical-align: top; overflow-wrap: break-word }
.wide { overflow-x: auto }
.key { display: inline-block; width: .8rem; height: .8rem; margin: 0 .3rem 0 .8rem }
.bars { display: grid; grid-template-columns: minmax(6rem, 10rem) 1fr minmax(5rem, auto);
  gap: .1rem .8rem; align-items: center; font-variant-numeric: tabular-nums }
.bars .first { margin-top: .6rem } .bars svg { width: 100%; height: .8rem; display: block }
.curve { width: 100%; height: auto; display: block }
.curve text { fill: currentColor; font-size: 12px }
@media (max-width: 34rem) { .how { display: none } }
pre { background: var(--soft); padding: .7rem; overflow-x: auto; white-space: pre-wrap }
details summary { cursor: pointer }
small { color: #777 } a { color: inherit }
@media (prefers-color-scheme: dark) { :root { --parent: #94a3b8; --child: #f08a4b }
  body { background: #15181d; color: #e6e8eb } small { color: #9aa3ad } }
@media print { body { margin: 0; max-width: none; background: none; color: #000 }
  details > * { display: revert } h2 { break-after: avoid } tr { break-inside: avoid } }
"""


@dataclass(frozen=True)
class _Figure:
    """One row of before and after, and how it was measured."""

    key: str
    label: str
    unit: str
    how: str


_FIGURES = (
    _Figure("bytes_on_disk", "Weights on disk", "bytes", "the safetensors files"),
    _Figure("peak_memory_bytes", "Peak memory", "bytes", "private to its process, while writing"),
    _Figure("decode_tps", "Decoding", "tok/s", "median, slowest to fastest repeat"),
    _Figure("prefill_tps", "Prefill", "tok/s", "median, slowest to fastest repeat"),
    _Figure("ttft_s", "Time to first token", "s", "median, fastest to slowest repeat"),
    _Figure("load_s", "Load time", "s", "once"),
    _Figure("bits_per_byte", "Bits per byte", "", "lower is better; with a 95 % interval"),
    _Figure("perplexity", "Perplexity", "", "lower is better; only within one tokenizer"),
    _Figure("energy_j", "Energy of an answer", "J", "least to most; see how below"),
)


def report_page(report: Mapping[str, object], code: str = "") -> str:
    """The page of a report; `code` is the Python that loads the model, shown as it is."""
    title = f"{report['name']}, {report['recipe']}"
    before, after = _side(report, "before"), _side(report, "after")
    parts = [
        "<!doctype html>",
        '<html lang="en"><head><meta charset="utf-8">',
        '<meta name="viewport" content="width=device-width, initial-scale=1">',
        # Should an escape ever be forgotten, nothing could run or be fetched.
        '<meta http-equiv="Content-Security-Policy" '
        "content=\"default-src 'none'; style-src 'unsafe-inline'\">",
        f"<title>{_text(title)}</title><style>{_STYLE}</style></head><body>",
        f"<h1>{_text(title)}</h1>",
        _verdicts(report),
        _bars(before, after),
        "<h2>Before and after</h2>",
        _table(("", "parent", "child", "how"), _figures(before, after)),
        _difference(report),
        _skills(report),
        _steps(report),
        _layers(report),
        _training(report),
        _conditions(report),
    ]
    if code:
        parts += ["<h2>Load it</h2>", f"<pre>{_text(code)}</pre>"]
    parts += ["<h2>Do it again</h2>", f"<pre>{_text(report['command'])}</pre>", "</body></html>\n"]
    return "\n".join(part for part in parts if part)


def _text(value: object) -> str:
    return html.escape(str(value))


def _side(report: Mapping[str, object], name: str) -> Mapping[str, object]:
    found = report.get(name)
    return found if isinstance(found, Mapping) else {}


def _rows(report: Mapping[str, object], key: str) -> list[Mapping[str, object]]:
    found = report.get(key)
    if not isinstance(found, (list, tuple)):
        return []
    return [each for each in found if isinstance(each, Mapping)]


def _verdicts(report: Mapping[str, object]) -> str:
    texts = [_text(each.get("text", "")) for each in _rows(report, "verdicts")]
    if not texts:
        return ""
    items = "".join(f"<li>{text}</li>" for text in texts[1:])
    return f'<p class="headline">{texts[0]}</p><ul>{items}</ul>'


def _amount(value: float | None, unit: str) -> str:
    if value is None:
        return "n/a"
    if unit == "bytes":
        return format_bytes(value)
    if unit == "s" and value < 1:
        return f"{_digits(1000 * value)} ms"
    return f"{_digits(value)} {unit}".strip()


def _digits(value: float) -> str:
    """Four digits, and no powers of ten."""
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.4g}"


def _figures(before: Mapping[str, object], after: Mapping[str, object]) -> Iterable[list[str]]:
    for figure in _FIGURES:
        cells = [_amount(number(side, figure.key), figure.unit) for side in (before, after)]
        for place, side in enumerate((before, after)):
            low, high = number(side, f"{figure.key}_min"), number(side, f"{figure.key}_max")
            interval = side.get("interval") if figure.key == "bits_per_byte" else None
            if isinstance(interval, Sequence) and None not in interval and len(interval) == 2:
                low, high = (float(edge) for edge in interval)
            if low is not None and high is not None:
                first, last = _amount(low, figure.unit), _amount(high, figure.unit)
                unit = last.partition(" ")[2]
                cells[place] += f" ({first.removesuffix(f' {unit}')} to {last})"
        yield [figure.label, *cells, figure.how]


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    heads = "".join(f'<th class="{_text(cell)}">{_text(cell)}</th>' for cell in head)
    last = "" if head[-1] != "how" else " class=how"
    lines = "".join(
        "<tr>"
        + "".join(f"<td>{_text(cell)}</td>" for cell in row[:-1])
        + f"<td{last}>{_text(row[-1])}</td></tr>"
        for row in rows
    )
    return f'<div class="wide"><table><tr>{heads}</tr>{lines}</table></div>'


def _bars(before: Mapping[str, object], after: Mapping[str, object]) -> str:
    """Pairs of bars, each pair on its own scale."""
    pairs = [
        (figure, first, second)
        for figure in _FIGURES
        for first, second in [(number(before, figure.key), number(after, figure.key))]
        if first and second
    ]
    if not pairs:
        return ""
    drawn = []
    for figure, first, second in pairs:
        for value, name in ((first, "parent"), (second, "child")):
            share = 100 * value / max(first, second)
            label, place = (figure.label, " class=first") if name == "parent" else ("", "")
            drawn.append(
                f"<span{place}>{_text(label)}</span>"
                f'<span{place}><svg aria-hidden="true"><rect width="{share:.1f}%" height="100%" '
                f'fill="var(--{name})"/></svg></span>'
                f"<span{place}>{_text(_amount(value, figure.unit))}</span>"
            )
    keys = "".join(
        f'<span class="key" style="background: var(--{name})"></span>{name}'
        for name in ("parent", "child")
    )
    return (
        f'<div class="bars">{"".join(drawn)}</div>'
        f"<p><small>Each figure on its own scale from zero: {keys}</small></p>"
    )


def _difference(report: Mapping[str, object]) -> str:
    rows = []
    for key, label, spec, unit in (
        ("kl", "Mean KL from the parent", ".4g", "nats a token"),
        ("top1", "Same likeliest token", ".1%", ""),
        ("change", "Change in bits per byte", "+.2%", ""),
    ):
        value = number(report, "top1_agreement" if key == "top1" else key)
        interval = report.get(f"{key}_interval")
        shown = [] if value is None else [f"{value:{spec}}"]
        if isinstance(interval, Sequence) and len(interval) == 2:
            shown.append(f"{interval[0]:{spec}} to {interval[1]:{spec}} (95 %)")
        if shown:
            rows.append([label, f"{', '.join(shown)} {unit}".strip()])
    if not rows:
        return ""
    tokens = report.get("tokens")
    on = f" on {tokens:,} tokens of {report.get('text')}" if isinstance(tokens, int) else ""
    return f"<h2>How far it strays{_text(on)}</h2>" + _table(("", ""), rows)


def _skills(report: Mapping[str, object]) -> str:
    rows = []
    for each in _rows(report, "skills"):
        cells = [str(each.get("suite", "")), str(each.get("n", ""))]
        for name in ("before", "after"):
            side = _side(each, name)
            share, interval = number(side, "accuracy"), side.get("interval")
            shown = "n/a" if share is None else f"{share:.0%}"
            if isinstance(interval, Sequence) and len(interval) == 2:
                shown += f" ({interval[0]:.0%} to {interval[1]:.0%})"
            cells.append(shown)
        rows.append(cells)
    if not rows:
        return ""
    head = ("suite", "prompts", "parent", "child")
    return "<h2>Skills, right answers with 95 % intervals</h2>" + _table(head, rows)


def _steps(report: Mapping[str, object]) -> str:
    rows = [
        [
            str(each.get("name", "")),
            _amount(number(each, "seconds"), "s"),
            _amount(number(each, "bytes_after"), "bytes"),
            _detail(each.get("detail")),
        ]
        for each in _rows(report, "steps")
    ]
    return "<h2>Steps</h2>" + _table(("step", "took", "left", "detail"), rows) if rows else ""


def _detail(found: object) -> str:
    """A step's own values as words."""
    if isinstance(found, Mapping):
        return "; ".join(f"{str(k).replace('_', ' ')}: {_detail(v)}" for k, v in found.items())
    if isinstance(found, (list, tuple)):
        return ", ".join(_detail(each) for each in found)
    return f"{found:.3g}" if isinstance(found, float) else str(found)


def _layers(report: Mapping[str, object]) -> str:
    rows = []
    for each in _rows(report, "layers"):
        error, bits = number(each, "relative_error"), number(each, "bits")
        rows.append(
            [
                str(each.get("name", "")),
                str(each.get("method", "")),
                "n/a" if bits is None else f"{bits:.3g}",
                "unchanged" if error is None else f"{error:.2%}",
                str(each.get("reason") or ""),
            ]
        )
    if not rows:
        return ""
    head = ("matrix", "method", "bits a weight", "relative error", "")
    return (
        f"<h2>Matrices</h2><details><summary>{len(rows)} matrices</summary>"
        f"{_table(head, rows)}</details>"
    )


def _training(report: Mapping[str, object]) -> str:
    points = _rows(report, "training")
    losses = [(number(each, "seconds") or 0.0, number(each, "loss") or 0.0) for each in points]
    if len(losses) < 2:
        return ""
    latest = max(losses[-1][0], 1e-9)
    low, high = min(loss for _, loss in losses), max(loss for _, loss in losses)
    line = " ".join(
        f"{40 + 590 * at / latest:.1f},{10 + 140 * (high - loss) / (high - low or 1):.1f}"
        for at, loss in losses
    )
    label = f"Loss in nats a token over {latest:,.0f} s of training, {high:.3g} to {low:.3g}"
    return (
        f'<h2>Training</h2><svg class="curve" viewBox="0 0 640 160" role="img" '
        f'aria-label="{label}">'
        f'<polyline points="{line}" fill="none" stroke="var(--child)" stroke-width="2"/>'
        f'<text x="0" y="16">{high:.3g}</text><text x="0" y="152">{low:.3g}</text></svg>'
        f"<p><small>{label}.</small></p>"
    )


def _conditions(report: Mapping[str, object]) -> str:
    machine, versions = _side(report, "machine"), _side(report, "versions")
    rows = [["date", str(report.get("date", ""))]]
    for key, value in machine.items():
        shown = format_bytes(value) if key == "memory_bytes" and isinstance(value, int) else value
        rows.append([key.replace("_", " "), str(shown)])
    rows.append(["versions", ", ".join(f"{k} {v}" for k, v in versions.items() if v)])
    rows.append(["compressing took", _amount(number(report, "seconds"), "s")])
    rows.append(["and at most", _amount(number(report, "peak_memory_bytes"), "bytes")])
    found = report.get("not_measured")
    missing = [str(each) for each in found] if isinstance(found, (list, tuple)) else []
    missing.append(str(report.get("energy_reason", "")))
    notes = "".join(f"<li>{_text(note)}</li>" for note in missing if note)
    return "<h2>Where and how</h2>" + _table(("", ""), rows) + f"<ul>{notes}</ul>"

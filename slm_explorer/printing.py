"""Rows to text: JSON Lines for programs, aligned columns with units for people."""

from __future__ import annotations

import json
import sys
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from slm_explorer.chat import Ask, TaskAsk, chat_row, task_row
from slm_explorer.errors import error_of_kind
from slm_explorer.tasks import (
    Candidate,
    Labels,
    MaskFills,
    SimilarityMatrix,
    Spans,
    TaskResult,
    TaskStats,
)
from slm_explorer.types import (
    Delta,
    Done,
    Event,
    Failed,
    GenerationStats,
    Loading,
    Queued,
)
from slm_explorer.units import format_bytes

# The columns of a table for people, in order; JSON always has every key.
COLUMNS: dict[str, tuple[str, ...]] = {
    "models": (
        "id",
        "architecture_kind",
        "parameters",
        "license",
        "commercial",
        "context_length",
        "fit",
    ),
    "bench": (
        "model",
        "recipe",
        "engine",
        "load_s",
        "ttft_s",
        "prefill_tps",
        "decode_tps",
        "decode_tps_min",
        "decode_tps_max",
        "weights_bytes",
        "peak_memory_bytes",
    ),
    "evaluate": (
        "model",
        "recipe",
        "suite",
        "text",
        "n",
        "accuracy",
        "bits_per_byte",
        "perplexity",
        "interval",
    ),
    "runs": ("id", "model", "recipe", "state", "seconds", "error"),
    "local": ("id", "origin", "size_bytes", "partial_bytes", "last_used", "revision", "problem"),
    "devices": ("kind", "name", "used_bytes", "total_bytes", "utilization", "power_w"),
    "workers": ("model", "pid", "pss_bytes", "uss_bytes", "cpu"),
}


def format_value(key: str, value: object) -> str:
    """A value with its unit, by what its key says it is; None is n/a."""
    if value is None:
        return "n/a"
    if isinstance(value, list | tuple):
        return "..".join(format_value("", part) for part in value) or "n/a"
    if isinstance(value, bool) or not isinstance(value, int | float):
        return str(value)
    if key.endswith("_bytes") or key.startswith("bytes_"):
        return format_bytes(value)
    if key.endswith("_s"):
        return f"{value:.3g} s"
    if key.startswith(("prefill_tps", "decode_tps")):
        return f"{value:.1f} tok/s"
    if key in ("accuracy", "utilization"):
        return f"{value:.1%}"
    return f"{value:,}" if isinstance(value, int) and key != "pid" else f"{value:.4g}"


def result_lines(result: TaskResult) -> list[str]:
    """An encoder's result for people, a line for each mask, label, text or span."""
    match result:
        case MaskFills(masks):
            return [", ".join(map(_candidate, candidates)) for candidates in masks]
        case Labels(labels):
            return [_candidate(label) for label in labels]
        case SimilarityMatrix(matrix):
            return ["  ".join(f"{value:6.3f}" for value in row) for row in matrix]
        case Spans(spans):
            return [_candidate(span) for span in spans]


def _candidate(candidate: Candidate) -> str:
    return f"{candidate.text} {candidate.probability:.1%}"


_TOLD_APART = frozenset(
    "layers steps training before after verdicts skills not_measured machine versions".split()
)


def _rows(found: object) -> list[Any]:
    return found if isinstance(found, list) else []


class Printer:
    """Writes one command's output. Progress always goes to stderr."""

    def __init__(self, json_lines: bool) -> None:
        self._json = json_lines

    def row(self, row: Mapping[str, object]) -> None:
        """One result on its own."""
        if self._json:
            print(json.dumps(row, ensure_ascii=False), flush=True)
        else:
            for key, value in row.items():
                print(f"{key}: {format_value(key, value)}")

    def table(self, rows: Sequence[Mapping[str, object]], kind: str) -> None:
        """Results of one kind."""
        if self._json:
            for row in rows:
                self.row(row)
            return
        columns = COLUMNS[kind]
        cells = [columns, *([format_value(key, row[key]) for key in columns] for row in rows)]
        widths = [max(len(line[i]) for line in cells) for i in range(len(columns))]
        for line in cells:
            padded = (cell.ljust(width) for cell, width in zip(line, widths, strict=True))
            print("  ".join(padded).rstrip())

    def progress(self, text: str) -> None:
        """Say what is being done, to stderr."""
        print(text, file=sys.stderr, flush=True)

    def answer(self, ask: Ask, events: Iterable[Event]) -> None:
        """Stream one model's answer, then its figures. Raises the error that ended it."""
        text = said = ""
        if not self._json:
            print(f"[{ask.model}]")
        for event in events:
            match event:
                case Queued(ahead):
                    self.progress(f"{ask.model}: {ahead} ahead")
                case Loading(_, stage):
                    if stage != said:
                        said = stage
                        self.progress(f"{ask.model}: {stage}")
                case Delta(piece):
                    text += piece
                    if not self._json:
                        print(piece, end="", flush=True)
                case Done(GenerationStats() as stats):
                    self._figures(chat_row(ask, text, stats))
                case Failed(error, kind):
                    raise error_of_kind(kind, error)

    def _figures(self, row: dict[str, object]) -> None:
        if self._json:
            self.row(row)
            return
        keys = ("ttft_s", "decode_tps", "output_tokens", "peak_memory_bytes", "finish_reason")
        print("\n(" + ", ".join(f"{key} {format_value(key, row[key])}" for key in keys) + ")\n")

    def task(self, ask: TaskAsk, events: Iterable[Event]) -> None:
        """One encoder's result. Raises the error that ended it."""
        said = ""
        for event in events:
            match event:
                case Queued(ahead):
                    self.progress(f"{ask.model}: {ahead} ahead")
                case Loading(_, stage) if stage != said:
                    said = stage
                    self.progress(f"{ask.model}: {stage}")
                case Done(TaskStats() as stats) if self._json:
                    self.row(task_row(ask, stats))
                case Done(TaskStats() as stats):
                    print(f"[{ask.model}]")
                    for line in result_lines(stats.result):
                        print(line)
                    seconds = format_value("_s", stats.seconds)
                    print(f"({stats.tokens:,} tokens, {seconds})\n")
                    if stats.warning is not None:
                        self.progress(f"warning: {stats.warning}")
                case Failed(error, kind):
                    raise error_of_kind(kind, error)

    def meters(self, row: Mapping[str, object]) -> None:
        """One reading of every meter."""
        if self._json:
            self.row(row)
            return
        for part in ("devices", "workers"):
            rows = row[part]
            assert isinstance(rows, list)
            if rows:
                self.table(rows, part)

    def compression(self, row: Mapping[str, object]) -> None:
        """What a compression did, layer kinds counted, and both models' figures where measured."""
        if self._json:
            self.row(row)
            return
        layers, before, after = row["layers"], row.get("before"), row.get("after")
        assert isinstance(layers, list)
        for key, value in row.items():
            if key not in _TOLD_APART:
                print(f"{key}: {format_value(key, value)}")
        kinds = Counter((layer["method"], layer["reason"]) for layer in layers)
        for (method, reason), count in kinds.most_common():
            print(f"layers {method}: {count}{f' ({reason})' if reason else ''}")
        if isinstance(before, Mapping) and isinstance(after, Mapping):
            for key in before:
                sides = (format_value(key, before[key]), format_value(key, after[key]))
                print(f"{key}: {sides[0]} -> {sides[1]}")
        for verdict in _rows(row.get("verdicts")):
            print(verdict["text"])
        for suite in _rows(row.get("skills")):
            right = " -> ".join(f"{suite[side]['accuracy']:.0%}" for side in ("before", "after"))
            print(f"skill {suite['suite']}, {suite['n']} prompts: {right}")
        missing = row.get("not_measured")
        for reason in missing if isinstance(missing, list) else ():
            print(f"not measured: {reason}")

    def doctor(self, report: Mapping[str, object]) -> None:
        """What doctor found, a section at a time."""
        if self._json:
            self.row(report)
            return
        devices, missing = report["devices"], report["missing"]
        assert isinstance(devices, list)
        assert isinstance(missing, list)
        for section in ("versions", "limits"):
            found = report[section]
            assert isinstance(found, Mapping)
            print(f"{section}:")
            for key, value in found.items():
                print(f"  {key}: {format_value(key, value)}")
        print("devices:")
        self.table(devices, "devices")
        print("missing:" if missing else "missing: nothing")
        for problem in missing:
            print(f"  {problem['what']}; type: {problem['type']}")

"""The report as one HTML page that needs nothing but itself."""

from __future__ import annotations

import html
import json
from collections.abc import Mapping


def report_page(report: Mapping[str, object]) -> str:
    """A standalone page; all text is escaped."""
    return f"<!doctype html><title>report</title><pre>{html.escape(json.dumps(report, indent=1))}"

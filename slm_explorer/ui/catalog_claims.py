"""Claims set right, and small language models beside large ones."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import gradio as gr

from slm_explorer.catalog.claims import Claim
from slm_explorer.catalog.comparison import (
    CONTEXT_TOKENS,
    PRECISION_BITS,
    Comparison,
    ComparisonRow,
    comparison_rows,
    load_comparison,
)
from slm_explorer.services import Services
from slm_explorer.ui import figures
from slm_explorer.ui.catalog_rows import count_text
from slm_explorer.ui.catalog_view import claim_view
from slm_explorer.ui.components import QUIET, view
from slm_explorer.units import format_bytes


def claims_view(claims: Sequence[Claim]) -> dict[str, object]:
    """The value of the `claims` view."""
    return {
        "claims": [claim_view(claim) for claim in claims],
        "topics": sorted({claim.topic for claim in claims}),
    }


def beside_view(comparison: Comparison, rows: Sequence[ComparisonRow]) -> dict[str, object]:
    """The value of the `beside` view: sizes, published scores by harness, and what numbers do
    not say.
    """
    return {
        "precisions": list(PRECISION_BITS),
        "tokens": CONTEXT_TOKENS,
        "rows": [_row(row) for row in rows],
        "harnesses": [
            {
                "name": harness.name,
                "source": harness.source,
                "unit": harness.unit,
                "columns": list(
                    dict.fromkeys(value.name for s in harness.scores for value in s.values)
                ),
                "scores": [
                    {
                        "model": score.model,
                        "values": {value.name: f"{value.value:g}" for value in score.values},
                    }
                    for score in harness.scores
                ],
            }
            for harness in comparison.harnesses
        ],
        "qualities": [
            {
                "aspect": quality.aspect,
                "small": quality.small,
                "large": quality.large,
                "source": quality.source,
            }
            for quality in comparison.qualities
        ],
    }


def _row(row: ComparisonRow) -> dict[str, object]:
    cache = "n/a" if row.kv_cache is None else format_bytes(row.kv_cache)
    return {
        "name": row.name,
        "large": row.large,
        "parameters": ("about " if row.nominal else "") + count_text(row.parameters),
        "weights": [format_bytes(row.weights[precision]) for precision in PRECISION_BITS],
        "kv": cache if row.kv_exact or row.kv_cache is None else f"at most {cache}",
        "attention": row.attention or "n/a",
        "source": row.source,
        "verified": row.verified,
    }


class Claims:
    """`opens` draws the plot when the tab is first selected."""

    def __init__(self, services: Services, claims: Sequence[Claim]) -> None:
        self._comparison = load_comparison(services.assets)
        self._rows = comparison_rows(self._comparison, services.catalog)
        self._drawn = gr.State(False)
        gr.Markdown("### Often said about these models, and wrong")
        view("claims", claims_view(claims), elem_id="slm-claims")
        gr.Markdown("### How much smaller are small language models?")
        self._sizes = gr.Plot(show_label=False, container=False, elem_id="slm-plot-sizes")
        view("beside", beside_view(self._comparison, self._rows), elem_id="slm-beside")

    def opens(self, event: Any) -> None:
        """Draw at this event, once for each browser."""
        event(self._draw, self._drawn, [self._sizes, self._drawn], **QUIET)

    def _draw(self, drawn: bool) -> tuple[object, object]:
        if drawn:
            return gr.skip(), gr.skip()
        sizes = [figures.Size(row.name, row.large, row.weights) for row in self._rows]
        return figures.sizes_beside(sizes), True

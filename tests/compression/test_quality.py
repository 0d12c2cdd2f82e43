"""What compression costs the shipped models, on the shipped text, after reloading from disk."""

from __future__ import annotations

import threading
from collections.abc import Callable
from functools import cache
from pathlib import Path

import pytest

from slm_explorer.compression.divergence import compare
from slm_explorer.compression.recipes import Divergence
from slm_explorer.evaluate import bits_per_byte
from tests.compression.conftest import compressed
from tests.conftest import ROOT

SPROUTS = ("sprout-5m", "sprout-1m", "sprout-300k", "sprout-300k-distilled")
# Enough for the differences asked for here; the whole text is in BENCHMARKS.md.
CHARACTERS = 24_000
Measure = Callable[[str, str], Divergence]


@pytest.fixture(scope="module")
def strayed(tmp_path_factory: pytest.TempPathFactory) -> Measure:
    folder = tmp_path_factory.mktemp("children")
    text = (ROOT / "assets" / "evaluation" / "sprout-text.txt").read_text()[:CHARACTERS]

    @cache
    def measure(model: str, recipe: str) -> Divergence:
        parent: Path = ROOT / "assets" / "sprouts" / model
        child = folder / f"{model}-{recipe}"
        compressed(parent, child, recipe)
        return compare(
            parent,
            child,
            text,
            window=256,
            threads=1,
            report=lambda _fraction: None,
            stop=threading.Event(),
        )

    return measure


def loss(found: Divergence) -> float:
    """The child's bits per byte over the parent's, less one."""
    return bits_per_byte(found.after) / bits_per_byte(found.before) - 1


@pytest.mark.parametrize("model", SPROUTS)
def test_int8_hardly_changes_anything(model: str, strayed: Measure) -> None:
    found = strayed(model, "int8")
    assert loss(found) < (0.002 if model == "sprout-5m" else 0.01)
    assert found.kl < 0.004
    assert found.top1_agreement > 0.97


@pytest.mark.parametrize("model", SPROUTS)
def test_refined_int4_strays_less_than_plain_int4(model: str, strayed: Measure) -> None:
    plain, refined = strayed(model, "int4"), strayed(model, "int4-refined")
    # Not by bits per byte: of models so small they move as much by chance.
    assert refined.kl < 0.6 * plain.kl
    assert refined.top1_agreement > plain.top1_agreement


def test_refined_int4_costs_the_largest_sprout_little(strayed: Measure) -> None:
    assert loss(strayed("sprout-5m", "int4-refined")) < 0.03

"""The sampling filters are those of transformers, one by one and in its order."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from transformers.generation.logits_process import (
    MinPLogitsWarper,
    RepetitionPenaltyLogitsProcessor,
    TemperatureLogitsWarper,
    TopKLogitsWarper,
    TopPLogitsWarper,
)

from slm_explorer.engines.sampling import Sampler, filter_logits, penalize_repetition
from slm_explorer.errors import BadCheckpoint
from slm_explorer.types import Sampling

LOGITS = torch.randn(500, generator=torch.Generator().manual_seed(3)) * 4
# Equal logits at the edge of every filter are where definitions differ.
TIED = torch.tensor([2.0, 2.0, 2.0, 1.0, 1.0, 0.0, -1.0, -1.0])


@pytest.mark.parametrize("logits", [LOGITS, TIED], ids=["random", "tied"])
@pytest.mark.parametrize(
    ("settings", "warpers"),
    [
        ({"top_k": 1}, [TopKLogitsWarper(1)]),
        ({"top_k": 4}, [TopKLogitsWarper(4)]),
        ({"top_k": 10_000}, [TopKLogitsWarper(10_000)]),
        ({"top_p": 0.0}, [TopPLogitsWarper(0.0)]),
        ({"top_p": 0.5}, [TopPLogitsWarper(0.5)]),
        ({"top_p": 0.999}, [TopPLogitsWarper(0.999)]),
        ({"min_p": 0.3}, [MinPLogitsWarper(0.3)]),
        ({"min_p": 1.0}, [MinPLogitsWarper(1.0)]),
        (
            {"top_k": 5, "top_p": 0.9, "min_p": 0.05},
            [TopKLogitsWarper(5), TopPLogitsWarper(0.9), MinPLogitsWarper(0.05)],
        ),
    ],
    # The warpers' own text holds their address, which differs between two runs of the tests.
    ids=lambda value: str(value) if isinstance(value, dict) else "",
)
def test_filters(logits: torch.Tensor, settings: dict[str, Any], warpers: list[Any]) -> None:
    expected = TemperatureLogitsWarper(0.7)(None, logits[None])
    for warper in warpers:
        expected = warper(None, expected)
    ours = filter_logits(logits, Sampling(temperature=0.7, **settings))
    assert torch.equal(ours, expected[0])
    assert ours.isfinite().any(), "something is always left to choose"


@pytest.mark.parametrize("penalty", [0.5, 1.2, 2.0])
def test_repetition_penalty(penalty: float) -> None:
    seen = [3, 7, 7, 120, 499]
    expected = RepetitionPenaltyLogitsProcessor(penalty)(torch.tensor([seen]), LOGITS[None].clone())
    assert torch.equal(penalize_repetition(LOGITS, set(seen), penalty), expected[0])


def test_what_was_chosen_is_penalized_next() -> None:
    sampler = Sampler(Sampling(repetition_penalty=5.0), [])
    assert [sampler.choose(TIED) for _ in range(4)] == [0, 1, 2, 3]


def test_two_requests_do_not_share_random_numbers() -> None:
    sampling = Sampling(temperature=1.0, seed=7)
    alone = Sampler(sampling, [])
    expected = [alone.choose(LOGITS) for _ in range(8)]
    ours, other = Sampler(sampling, []), Sampler(Sampling(temperature=1.0, seed=8), [])
    mixed = []
    for _ in range(8):
        mixed.append(ours.choose(LOGITS))
        other.choose(LOGITS)
        torch.rand(3)
    assert mixed == expected


@pytest.mark.parametrize("broken", [float("nan"), float("inf")])
def test_logits_that_are_not_finite_are_an_error_in_words(broken: float) -> None:
    logits = LOGITS.clone()
    logits[17] = broken
    with pytest.raises(BadCheckpoint, match="not finite"):
        Sampler(Sampling(), []).choose(logits)

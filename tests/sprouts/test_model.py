"""The training model beside Hugging Face's Llama, and the optimizer beside its definition."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from sprouts.family import FAMILY
from sprouts.layout import lay_out
from sprouts.model import Shape, Sprout, export_config
from sprouts.optimizer import orthogonalised
from sprouts.trainer import WARM_UP, rate
from transformers import LlamaConfig, LlamaForCausalLM

SHAPE = Shape(hidden=64, layers=2, mlp=128, heads=4, kv_heads=2)


@pytest.fixture(scope="module")
def sprout() -> Sprout:
    model = Sprout(SHAPE, seed=3, compiled=False)
    for name, weight in model.named_parameters():
        if name.endswith(("o_proj.weight", "down_proj.weight")):
            torch.nn.init.normal_(weight, std=0.05)
    return model


def loss_of_first(
    model: Sprout, ids: torch.Tensor, lengths: list[int], tokens: int
) -> torch.Tensor:
    row = torch.zeros(tokens, dtype=torch.long)
    row[: sum(lengths)] = ids[: sum(lengths)]
    hidden = model.hidden(row, lay_out(np.array(lengths), tokens))
    logits = model.logits(hidden[: lengths[0] - 1]).float()
    return torch.nn.functional.cross_entropy(logits, ids[1 : lengths[0]])


def gradients(model: torch.nn.Module, loss: torch.Tensor) -> torch.Tensor:
    model.zero_grad()
    torch.autograd.backward(loss)
    return torch.cat([p.grad.flatten() for p in model.parameters() if p.grad is not None])


def test_packed_conversations_do_not_see_each_other(sprout: Sprout) -> None:
    ids = torch.randint(0, 2048, (300,), generator=torch.Generator().manual_seed(5))
    alone = gradients(sprout, loss_of_first(sprout, ids, [70], 80))
    packed = gradients(sprout, loss_of_first(sprout, ids, [70, 130, 40, 9], 400))
    assert torch.cosine_similarity(alone, packed, dim=0) > 0.999


def test_same_logits_and_gradients_as_transformers(sprout: Sprout) -> None:
    reference = LlamaForCausalLM(LlamaConfig(**export_config(SHAPE)))
    reference.load_state_dict(sprout.state_dict(), strict=False)
    reference.tie_weights()
    ids = torch.randint(0, 2048, (90,), generator=torch.Generator().manual_seed(6))
    ours = loss_of_first(sprout, ids, [90], 96)
    theirs = reference(ids[None], labels=ids[None]).loss
    assert ours.item() == pytest.approx(theirs.item(), abs=0.01)
    names = [name for name, _ in sprout.named_parameters()]
    mine = gradients(sprout, ours)
    torch.autograd.backward(theirs)
    given = dict(reference.named_parameters())
    assert (
        torch.cosine_similarity(
            mine, torch.cat([given[name].grad.flatten() for name in names]), dim=0
        )
        > 0.995
    )


def test_layout_takes_every_token_once() -> None:
    lengths = np.array([5, 48, 47, 130, 1])
    layout = lay_out(lengths, 240)
    taken = layout.index[layout.back[: lengths.sum()]]
    assert torch.equal(taken, torch.arange(lengths.sum()))
    assert (layout.index[layout.back[lengths.sum() :]] == 239).all()
    with pytest.raises(ValueError, match="no spare one"):
        lay_out(lengths, int(lengths.sum()))


def test_orthogonalised_singular_values_are_near_one() -> None:
    stack = torch.randn(3, 16, 48, generator=torch.Generator().manual_seed(7))
    values = torch.linalg.svdvals(orthogonalised(stack))
    assert values.min() > 0.5
    assert values.max() < 1.3


def test_rate_warms_up_stays_and_ends_at_nothing() -> None:
    assert rate(0, 1000) == pytest.approx(1 / WARM_UP)
    assert rate(400, 1000) == 1.0
    assert 0 < rate(999, 1000) < 0.01
    assert all(rate(step, 1000) >= rate(step + 1, 1000) for step in range(WARM_UP, 999))


def test_widths_are_multiples_of_64() -> None:
    for member in FAMILY.values():
        assert member.shape.hidden % 64 == 0
        assert member.shape.mlp % 64 == 0
    small, distilled = FAMILY["sprout-300k"], FAMILY["sprout-300k-distilled"]
    assert (small.shape, small.seed, small.steps) == (
        distilled.shape,
        distilled.seed,
        distilled.steps,
    )

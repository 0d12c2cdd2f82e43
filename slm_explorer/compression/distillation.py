"""What a student is asked to get right: the text's own tokens, and its parent's opinion of them.

Soft targets: Hinton et al. 2015 (arXiv 1503.02531). Masked tokens: Devlin et al. 2018 (arXiv
1810.04805). The cosine of hidden states: Sanh et al., DistilBERT, 2019 (arXiv 1910.01108).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

# A target of this id is no target; it is what torch's own losses leave out.
NO_TARGET = -100
_MASKED, _BY_MASK, _BY_ANY = 0.15, 0.8, 0.1


@dataclass(frozen=True)
class Batch:
    """What is read and what should be found there; both int64 [rows, window]."""

    inputs: Tensor
    targets: Tensor

    @property
    def count(self) -> int:
        """How many targets there are."""
        return int((self.targets != NO_TARGET).sum())

    def parts(self, rows: int) -> list[Batch]:
        """The batch in pieces of at most `rows` rows."""
        starts = range(0, len(self.inputs), rows)
        return [Batch(self.inputs[at : at + rows], self.targets[at : at + rows]) for at in starts]


def next_tokens(ids: Tensor, learnt: Tensor) -> Batch:
    """Each token that is to be learnt, as the target of the place before it."""
    targets = torch.full_like(ids, NO_TARGET)
    targets[:, :-1] = torch.where(learnt[:, 1:], ids[:, 1:], NO_TARGET)
    return Batch(ids, targets)


def masked_tokens(
    ids: Tensor, learnt: Tensor, mask: int, vocabulary: int, random: torch.Generator
) -> Batch:
    """15 % of the tokens as targets; of these 80 % are read as `mask`, 10 % as any other token."""
    chosen = (torch.rand(ids.shape, generator=random) < _MASKED) & learnt
    fate = torch.rand(ids.shape, generator=random)
    others = torch.randint(vocabulary, ids.shape, generator=random)
    inputs = torch.where(chosen & (fate < _BY_MASK), mask, ids)
    inputs = torch.where(chosen & (fate > 1 - _BY_ANY), others, inputs)
    return Batch(inputs, torch.where(chosen, ids, NO_TARGET))


@dataclass(frozen=True)
class Losses:
    """Sums over the targets of a batch, in nats. `total` is what is learnt from; `kl` is at
    temperature 1, from the teacher to the student, None without a teacher.
    """

    total: Tensor
    cross_entropy: float
    kl: float | None


@dataclass
class Sums:
    """Losses of several batches added up, in nats over all targets."""

    cross_entropy: float = 0.0
    kl: float | None = None
    targets: int = 0

    def add(self, found: Losses, targets: int) -> None:
        self.cross_entropy += found.cross_entropy
        if found.kl is not None:
            self.kl = (self.kl or 0.0) + found.kl
        self.targets += targets

    @property
    def means(self) -> tuple[float, float | None]:
        """(cross-entropy, KL) in nats a target."""
        count = max(1, self.targets)
        return self.cross_entropy / count, None if self.kl is None else self.kl / count


def losses(
    student: Any, teacher: Any | None, batch: Batch, share: float, temperature: float, hidden: bool
) -> Losses:
    """Read the batch with both models: (1 - share) * cross-entropy + share * KL of the softened
    distributions, times the temperature squared so that its gradient keeps its size. `hidden`
    adds share * (1 - cosine) of the last hidden states.
    """
    chosen = batch.targets != NO_TARGET
    targets = batch.targets[chosen]
    read = student(input_ids=batch.inputs, output_hidden_states=hidden)
    logits = read.logits[chosen].float()
    cross_entropy = F.cross_entropy(logits, targets, reduction="sum")
    if teacher is None:
        return Losses(cross_entropy, float(cross_entropy.detach()), None)
    with torch.no_grad():
        taught = teacher(input_ids=batch.inputs, output_hidden_states=hidden)
        teaching = taught.logits[chosen].float()
        kl = float(_divergence(logits.detach(), teaching))
    total = (1 - share) * cross_entropy
    if share:
        soft = _divergence(logits / temperature, teaching / temperature)
        total = total + share * temperature**2 * soft
    if hidden and share:
        cosine = F.cosine_similarity(
            read.hidden_states[-1][chosen].float(), taught.hidden_states[-1][chosen].float(), dim=-1
        )
        total = total + share * (1 - cosine).sum()
    return Losses(total, float(cross_entropy.detach()), kl)


def _divergence(student: Tensor, teacher: Tensor) -> Tensor:
    """KL from the teacher's to the student's distribution, in nats, summed; logits [n, vocab]."""
    return F.kl_div(
        student.log_softmax(-1), teacher.log_softmax(-1), reduction="sum", log_target=True
    )

"""The training loop: resumable, logged, and the same from the same seed and data.

A batch is shared among processes of one thread each, which meet once a step to add up their
gradients. On a CPU with other work on it that is faster than threads, which meet at every step of
the arithmetic.
"""

from __future__ import annotations

import json
import time
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from .data import LEARNT_SKILLS, Batch, Corpus
from .family import FAMILY, Member
from .layout import Layout, lay_out
from .model import Sprout
from .optimizer import build_optimizers
from .tokenizer import MAX_POSITIONS

BATCH_TOKENS = 8192
WARM_UP = 60
DECAY = 0.45  # the share of the steps, at the end, in which the rate falls to zero
CHECKPOINT_SECONDS = 150
LOG_EVERY = 25
REVIEW_RATE, REVIEW_LOOKING_BACK = 0.4, 3.0
TEMPERATURE = 2.0
TEACHER_SHARE = 0.7

# Stories and prose are many easy tokens; without weights they would drown the short answers.
_EASY = {"": 0.0, "story": 0.4, "plain text": 0.4, "small talk": 0.5}
# What rests on looking back and copying is learnt last, and by small models hardly at all.
_LOOKING_BACK = ("copy", "spell", "recall", "opposites", "sort", "story_questions")


def rate(step: int, steps: int, review: int = 0) -> float:
    """Return the share of the full learning rate: a warm-up, a plateau, a line down to zero.

    A review after that starts anew at a part of it and falls to zero again.
    """
    if step >= steps:
        return REVIEW_RATE * (steps + review - step) / review
    return min(1.0, (step + 1) / WARM_UP, (steps - step) / (steps * DECAY))


def _cross_entropy(logits: Tensor, targets: Tensor) -> Tensor:
    return F.cross_entropy(logits.float(), targets, reduction="none")


def _divergence(logits: Tensor, teacher: Tensor) -> Tensor:
    """Return the KL divergence of softened distributions (Hinton et al. 2015, arXiv 1503.02531)."""
    student = (logits.float() / TEMPERATURE).log_softmax(-1)
    taught = (teacher.float() / TEMPERATURE).log_softmax(-1)
    return (taught.exp() * (taught - student)).sum(-1) * TEMPERATURE**2


def inputs(batch: Batch, tokens: int) -> tuple[Tensor, Layout, Tensor, Tensor, Tensor]:
    """Return ids (tokens,), their layout, and place, target and skill of each learnt token."""
    ids = torch.zeros(tokens, dtype=torch.long)
    ids[: len(batch.ids)] = torch.from_numpy(batch.ids)
    targets = torch.from_numpy(np.nonzero(batch.skills)[0])
    skills = torch.from_numpy(batch.skills)[targets]
    return ids, lay_out(batch.lengths, tokens), targets - 1, ids[targets], skills


def train(rank: int, ranks: int, member: Member, work: Path, steps: int | None) -> None:
    """Train a member as process `rank` of `ranks`."""
    torch.set_num_threads(1)
    if ranks > 1:
        meeting = work / f"{member.name}.meeting"
        torch.distributed.init_process_group(
            "gloo", init_method=f"file://{meeting}", rank=rank, world_size=ranks
        )
    Run(member, work, steps, rank, ranks).train()
    if ranks > 1:
        torch.distributed.destroy_process_group()


class Run:
    """One member's training in its own folder under the work folder."""

    def __init__(
        self, member: Member, work: Path, steps: int | None = None, rank: int = 0, ranks: int = 1
    ) -> None:
        self.member = member
        self.rank, self.ranks = rank, ranks
        # A cut between conversations is off by half of the longest one at most.
        self.row_tokens = BATCH_TOKENS // ranks + 1 + (0 if ranks == 1 else MAX_POSITIONS // 2)
        self.folder = work / member.name
        self.folder.mkdir(parents=True, exist_ok=True)
        self.steps = steps or member.steps
        self.end = self.steps + member.review
        self.corpus = Corpus(work / "data", BATCH_TOKENS)
        self.review = Corpus(work / "review", BATCH_TOKENS)
        if self.steps > len(self.corpus) or member.review > len(self.review):
            raise ValueError(f"{self.steps} and {member.review} steps need more data")
        self.model = Sprout(member.shape, member.seed)
        self.optimizers = build_optimizers(self.model, member.matrix_lr, member.other_lr)
        self.cross_entropy = torch.compile(_cross_entropy, dynamic=True)
        self.divergence = torch.compile(_divergence, dynamic=True)
        self.step, self.tokens, self.seconds = 0, 0, 0.0
        self._resume()
        # All gradients lie in one row, with the sum of the loss weights at its end.
        weights = list(self.model.parameters())
        self.gradients = torch.zeros(self.model.parameter_count() + 1)
        parts = torch.split(self.gradients, [*(weight.numel() for weight in weights), 1])
        for weight, part in zip(weights, parts, strict=False):
            weight.grad = part.view_as(weight)
        self.teacher: Sprout | None = None
        if member.teacher:
            state = torch.load(work / member.teacher / "checkpoint.pt", weights_only=True)
            self.teacher = Sprout(FAMILY[member.teacher].shape, 0)
            self.teacher.load_state_dict(state["model"])

    def train(self) -> None:
        """Train to the last step, with a checkpoint now and then."""
        saved = time.monotonic()
        sums = np.zeros((2, len(LEARNT_SKILLS)))
        while self.step < self.end:
            begun = time.monotonic()
            skills, losses = self._one_step()
            self.seconds += time.monotonic() - begun
            sums[0] += np.bincount(skills, losses, len(LEARNT_SKILLS))
            sums[1] += np.bincount(skills, minlength=len(LEARNT_SKILLS))
            self.step += 1
            if self.rank:
                continue
            if self.step % LOG_EVERY == 0 or self.step == self.end:
                self._log(sums)
                sums[:] = 0
            if time.monotonic() - saved > CHECKPOINT_SECONDS:
                self.save()
                saved = time.monotonic()
        if not self.rank:
            self.save()

    def _one_step(self) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
        reviewing = self.step >= self.steps
        batch = (
            self.review.batch(self.step - self.steps) if reviewing else self.corpus.batch(self.step)
        )
        share = batch.part(self.rank, self.ranks)
        ids, layout, places, targets, skills = inputs(share, self.row_tokens)
        logits = self.model.logits(self.model.hidden(ids, layout)[places])
        losses = self.cross_entropy(logits, targets)
        weights = self._skill_weights()[skills]
        objective = losses
        if self.teacher is not None:
            with torch.no_grad():
                taught = self.teacher.logits(self.teacher.hidden(ids, layout)[places])
            divergence = self.divergence(logits, taught)
            objective = (1 - TEACHER_SHARE) * losses + TEACHER_SHARE * divergence
        self.gradients.zero_()
        torch.autograd.backward((objective * weights).sum())
        self.gradients[-1] = weights.sum()
        if self.ranks > 1:
            torch.distributed.all_reduce(self.gradients)
        self.gradients /= self.gradients[-1].clone()
        portion = rate(self.step, self.steps, self.member.review)
        for optimizer, full in zip(
            self.optimizers, (self.member.matrix_lr, self.member.other_lr), strict=True
        ):
            optimizer.param_groups[0]["lr"] = full * portion
            optimizer.step()
        self.tokens += len(batch.ids)
        return skills.numpy(), losses.detach().numpy()

    def _skill_weights(self) -> Tensor:
        reviewing = self.step >= self.steps
        looking_back = REVIEW_LOOKING_BACK if reviewing else self.member.looking_back
        weights = {**_EASY, **dict.fromkeys(_LOOKING_BACK, looking_back)}
        return torch.tensor([weights.get(skill, 1.0) for skill in LEARNT_SKILLS])

    def _log(self, sums: NDArray[np.float64]) -> None:
        by_skill = {
            name: round(float(total / count), 4)
            for name, total, count in zip(LEARNT_SKILLS, *sums, strict=True)
            if name and count
        }
        row = {
            "step": self.step,
            "tokens": self.tokens,
            "seconds": round(self.seconds, 1),
            "rate": round(rate(self.step - 1, self.steps, self.member.review), 4),
            "loss": round(float(sums[0].sum() / sums[1].sum()), 4),
            "loss_by_skill": by_skill,
        }
        print(json.dumps(row), flush=True)
        with (self.folder / "log.jsonl").open("a") as log:
            log.write(json.dumps(row) + "\n")

    def save(self) -> None:
        """Write the checkpoint beside the old one, then put it in its place."""
        state = {
            "model": self.model.state_dict(),
            "optimizers": [optimizer.state_dict() for optimizer in self.optimizers],
            "step": self.step,
            "tokens": self.tokens,
            "seconds": self.seconds,
        }
        torch.save(state, self.folder / "checkpoint.new")
        (self.folder / "checkpoint.new").replace(self.folder / "checkpoint.pt")

    def _resume(self) -> None:
        path, log = self.folder / "checkpoint.pt", self.folder / "log.jsonl"
        if not path.exists():
            if not self.rank:
                log.unlink(missing_ok=True)
            return
        state = torch.load(path, weights_only=True)
        self.model.load_state_dict(state["model"])
        for optimizer, saved in zip(self.optimizers, state["optimizers"], strict=True):
            optimizer.load_state_dict(saved)
        self.step, self.tokens, self.seconds = state["step"], state["tokens"], state["seconds"]
        if self.rank:
            return
        rows = [row for row in log.read_text().splitlines() if json.loads(row)["step"] <= self.step]
        log.write_text("".join(row + "\n" for row in rows))

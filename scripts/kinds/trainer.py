"""The training loop: Muon and AdamW, bf16 arithmetic, a log, and checkpoints to go on from."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import torch
from sprouts.optimizer import Muon
from torch import nn

from .family import FAMILY, Member, checkpoint, learner

WARM_UP, DECAY = 50, 0.6
LOG_EVERY, CHECKPOINT_SECONDS = 25, 60.0
CLIP = 1.0
DISTANCES = 20.0


def rate(step: int, steps: int) -> float:
    """The share of the full learning rate: up, level, and the last part down to zero."""
    return min(1.0, (step + 1) / WARM_UP, (steps - step) / (steps * DECAY))


def optimizers(model: nn.Module, member: Member) -> list[torch.optim.Optimizer]:
    """Muon for the layers' matrices; AdamW for embeddings, norms, heads, and T5's distances.

    T5 knows order by the biases of distances alone, which are added to attention's logits and so
    have farther to go than other weights.
    """
    matrices: list[nn.Parameter] = []
    others: list[nn.Parameter] = []
    distances: list[nn.Parameter] = []
    for name, weight in model.named_parameters():
        if "relative_attention_bias" in name:
            distances.append(weight)
        elif weight.dim() == 2 and (".layer." in name or ".block." in name):
            matrices.append(weight)
        else:
            others.append(weight)
    groups: list[dict[str, Any]] = [{"params": others, "share": 1.0}]
    if distances:
        groups.append({"params": distances, "share": DISTANCES})
    adamw = torch.optim.AdamW(
        groups, lr=member.other_lr, betas=(0.9, 0.98), weight_decay=0.0, fused=True
    )
    return [Muon(matrices, member.matrix_lr), adamw]


def train(name: str, work: Path, steps: int | None = None) -> None:
    """Train a member to the end of its plan, or go on with it; `steps` stops it sooner."""
    member = FAMILY[name]
    torch.manual_seed(member.seed)
    Run(member, work).train(steps or member.steps)


class Run:
    """One member's training in its own folder under the work folder."""

    def __init__(self, member: Member, work: Path) -> None:
        self.member = member
        self.learner = learner(member, work)
        self.model = self.learner.model
        self.optimizers = optimizers(self.model, member)
        self.path = checkpoint(member.name, work)
        self.log = self.path.with_name("log.jsonl")
        self.path.parent.mkdir(parents=True, exist_ok=True)
        self.step, self.tokens, self.seconds = 0, 0, 0.0
        self._resume()

    def train(self, until: int) -> None:
        """Train up to a step, with a checkpoint now and then."""
        saved, total = time.monotonic(), 0.0
        self.model.train()
        while self.step < until:
            begun = time.monotonic()
            total += self._one_step()
            self.seconds += time.monotonic() - begun
            self.step += 1
            if self.step % LOG_EVERY == 0:
                self._write(total / LOG_EVERY)
                total = 0.0
            if time.monotonic() - saved > CHECKPOINT_SECONDS and self.step % LOG_EVERY == 0:
                self.save()
                saved = time.monotonic()
        self.save()

    def _one_step(self) -> float:
        with torch.autocast("cpu", dtype=torch.bfloat16):
            loss, tokens = self.learner.loss(self.step)
        for optimizer in self.optimizers:
            optimizer.zero_grad(set_to_none=False)
        torch.autograd.backward(loss)
        # A weight that the loss does not touch, such as a pooler, has no gradient.
        for weight in self.model.parameters():
            if weight.grad is None:
                weight.grad = torch.zeros_like(weight)
        nn.utils.clip_grad_norm_(self.model.parameters(), CLIP)
        portion = rate(self.step, self.member.steps)
        rates = (self.member.matrix_lr, self.member.other_lr)
        for optimizer, full in zip(self.optimizers, rates, strict=True):
            for group in optimizer.param_groups:
                group["lr"] = full * portion * group.get("share", 1.0)
            optimizer.step()
        self.tokens += tokens
        return float(loss.detach())

    def _write(self, loss: float) -> None:
        row = {
            "step": self.step,
            "tokens": self.tokens,
            "seconds": round(self.seconds, 1),
            "rate": round(rate(self.step - 1, self.member.steps), 4),
            "loss": round(loss, 4),
        }
        print(json.dumps(row), flush=True)
        with self.log.open("a") as log:
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
        new = self.path.with_suffix(".new")
        torch.save(state, new)
        new.replace(self.path)

    def _resume(self) -> None:
        if not self.path.exists():
            self.log.unlink(missing_ok=True)
            return
        state = torch.load(self.path, weights_only=True)
        self.model.load_state_dict(state["model"])
        for optimizer, saved in zip(self.optimizers, state["optimizers"], strict=True):
            optimizer.load_state_dict(saved)
        self.step, self.tokens, self.seconds = state["step"], state["tokens"], state["seconds"]
        rows = [
            row for row in self.log.read_text().splitlines() if json.loads(row)["step"] <= self.step
        ]
        self.log.write_text("".join(row + "\n" for row in rows))

"""Muon for the matrices, AdamW for embeddings and norms.

Muon (Jordan et al. 2024, https://kellerjordan.github.io/posts/muon) replaces the momentum of a
matrix by the nearest half-orthogonal matrix, so that every direction of it is learnt equally fast.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable

import torch
from torch import Tensor, nn


def orthogonalised(matrices: Tensor, steps: int = 5) -> Tensor:
    """Push the singular values of a stack (n, rows, cols), rows <= cols, towards one.

    Newton-Schulz with Muon's quintic coefficients; they end between about 0.7 and 1.2.
    """
    a, b, c = 3.4445, -4.7750, 2.0315
    x: Tensor = matrices.bfloat16()
    x = x / (x.norm(dim=(-2, -1), keepdim=True) + 1e-7)
    for _ in range(steps):
        gram = x @ x.mT
        x = a * x + torch.baddbmm(gram, gram, gram, beta=b, alpha=c) @ x
    orthogonal: Tensor = x.float()
    return orthogonal


class Muon(torch.optim.Optimizer):
    """Momentum, orthogonalised; matrices of one shape are handled as one stack."""

    def __init__(self, matrices: Iterable[nn.Parameter], lr: float, momentum: float = 0.95) -> None:
        super().__init__(list(matrices), {"lr": lr, "momentum": momentum})

    @torch.no_grad()
    def step(self, closure: None = None) -> None:  # type: ignore[override]  # noqa: ARG002
        """Take one step; `closure` is not used."""
        for group in self.param_groups:
            stacks: dict[tuple[int, ...], list[Tensor]] = defaultdict(list)
            for weight in group["params"]:
                state = self.state[weight]
                if not state:
                    state["momentum"] = torch.zeros_like(weight)
                state["momentum"].lerp_(weight.grad, 1 - group["momentum"])
                stacks[tuple(sorted(weight.shape))].append(weight)
            for weights in stacks.values():
                self._step_stack(weights, group["lr"], group["momentum"])

    def _step_stack(self, weights: list[Tensor], lr: float, momentum: float) -> None:
        tall = [weight.shape[0] > weight.shape[1] for weight in weights]
        updates = [
            torch.lerp(weight.grad, self.state[weight]["momentum"], momentum)
            for weight in weights
            if weight.grad is not None
        ]
        stack = torch.stack([u.mT if flip else u for u, flip in zip(updates, tall, strict=True)])
        for weight, update, flip in zip(weights, orthogonalised(stack), tall, strict=True):
            scale = max(1.0, weight.shape[0] / weight.shape[1]) ** 0.5
            weight.add_(update.mT if flip else update, alpha=-lr * scale)


def build_optimizers(
    model: nn.Module, matrix_lr: float, other_lr: float
) -> list[torch.optim.Optimizer]:
    """Return Muon over the layers' matrices and AdamW over everything else."""
    matrices = [p for n, p in model.named_parameters() if p.dim() == 2 and "embed" not in n]
    others = [p for n, p in model.named_parameters() if p.dim() != 2 or "embed" in n]
    adamw = torch.optim.AdamW(others, lr=other_lr, betas=(0.9, 0.95), weight_decay=0.0, fused=True)
    return [Muon(matrices, matrix_lr), adamw]

"""Root-mean-square norms (Zhang and Sennrich 2019, arXiv:1910.07467) in few operators.

A token passes some fifty norms, and each operator costs more than its arithmetic: torch's own
`rms_norm` is a dozen of them on a CPU. These give the bits that transformers' norms give.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn

_ROUNDED: dict[torch.dtype, Callable[[Tensor], Tensor]] = {
    torch.bfloat16: Tensor.bfloat16,
    torch.float16: Tensor.half,
    torch.float32: Tensor.float,
}


class RmsNorm:
    """The norm over the last dimension, in the dtype of the states. The gain is multiplied after
    they are rounded to it, as in Llama, or, if `wide`, in float32 before.
    """

    def __init__(self, gain: Tensor, eps: float, *, wide: bool = False) -> None:
        self._gain = gain.float() if wide else gain
        self._wide = wide
        # As tensors: of a number, operators make one in every call.
        self._eps = torch.tensor(eps)
        self._width = torch.tensor(float(gain.shape[0]))

    def __call__(self, states: Tensor) -> Tensor:
        rounded = _ROUNDED[states.dtype]
        states = states.float()
        mean = torch.addcdiv(self._eps, torch.sum(states.square(), -1, True), self._width)
        normal = states * mean.rsqrt_()
        return rounded(normal * self._gain) if self._wide else rounded(normal) * self._gain


class FusedNorm(nn.Module):
    """An RmsNorm in the place of a model's own norm."""

    def __init__(self, norm: RmsNorm, gain: Tensor) -> None:
        super().__init__()
        self._norm, self._gain = norm, gain

    @property
    def weight(self) -> Tensor:
        return self._gain

    def __call__(self, states: Tensor) -> Tensor:
        return self._norm(states)


def fused_norm(module: nn.Module) -> FusedNorm | None:
    """The same norm in fewer operators, where it gives the same bits on probes."""
    eps = getattr(module, "variance_epsilon", getattr(module, "eps", None))
    gain = getattr(module, "weight", None)
    if not type(module).__name__.endswith("RMSNorm") or not isinstance(eps, float):
        return None
    if not isinstance(gain, Tensor) or gain.dim() != 1 or gain.dtype not in _ROUNDED:
        return None
    gain = gain.detach()
    line = torch.linspace(-3, 3, 4 * gain.shape[0]).view(4, -1)
    probes = [line.to(dtype) for dtype in {gain.dtype, torch.bfloat16}]
    # Gemma stores how far the gain is from one.
    kinds = (
        RmsNorm(gain, eps),
        RmsNorm(gain, eps, wide=True),
        RmsNorm(1.0 + gain.float(), eps, wide=True),
    )
    with torch.inference_mode():
        for norm in kinds:
            if all(torch.equal(norm(probe), module(probe)) for probe in probes):
                return FusedNorm(norm, gain)
    return None

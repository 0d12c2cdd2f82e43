"""Linear layers as plain functions: without the cost of a module call, in the layout that the
processor's instructions read, several in one product where they share their input.

They take the layers' weights over, so that no second copy stays.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from slm_explorer.compression.cores import multiplies_bf16
from slm_explorer.compression.packed import PackedLinear, fused

Projection = Callable[[Tensor], Tensor]

# As TorchScript, since a trace cannot hold the empty list among the operator's arguments.
_blocked_linear = torch.jit.CompilationUnit(
    """
def linear(inputs: Tensor, weight: Tensor, bias: Optional[Tensor]) -> Tensor:
    return torch.ops.mkldnn._linear_pointwise(inputs, weight, bias, "none", [], "")
"""
).linear

WIDE = 512
"""From this hidden size on, projections are fused and packed: narrower models gain little by it
and are left exact."""


def one_projection(module: nn.Module, *, wide: bool) -> Projection:
    """A linear layer without the cost of a module call; any other module as it is."""
    if isinstance(module, PackedLinear):
        product = module.matrix.product
        return product if module.bias is None else partial(_with_bias, product, module.bias)
    if type(module) is not nn.Linear:
        return module
    if wide and packs(module.weight):
        return _packed([module])
    return partial(F.linear, weight=module.weight, bias=module.bias)


def _with_bias(product: Projection, bias: Tensor, rows: Tensor) -> Tensor:
    return product(rows) + bias


def side_by_side(modules: Sequence[nn.Module], *, wide: bool) -> Projection:
    """One projection that gives the modules' outputs side by side."""
    packed = [module for module in modules if isinstance(module, PackedLinear)]
    joined = fused(packed) if len(packed) == len(modules) else None
    if joined is not None:
        return one_projection(joined, wide=wide)
    linears = [module for module in modules if type(module) is nn.Linear]
    alike = len(linears) == len(modules) and len({each.bias is None for each in linears}) == 1
    if not wide or not alike:
        parts = tuple(one_projection(module, wide=wide) for module in modules)
        return partial(_joined_outputs, parts)
    if packs(linears[0].weight):
        return _packed(linears)
    weight = _join_parameters(linears, "weight")
    bias = None if linears[0].bias is None else _join_parameters(linears, "bias")
    return partial(F.linear, weight=weight, bias=bias)


def _joined_outputs(projections: Sequence[Projection], inputs: Tensor) -> Tensor:
    return torch.cat([project(inputs) for project in projections], dim=-1)


def blocked_weights(projection: Projection) -> list[Tensor]:
    """The tensors in oneDNN's layout that a projection multiplies with."""
    if not isinstance(projection, partial):
        return []
    parts = projection.args[0] if projection.func is _joined_outputs else projection.args[:1]
    inside = [weight for part in parts for weight in blocked_weights(part)]
    return [projection.keywords["weight"]] if projection.func is _blocked_linear else inside


def packs(weight: Tensor) -> bool:
    """Whether oneDNN has a layout of its own for this weight on this processor."""
    return weight.dtype is torch.bfloat16 and weight.device.type == "cpu" and multiplies_bf16()


def _packed(linears: Sequence[nn.Linear]) -> Projection:
    """The layers side by side in oneDNN's blocked layout. A plain bf16 matmul reorders the
    weight for every token; this one does not.
    """
    weights = [linear.weight.detach() for linear in linears]
    # A head can be a sixth of a model: one alone is not copied before it is reordered.
    joined = weights[0] if len(weights) == 1 else torch.cat(weights)
    weight = torch.ops.mkldnn._reorder_linear_weight(joined, 1)
    biases = [linear.bias.detach() for linear in linears if linear.bias is not None]
    bias = torch.cat(biases) if biases else None
    for linear in linears:
        linear.weight = nn.Parameter(joined.new_empty(0), requires_grad=False)
    return partial(_blocked_linear, weight=weight, bias=bias)


def _join_parameters(linears: Sequence[nn.Linear], name: str) -> Tensor:
    """Put the parameters into one tensor, and make them views of it: no second copy stays."""
    joined = torch.cat([getattr(linear, name).detach() for linear in linears])
    start = 0
    for linear in linears:
        size = getattr(linear, name).shape[0]
        view = nn.Parameter(joined[start : start + size], requires_grad=False)
        setattr(linear, name, view)
        start += size
    return joined

"""The Sprouts as torch modules that train fast on a CPU, with the names of Hugging Face's Llama.

A batch is whole conversations laid end to end. Linear layers see one flat row of tokens, without
padding; attention sees each conversation alone. So nothing leaks from one conversation to the next
and every conversation starts at position 0, as it will in use.

Llama: Touvron et al. 2023 (arXiv 2302.13971). Grouped-query attention: Ainslie et al. 2023
(arXiv 2305.13245). Rotary positions: Su et al. 2021 (arXiv 2104.09864).
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.autograd.function import FunctionCtx
from torch.nn import functional as F

from .layout import Layout, take
from .tokenizer import MAX_POSITIONS, VOCABULARY

ROPE_THETA = 10_000.0
NORM_EPS = 1e-5


@dataclass(frozen=True, slots=True)
class Shape:
    """A model's shape; widths are multiples of 64, so that packed kernels can take them."""

    hidden: int
    layers: int
    mlp: int
    heads: int
    kv_heads: int

    @property
    def head_dim(self) -> int:
        return self.hidden // self.heads


def rotary(positions: Tensor, head_dim: int) -> tuple[Tensor, Tensor]:
    """Return cosines and sines of shape (T, 1, head_dim) for the positions (T,)."""
    rates = ROPE_THETA ** (-torch.arange(0, head_dim, 2, dtype=torch.float32) / head_dim)
    angles = positions[:, None].float() * rates
    angles = torch.cat([angles, angles], dim=-1)[:, None, :]
    return angles.cos(), angles.sin()


def _rotate(x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    left, right = x.chunk(2, dim=-1)
    return x * cos + torch.cat([-right, left], dim=-1) * sin


def _norm(x: Tensor, gain: Tensor) -> Tensor:
    x = x.float()
    return (x * torch.rsqrt(x.pow(2).mean(-1, keepdim=True) + NORM_EPS) * gain).bfloat16()


def _linear(x: Tensor, weight: Tensor) -> Tensor:
    return F.linear(x, weight.bfloat16())


# The parts below are plain functions of tensors, so that one compiled version serves all layers.


def _before(
    x: Tensor, gain: Tensor, q_w: Tensor, k_w: Tensor, v_w: Tensor, cos: Tensor, sin: Tensor
) -> Tensor:
    """Norm and project x (T, hidden): rotated, scaled queries, keys and values, side by side."""
    head_dim = cos.shape[-1]
    x = _norm(x, gain)
    q, k = _linear(x, q_w), _linear(x, k_w)
    q = _rotate(q.view(q.shape[0], -1, head_dim).float() * head_dim**-0.5, cos, sin).bfloat16()
    k = _rotate(k.view(k.shape[0], -1, head_dim).float(), cos, sin).bfloat16()
    return torch.cat([q.flatten(1), k.flatten(1), _linear(x, v_w)], dim=1)


class _Attend(torch.autograd.Function):
    """Causal attention of one group, with its gradient written out.

    The fused kernel's gradient, and a compiled one, are several times slower on a CPU. Query heads
    that share a key head are stacked along the length, so keys are never repeated in memory.
    """

    @staticmethod
    def forward(ctx: FunctionCtx, q: Tensor, k: Tensor, v: Tensor, mask: Tensor) -> Tensor:
        weights = torch.baddbmm(mask, q, k.mT).softmax(-1)
        ctx.save_for_backward(q, k, v, weights)
        return weights @ v

    @staticmethod
    def backward(ctx: FunctionCtx, grad: Tensor) -> tuple[Tensor, Tensor, Tensor, None]:
        q, k, v, weights = ctx.saved_tensors  # type: ignore[attr-defined]
        scores = torch._softmax_backward_data(grad @ v.mT, weights, -1, weights.dtype)
        return scores @ k, scores.mT @ q, weights.mT @ grad, None


def _attend(qkv: Tensor, shape: Shape) -> Tensor:
    """Attend causally. qkv: (conversations, length, widths) -> (conversations, length, hidden)."""
    rows, length, _ = qkv.shape
    shared = shape.heads // shape.kv_heads
    heads = qkv.view(rows, length, -1, shape.head_dim).transpose(1, 2)
    parts = torch.split(heads, [shape.heads, shape.kv_heads, shape.kv_heads], dim=1)
    stacks = rows * shape.kv_heads
    q, k, v = (part.reshape(stacks, -1, shape.head_dim) for part in parts)
    mask = torch.full((length, length), -1e4, dtype=q.dtype).triu(1).repeat(shared, 1)
    mixed: Tensor = _Attend.apply(q, k, v, mask)  # type: ignore[no-untyped-call]
    mixed = mixed.view(rows, shape.heads, length, shape.head_dim)
    return mixed.transpose(1, 2).reshape(rows, length, -1)


def _after(
    x: Tensor,
    mixed: Tensor,
    o_w: Tensor,
    gain: Tensor,
    gate_w: Tensor,
    up_w: Tensor,
    down_w: Tensor,
) -> Tensor:
    """Add attention's output and the SwiGLU MLP's (Shazeer 2020, arXiv 2002.05202) to x."""
    x = x + _linear(mixed, o_w)
    y = _norm(x, gain)
    return x + _linear(F.silu(_linear(y, gate_w)) * _linear(y, up_w), down_w)


class Attention(nn.Module):
    """The weights of grouped-query self-attention."""

    def __init__(self, shape: Shape) -> None:
        super().__init__()
        self.q_proj = nn.Linear(shape.hidden, shape.hidden, bias=False)
        self.k_proj = nn.Linear(shape.hidden, shape.kv_heads * shape.head_dim, bias=False)
        self.v_proj = nn.Linear(shape.hidden, shape.kv_heads * shape.head_dim, bias=False)
        self.o_proj = nn.Linear(shape.hidden, shape.hidden, bias=False)


class Mlp(nn.Module):
    """The weights of a SwiGLU MLP."""

    def __init__(self, shape: Shape) -> None:
        super().__init__()
        self.gate_proj = nn.Linear(shape.hidden, shape.mlp, bias=False)
        self.up_proj = nn.Linear(shape.hidden, shape.mlp, bias=False)
        self.down_proj = nn.Linear(shape.mlp, shape.hidden, bias=False)


class Norm(nn.Module):
    """The gain of a root-mean-square norm."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(width))


class Layer(nn.Module):
    """The weights of one decoder layer."""

    def __init__(self, shape: Shape) -> None:
        super().__init__()
        self.input_layernorm = Norm(shape.hidden)
        self.self_attn = Attention(shape)
        self.post_attention_layernorm = Norm(shape.hidden)
        self.mlp = Mlp(shape)


class Body(nn.Module):
    """Embedding, layers and the last norm."""

    def __init__(self, shape: Shape) -> None:
        super().__init__()
        self.embed_tokens = nn.Embedding(VOCABULARY, shape.hidden)
        self.layers = nn.ModuleList(Layer(shape) for _ in range(shape.layers))
        self.norm = Norm(shape.hidden)


class Sprout(nn.Module):
    """A Llama whose state dict loads into `LlamaForCausalLM` as it is; embeddings are tied."""

    cos: Tensor
    sin: Tensor

    def __init__(self, shape: Shape, seed: int, compiled: bool = True) -> None:
        super().__init__()
        torch.manual_seed(seed)
        self.shape = shape
        self.model = Body(shape)
        for name, weight in self.named_parameters():
            if name.endswith(("o_proj.weight", "down_proj.weight")):
                nn.init.zeros_(weight)  # what writes to the residual stream starts at nothing
            elif weight.dim() == 2:
                nn.init.normal_(weight, std=0.02 if "embed" in name else weight.shape[1] ** -0.5)
        cos, sin = rotary(torch.arange(MAX_POSITIONS), shape.head_dim)
        self.register_buffer("cos", cos, persistent=False)
        self.register_buffer("sin", sin, persistent=False)
        self._before = torch.compile(_before) if compiled else _before
        self._after = torch.compile(_after) if compiled else _after

    def hidden(self, ids: Tensor, layout: Layout) -> Tensor:
        """Return the normalised last hidden states (T, hidden) in bfloat16 of the tokens (T,)."""
        cos, sin = self.cos[layout.positions], self.sin[layout.positions]
        x = self.model.embed_tokens(ids)
        for layer in self.model.layers:
            assert isinstance(layer, Layer)
            attention, mlp = layer.self_attn, layer.mlp
            qkv = self._before(
                x, layer.input_layernorm.weight, attention.q_proj.weight, attention.k_proj.weight,
                attention.v_proj.weight, cos, sin,
            )  # fmt: skip
            x = self._after(
                x, self._mix(qkv, layout), attention.o_proj.weight,
                layer.post_attention_layernorm.weight, mlp.gate_proj.weight, mlp.up_proj.weight,
                mlp.down_proj.weight,
            )  # fmt: skip
        return _norm(x, self.model.norm.weight)

    def _mix(self, qkv: Tensor, layout: Layout) -> Tensor:
        groups = torch.split(
            take(qkv, layout.index, layout.back), [rows * columns for rows, columns in layout.sizes]
        )
        mixed = [
            _attend(group.view(*size, -1), self.shape).flatten(0, 1)
            for group, size in zip(groups, layout.sizes, strict=True)
        ]
        return take(torch.cat(mixed), layout.back, layout.index)

    def logits(self, hidden: Tensor) -> Tensor:
        """Return the logits (n, vocabulary) in bfloat16 of n hidden states."""
        return _linear(hidden, self.model.embed_tokens.weight)

    def parameter_count(self) -> int:
        """Return the number of weights, the tied embedding counted once."""
        return sum(weight.numel() for weight in self.parameters())


def export_config(shape: Shape) -> dict[str, object]:
    """Return the `LlamaConfig` arguments of a shape."""
    return {
        "vocab_size": VOCABULARY,
        "hidden_size": shape.hidden,
        "intermediate_size": shape.mlp,
        "num_hidden_layers": shape.layers,
        "num_attention_heads": shape.heads,
        "num_key_value_heads": shape.kv_heads,
        "head_dim": shape.head_dim,
        "hidden_act": "silu",
        "max_position_embeddings": MAX_POSITIONS,
        "rms_norm_eps": NORM_EPS,
        "rope_theta": ROPE_THETA,
        "tie_word_embeddings": True,
        "attention_bias": False,
        "mlp_bias": False,
    }

"""One block of a model of Llama's shape, as what lean.py calls and multiplies with."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

from torch import Tensor

from slm_explorer.engines.batch_rows import SteadyRows, steady_elements
from slm_explorer.engines.norms import RmsNorm
from slm_explorer.engines.projections import Projection, one_projection, side_by_side


@dataclass(frozen=True)
class LeanLayer:
    """One block: its projections, activation and norms as callables."""

    qkv: Projection
    output: Projection
    gate_up: Projection
    down: Projection
    activation: Callable[[Tensor], Tensor]
    attention_norm: RmsNorm
    mlp_norm: RmsNorm
    query_norm: RmsNorm | None
    key_norm: RmsNorm | None
    rotates: bool

    def steady(self, rows: SteadyRows, width: int, mixed: int, inner: int) -> LeanLayer:
        """The same for steps of one token of each of some sequences. `width` is that of the state,
        `mixed` that of the attention's heads together, `inner` that of the MLP.
        """
        return replace(
            self,
            qkv=rows.steady(self.qkv, width),
            output=rows.steady(self.output, mixed),
            gate_up=rows.steady(self.gate_up, width),
            down=rows.steady(self.down, inner),
            activation=steady_elements(self.activation),
        )


def lean_layer(
    layer: Any, activation: Callable[[Tensor], Tensor], eps: float, *, wide: bool
) -> LeanLayer:
    """From a block of transformers' model, whose weights the projections take over; `eps` is that
    of its norms.
    """
    attention, mlp = layer.self_attn, layer.mlp

    def norm(module: Any) -> RmsNorm:
        return RmsNorm(module.weight, eps)

    return LeanLayer(
        qkv=side_by_side((attention.q_proj, attention.k_proj, attention.v_proj), wide=wide),
        output=one_projection(attention.o_proj, wide=wide),
        gate_up=side_by_side((mlp.gate_proj, mlp.up_proj), wide=wide),
        down=one_projection(mlp.down_proj, wide=wide),
        activation=activation,
        attention_norm=norm(layer.input_layernorm),
        mlp_norm=norm(layer.post_attention_layernorm),
        query_norm=norm(attention.q_norm) if hasattr(attention, "q_norm") else None,
        key_norm=norm(attention.k_norm) if hasattr(attention, "k_norm") else None,
        rotates=bool(getattr(attention, "use_rope", True)),
    )

"""One block of a model of Llama's shape, as what lean.py calls and multiplies with."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

from torch import Tensor

from slm_explorer.engines.batch_rows import SteadyRows, steady_elements
from slm_explorer.engines.projections import Projection, one_projection, side_by_side


@dataclass(frozen=True)
class LeanLayer:
    """One block: its projections and activation as callables, its norms as gains."""

    qkv: Projection
    output: Projection
    gate_up: Projection
    down: Projection
    activation: Callable[[Tensor], Tensor]
    attention_gain: Tensor
    mlp_gain: Tensor
    query_gain: Tensor | None
    key_gain: Tensor | None
    rotates: bool

    def steady(self, rows: SteadyRows, mixed: int, inner: int) -> LeanLayer:
        """The same for steps of one token of each of some sequences. `mixed` is the width of the
        attention's heads together, `inner` that of the MLP.
        """
        width = self.attention_gain.shape[0]
        return replace(
            self,
            qkv=rows.steady(self.qkv, width),
            output=rows.steady(self.output, mixed),
            gate_up=rows.steady(self.gate_up, width),
            down=rows.steady(self.down, inner),
            activation=steady_elements(self.activation),
        )


def lean_layer(layer: Any, activation: Callable[[Tensor], Tensor], *, wide: bool) -> LeanLayer:
    """From a block of transformers' model, whose weights the projections take over."""
    attention, mlp = layer.self_attn, layer.mlp
    return LeanLayer(
        qkv=side_by_side((attention.q_proj, attention.k_proj, attention.v_proj), wide=wide),
        output=one_projection(attention.o_proj, wide=wide),
        gate_up=side_by_side((mlp.gate_proj, mlp.up_proj), wide=wide),
        down=one_projection(mlp.down_proj, wide=wide),
        activation=activation,
        attention_gain=layer.input_layernorm.weight,
        mlp_gain=layer.post_attention_layernorm.weight,
        query_gain=attention.q_norm.weight if hasattr(attention, "q_norm") else None,
        key_gain=attention.k_norm.weight if hasattr(attention, "k_norm") else None,
        rotates=bool(getattr(attention, "use_rope", True)),
    )

"""Where each architecture keeps its layers, MLPs and heads, and which of its structure can be
taken out so that an ordinary config.json still describes what is left.

Standard library only. An architecture that is not in the table is refused: a checkpoint that
transformers misreads would answer with noise.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class Mlp:
    """The layers of an MLP, named from their block. `inputs` make the neurons, `output` reads
    them; `width` is the config's key for their number. `halves`: the one input holds gates and
    values, one above the other.
    """

    inputs: tuple[str, ...]
    output: str
    width: str = "intermediate_size"
    halves: int = 1


@dataclass(frozen=True)
class Attention:
    """The four projections of an attention whose config.json can say the width of a head."""

    q: str = "self_attn.q_proj"
    k: str = "self_attn.k_proj"
    v: str = "self_attn.v_proj"
    o: str = "self_attn.o_proj"


@dataclass(frozen=True)
class Family:
    """`mlp` None where its width is fixed; `no_layers` and `no_heads` say why those must stay.

    `keeps_first`: the first layer is built unlike the others, so it stays. `divides_hidden`: its
    configuration refuses numbers of heads that do not divide the hidden size.
    """

    mlp: Mlp | None
    attention: Attention | None = None
    no_heads: str = ""
    no_layers: str = ""
    keeps_first: bool = False
    divides_hidden: bool = False


_GATED = Mlp(("mlp.gate_proj", "mlp.up_proj"), "mlp.down_proj")
_BERT = Mlp(("intermediate.dense",), "output.dense")
_BY_DIVISION = (
    "Its heads are as wide as its hidden size divided by their number, so its config.json cannot "
    "say that there are fewer: use prune-mlp."
)
_FUSED = (
    "Its queries, keys and values are one matrix, which prune-heads does not cut: use prune-mlp."
)
_GROUPED = Family(_GATED, Attention())
_LLAMA = Family(_GATED, Attention(), divides_hidden=True)

FAMILIES: dict[str, Family] = {
    **dict.fromkeys(
        ("mistral", "qwen2", "qwen3", "smollm3", "granite", "ernie4_5", "gemma"), _GROUPED
    ),
    **dict.fromkeys(("llama", "gemma2", "gemma3_text"), _LLAMA),
    "olmo2": Family(
        _GATED,
        no_heads="Its query and key norms span all heads, so none can go: use prune-mlp.",
    ),
    "stablelm": Family(_GATED, no_heads=_BY_DIVISION),
    "phi": Family(Mlp(("mlp.fc1",), "mlp.fc2"), Attention(o="self_attn.dense")),
    "phi3": Family(Mlp(("mlp.gate_up_proj",), "mlp.down_proj", halves=2), no_heads=_FUSED),
    "gpt2": Family(Mlp(("mlp.c_fc",), "mlp.c_proj", "n_inner"), no_heads=_BY_DIVISION),
    "gpt_neo": Family(Mlp(("mlp.c_fc",), "mlp.c_proj"), no_heads=_BY_DIVISION),
    "gptj": Family(Mlp(("mlp.fc_in",), "mlp.fc_out", "n_inner"), no_heads=_BY_DIVISION),
    "gpt_neox": Family(Mlp(("mlp.dense_h_to_4h",), "mlp.dense_4h_to_h"), no_heads=_BY_DIVISION),
    "opt": Family(Mlp(("fc1",), "fc2", "ffn_dim"), no_heads=_BY_DIVISION),
    "falcon": Family(
        Mlp(("mlp.dense_h_to_4h",), "mlp.dense_4h_to_h", "ffn_hidden_size"), no_heads=_BY_DIVISION
    ),
    "mpt": Family(None, no_heads=_BY_DIVISION),
    "lfm2": Family(
        Mlp(("feed_forward.w1", "feed_forward.w3"), "feed_forward.w2"),
        no_heads="Only some of its layers have heads, so prune-heads leaves them: use prune-mlp.",
    ),
    "bert": Family(_BERT, no_heads=_BY_DIVISION),
    "roberta": Family(_BERT, no_heads=_BY_DIVISION),
    "distilbert": Family(Mlp(("ffn.lin1",), "ffn.lin2", "hidden_dim"), no_heads=_BY_DIVISION),
    "modernbert": Family(Mlp(("mlp.Wi",), "mlp.Wo", halves=2), no_heads=_FUSED, keeps_first=True),
    "albert": Family(
        None,
        no_heads="One attention serves all of its layers: choose another model.",
        no_layers="Its layers are one layer run many times, so leaving some out saves no memory.",
    ),
    "t5": Family(
        Mlp(
            ("DenseReluDense.wi", "DenseReluDense.wi_0", "DenseReluDense.wi_1"),
            "DenseReluDense.wo",
            "d_ff",
        ),
        no_heads="All of its layers share the position bias of each head, so none can go.",
        no_layers="Its encoder and decoder lean on their first layers' position bias: drop-layers "
        "is for decoders and encoders.",
    ),
}

_STRUCTURE = ("drop-layers", "prune-mlp", "prune-heads", "low-rank")
_LAYERS = ("num_hidden_layers", "n_layer", "n_layers", "num_layers")


def layer_count(config: Mapping[str, object]) -> int | None:
    """How many layers a config.json says there are; None where it does not."""
    found = (config.get(key) for key in _LAYERS)
    return next((each for each in found if isinstance(each, int)), None)


def in_mlp(path: str, model_type: str) -> bool:
    """Whether a layer, by its path in the model, belongs to an MLP of this architecture."""
    mlp = FAMILIES[model_type].mlp
    if mlp is None or "attention" in path:
        return False
    return path.endswith(tuple(f".{name}" for name in (*mlp.inputs, mlp.output)))


def structure_reason(step: str, value: float | None, config: Mapping[str, object]) -> str | None:
    """Why a structural step cannot be done on the model of this config.json; None: it can."""
    if step not in _STRUCTURE:
        return None
    kind = config.get("model_type")
    family = FAMILIES.get(str(kind))
    if family is None:
        return f"{step} does not know how {kind} models are built: choose a storage recipe."
    if step == "drop-layers":
        count = layer_count(config)
        if not family.no_layers and count is not None and value is not None and value >= count:
            return f"It has {count} layers, and at least one must stay: drop fewer."
        return family.no_layers or None
    if step == "low-rank":
        return None if family.mlp else "Its MLPs cannot be told apart: choose another recipe."
    if step == "prune-mlp":
        return None if family.mlp else "The width of its MLPs is not in its config.json."
    if family.attention is None:
        return family.no_heads
    heads = config.get("num_key_value_heads") or config.get("num_attention_heads")
    return "It has a single KV head, which must stay: use prune-mlp." if heads == 1 else None

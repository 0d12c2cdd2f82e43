"""The catalog's cards: what is known of each model, and where each fact comes from.

`assets/catalog.json` is `{"schema": 1, "sources": [text, ...], "cards": [card, ...]}`. A card's
keys are the fields of Card below (those with a default may be absent), its `architecture`,
`paper` and `benchmarks` the fields of those classes. Its `sources` maps a field's name to the
index of a text in the shared list, so that 62 cards do not repeat the same source.

A shipped model's card has no architecture there: it is read from the model's own config.json
and safetensors header when the catalog is loaded, so that card and weights cannot differ.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

ArchitectureKind = Literal["encoder", "decoder", "encoder-decoder", "encoder or decoder"]
DTYPE_BYTES = {"float32": 4, "bfloat16": 2, "float16": 2}


def is_verified(source: str) -> bool:
    """False where the text of a source says that the value, or a part of it, is from memory."""
    return "unverified" not in source and "from memory" not in source


@dataclass(frozen=True)
class LayerCount:
    """So many layers of one kind in a model that mixes kinds."""

    kind: str
    layers: int


@dataclass(frozen=True)
class Architecture:
    """A model's numbers, in the terms of transformers' configs. Lengths in tokens.

    `embedding_size` differs from `hidden_size` where embeddings are factorised. `num_layers`
    counts the encoder's in an encoder-decoder, whose decoder has `num_decoder_layers`.
    `max_position_embeddings` is what the config allows, `context_length` what the makers
    document. `kv_layers` is how many layers keep a KV cache, None where all do.

    `layer_order` names the kinds of a mixed model's layers from the first on, and repeats until
    `num_layers`. `layer_groups` is how many sets of weights the layers share, None where each has
    its own. `mlps_per_layer` counts stacked MLPs, whose layers work at `bottleneck_size` inside.
    The `linear_...` numbers are those of linear-attention layers, `conv_kernel` the width in
    tokens of their convolutions or of convolution layers. Axial positions are two tables of
    `axial_shape` rows and `axial_dims` columns.
    """

    num_layers: int
    hidden_size: int
    embedding_size: int
    num_attention_heads: int
    num_key_value_heads: int
    head_dim: int
    intermediate_size: int
    vocab_size: int
    max_position_embeddings: int
    context_length: int
    activation: str
    norm: str
    norm_placement: str
    positional: str
    gated_mlp: bool
    tied_embeddings: bool
    qkv_bias: bool = False
    qk_norm: bool = False
    parallel_residual: bool = False
    num_decoder_layers: int | None = None
    rope_theta: float | None = None
    partial_rotary_factor: float | None = None
    sliding_window: int | None = None
    layers: tuple[LayerCount, ...] = ()
    kv_layers: int | None = None
    layer_note: str | None = None
    layer_order: tuple[str, ...] = ()
    layer_groups: int | None = None
    mlps_per_layer: int = 1
    bottleneck_size: int | None = None
    linear_key_heads: int | None = None
    linear_value_heads: int | None = None
    linear_head_dim: int | None = None
    conv_kernel: int | None = None
    axial_shape: tuple[int, ...] = ()
    axial_dims: tuple[int, ...] = ()

    @property
    def layer_kinds(self) -> tuple[str, ...]:
        """The kind of every layer in order; empty where the model does not mix kinds."""
        if not self.layer_order:
            return ()
        repeats = -(-self.num_layers // len(self.layer_order))
        return (self.layer_order * repeats)[: self.num_layers]

    @property
    def kv_values_per_token(self) -> int:
        """Numbers kept in the KV cache per token: keys and values of every caching layer.

        An upper bound where a sliding window lets layers forget.
        """
        layers = self.num_layers if self.kv_layers is None else self.kv_layers
        return 2 * layers * self.num_key_value_heads * self.head_dim


@dataclass(frozen=True)
class Paper:
    title: str
    year: int | None = None
    url: str | None = None


@dataclass(frozen=True)
class Benchmark:
    """A published figure as its source prints it. Different harnesses do not compare."""

    name: str
    value: str
    source: str
    setting: str | None = None


@dataclass(frozen=True)
class Source:
    """Where the value of one field of a card comes from."""

    field: str
    text: str

    @property
    def verified(self) -> bool:
        """False where the value, or a part of it, was written down from memory."""
        return is_verified(self.text)


@dataclass(frozen=True)
class Card:
    """One model, or one named attention method (then without architecture and weights).

    `hub_id` is its repository on the Hugging Face Hub. `parameters` counts unique parameters
    of the model without a task head; `parameters_with_head` adds a language-model head where
    the checkpoint stores one apart; `parameters_text` is the decoder alone of a model that
    also sees. `gated` says what the Hub asks before a download: "no", "auto" (a click) or
    "manual" (terms to accept). `commercial_use` is the licence in one phrase, None where
    unknown. `supported_by_transformers` means built in, with no remote code, in 5.23.
    """

    id: str
    name: str
    family: str
    organisation: str
    architecture_kind: ArchitectureKind
    hub_id: str | None = None
    other_hub_ids: tuple[str, ...] = ()
    shipped: bool = False
    license: str | None = None
    license_id: str | None = None
    gated: Literal["no", "auto", "manual"] = "no"
    commercial_use: str | None = None
    release: str | None = None
    releases: str | None = None
    model_type: str | None = None
    transformers_class: str | None = None
    auto_class: str | None = None
    supported_by_transformers: bool = False
    architecture: Architecture | None = None
    attention: str | None = None
    parameters: int | None = None
    parameters_with_head: int | None = None
    parameters_text: int | None = None
    parameters_embedding: int | None = None
    parameters_published: str | None = None
    native_dtype: str | None = None
    weights_format: tuple[str, ...] = ()
    weights_note: str | None = None
    chat_template: bool = False
    instruction_tuned: bool = False
    languages: tuple[str, ...] = ()
    modalities: tuple[str, ...] = ()
    tasks: tuple[str, ...] = ()
    use_cases: tuple[str, ...] = ()
    strengths: tuple[str, ...] = ()
    training_data: str | None = None
    training_tokens: str | None = None
    derivation: str | None = None
    compression_technique: str | None = None
    paper: Paper | None = None
    benchmarks: tuple[Benchmark, ...] = ()
    notes: str | None = None
    sources: tuple[Source, ...] = ()

    @property
    def context_length(self) -> int | None:
        """Tokens that the makers document; None where there is no model."""
        return self.architecture.context_length if self.architecture else None

    @property
    def unverified(self) -> tuple[str, ...]:
        """The fields whose value was written down from memory, wholly or in part."""
        return tuple(source.field for source in self.sources if not source.verified)

    def source(self, field: str) -> Source | None:
        """Where the value of `field` comes from; None where nothing is recorded."""
        return next((source for source in self.sources if source.field == field), None)

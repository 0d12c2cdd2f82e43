"""What a folder with a Hugging Face checkpoint holds, from config.json and file headers alone.

Nothing of the weights is read, so a model can be refused before it costs anything. Pickled
checkpoints are refused because unpickling runs whatever code the file contains.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from slm_explorer.catalog.cards import ArchitectureKind
from slm_explorer.catalog.safetensors import TensorHeader, read_header
from slm_explorer.compression.recipes import SECTION
from slm_explorer.errors import BadCheckpoint

MAX_JSON_BYTES = 64 * 2**20
_WEIGHTS = "model.safetensors"
_INDEX = "model.safetensors.index.json"
_PICKLED = (".bin", ".pt", ".pth", ".ckpt", ".pkl", ".pickle")
_TOKENIZERS = ("tokenizer.json", "tokenizer.model", "vocab.json", "vocab.txt", "spiece.model")
_PLAIN_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,199}")
_ENCODERS = frozenset(
    "albert bert camembert deberta deberta-v2 distilbert electra ernie eurobert mobilebert "
    "modernbert mpnet nomic_bert roberta roformer squeezebert xlm-roberta".split()
)
_ENCODER_DECODERS = frozenset(
    "bart blenderbot bigbird_pegasus led longt5 m2m_100 marian mbart mt5 pegasus prophetnet "
    "switch_transformers t5 t5gemma umt5 whisper".split()
)
_CACHING_LAYERS = frozenset(("attention", "full_attention", "sliding_attention"))


@dataclass(frozen=True)
class CheckpointFacts:
    """A checkpoint's facts; None is unknown, because the config does not say.

    `parameters` counts stored floating-point numbers without a copy of tied embeddings; None
    for quantized checkpoints, which pack several into one. `weights_bytes` is their stored
    size. `dtypes` are torch names, the commonest first. `num_layers` counts those that keep a
    KV cache in `kv_layers`. `files` are the weight files' names. `config` is config.json.
    """

    path: Path
    config: Mapping[str, object]
    model_type: str
    architecture_kind: ArchitectureKind | None
    parameters: int | None
    weights_bytes: int
    dtypes: tuple[str, ...]
    context_length: int | None
    vocab_size: int | None
    hidden_size: int | None
    intermediate_size: int | None
    num_layers: int | None
    kv_layers: int | None
    num_attention_heads: int | None
    num_key_value_heads: int | None
    head_dim: int | None
    has_tokenizer: bool
    has_chat_template: bool
    files: tuple[str, ...]

    @property
    def class_name(self) -> str | None:
        """The transformers class that it was saved as."""
        declared = self.config.get("architectures")
        first = declared[0] if isinstance(declared, list) and declared else None
        return first if isinstance(first, str) else None


def inspect_checkpoint(path: Path) -> CheckpointFacts:
    """Read the facts of the checkpoint in folder `path`.

    Raises BadCheckpoint where there is no complete safetensors checkpoint. Whether its
    architecture is known is left to the engine.
    """
    if not path.exists():
        raise BadCheckpoint(f"There is no folder {path}.")
    if not path.is_dir():
        raise BadCheckpoint(f"{path} is a file: give the folder that holds config.json.")
    config = _config(path)
    model_type = config.get("model_type")
    if not isinstance(model_type, str) or not _PLAIN_NAME.fullmatch(model_type):
        raise BadCheckpoint(f"{path / 'config.json'} names no model_type: it is no model's config.")
    kind = architecture_kind(model_type, config)
    files, tensors = _tensors(path)
    # Models that also see or hear keep the decoder's numbers in a config of its own.
    nested = config.get("text_config")
    text = nested if isinstance(nested, dict) else config
    if text.get("tie_word_embeddings", config.get("tie_word_embeddings")) is True:
        tensors = _without_tied_head(tensors)
    layers = _number(text, "num_hidden_layers", "n_layer", "num_layers", "n_layers")
    heads = _number(text, "num_attention_heads", "n_head", "num_heads", "n_heads")
    hidden = _number(text, "hidden_size", "n_embd", "d_model")
    head_dim = _number(text, "head_dim")
    if head_dim is None and hidden is not None and heads is not None:
        head_dim = hidden // heads
    sizes: Counter[str] = Counter()
    for tensor in tensors:
        sizes[tensor.dtype] += tensor.bytes
    quantized = "quantization_config" in config
    dtypes = [dtype for dtype, _ in sizes.most_common()]
    parameters = sum(tensor.elements for tensor in tensors if tensor.floating)
    made = config.get(SECTION)
    if isinstance(made, dict):
        # Codes stand for weights there; what the model computes in is said apart.
        parameters = _number(made, "parameters") or parameters
        dtypes.sort(key=lambda dtype: dtype != made.get("dtype"))
    return CheckpointFacts(
        path=path,
        config=config,
        model_type=model_type,
        architecture_kind=kind,
        parameters=None if quantized else parameters,
        weights_bytes=sizes.total(),
        dtypes=tuple(dtypes),
        context_length=_number(text, "max_position_embeddings", "n_positions", "max_seq_len"),
        vocab_size=_number(text, "vocab_size"),
        hidden_size=hidden,
        intermediate_size=_number(text, "intermediate_size", "ffn_dim", "n_inner", "block_ff_dim"),
        num_layers=layers,
        kv_layers=_kv_layers(text, layers),
        num_attention_heads=heads,
        num_key_value_heads=_kv_heads(text, heads),
        head_dim=head_dim,
        has_tokenizer=any((path / name).is_file() for name in _TOKENIZERS),
        has_chat_template=_has_chat_template(path),
        files=files,
    )


def _config(path: Path) -> dict[str, object]:
    if not (path / "config.json").is_file():
        raise BadCheckpoint(
            f"{path} holds no config.json, so it is no Hugging Face checkpoint: give the folder "
            "that holds config.json and model.safetensors."
        )
    return _json_object(path / "config.json")


def _json_object(path: Path) -> dict[str, object]:
    try:
        if path.stat().st_size > MAX_JSON_BYTES:
            raise BadCheckpoint(f"{path} is larger than {MAX_JSON_BYTES:,} bytes.")
        values = json.loads(path.read_bytes())
    except OSError as error:
        raise BadCheckpoint(f"{path} cannot be read ({error.strerror}).") from None
    except (ValueError, RecursionError):
        raise BadCheckpoint(f"{path} is not valid JSON: copy or download it again.") from None
    if not isinstance(values, dict):
        raise BadCheckpoint(f"{path} is not a JSON object: copy or download it again.")
    return values


def architecture_kind(model_type: str, config: Mapping[str, object]) -> ArchitectureKind | None:
    """By model_type first: transformers also builds a "causal LM" from an encoder's config."""
    names = config.get("architectures")
    first = names[0] if isinstance(names, list) and names and isinstance(names[0], str) else ""
    causal = first.endswith(("ForCausalLM", "LMHeadModel", "ModelWithLMHead"))
    # Models that also see or hear write with a decoder whose config lies inside theirs.
    causal |= first.endswith("ForConditionalGeneration") and "text_config" in config
    if config.get("is_encoder_decoder") is True or model_type in _ENCODER_DECODERS:
        return "encoder-decoder"
    if model_type in _ENCODERS and not (causal and config.get("is_decoder") is True):
        return "encoder"
    return "decoder" if causal else None


def _tensors(path: Path) -> tuple[tuple[str, ...], tuple[TensorHeader, ...]]:
    """The weight files' names and all their tensors. One file goes before an index."""
    if (path / _WEIGHTS).exists():
        return (_WEIGHTS,), read_header(path / _WEIGHTS)
    if not (path / _INDEX).is_file():
        raise _no_weights(path)
    weight_map = _json_object(path / _INDEX).get("weight_map")
    if not isinstance(weight_map, dict) or not weight_map:
        raise BadCheckpoint(f"{path / _INDEX} has no weight_map: copy or download it again.")
    tensors: dict[str, TensorHeader] = {}
    shards: list[str] = []
    for shard in sorted({str(name) for name in weight_map.values()}):
        # A name with a path in it could point at any file of this machine.
        if not _PLAIN_NAME.fullmatch(shard) or not shard.endswith(".safetensors"):
            raise BadCheckpoint(f"{path / _INDEX} names {shard[:80]!r}, which is no shard's name.")
        if not (path / shard).exists():
            raise BadCheckpoint(
                f"{path} is incomplete: its index names {shard}, which is missing. Copy or "
                "download it again."
            )
        shards.append(shard)
        tensors |= {tensor.name: tensor for tensor in read_header(path / shard)}
    missing = sorted(set(weight_map) - set(tensors))
    if missing:
        raise BadCheckpoint(
            f"{path} is incomplete: tensor {missing[0][:80]!r} is in none of its shards. Copy or "
            "download it again."
        )
    return tuple(shards), tuple(tensors.values())


def _no_weights(path: Path) -> BadCheckpoint:
    names = sorted(entry.name for entry in path.iterdir())
    pickled = [name for name in names if name.endswith(_PICKLED) and "training_args" not in name]
    if pickled:
        return BadCheckpoint(
            f"{path} holds pickled weights only ({pickled[0]}), which can run any code when they "
            "are opened, so they are refused: convert them to safetensors "
            "(https://huggingface.co/docs/safetensors/convert-weights) and try again."
        )
    if (path / "adapter_model.safetensors").exists():
        return BadCheckpoint(
            f"{path} holds an adapter without its base model: merge it into the base model first."
        )
    return BadCheckpoint(f"{path} holds no weights: {_WEIGHTS} is missing.")


def _without_tied_head(tensors: tuple[TensorHeader, ...]) -> tuple[TensorHeader, ...]:
    """Some files store tied embeddings twice; loading keeps one of them."""
    head = next((t for t in tensors if t.name == "lm_head.weight"), None)
    if head is None or not any(
        t.shape == head.shape and t.name != head.name and "embed" in t.name for t in tensors
    ):
        return tensors
    return tuple(tensor for tensor in tensors if tensor is not head)


def _number(config: Mapping[str, object], *names: str) -> int | None:
    """The first of `names` that is a positive integer of a believable size."""
    for name in names:
        value = config.get(name)
        if type(value) is int and 0 < value < 2**40:
            return value
    return None


def _kv_layers(config: Mapping[str, object], layers: int | None) -> int | None:
    kinds = config.get("layer_types")
    if not isinstance(kinds, list):
        return layers
    return sum(1 for kind in kinds if kind in _CACHING_LAYERS)


def _kv_heads(config: Mapping[str, object], heads: int | None) -> int | None:
    if config.get("multi_query") is True and config.get("new_decoder_architecture") is not True:
        return 1
    found = _number(config, "num_key_value_heads", "num_kv_heads")
    return heads if found is None else found


def _has_chat_template(path: Path) -> bool:
    if (path / "chat_template.jinja").is_file():
        return True
    if not (path / "tokenizer_config.json").is_file():
        return False
    try:
        return bool(_json_object(path / "tokenizer_config.json").get("chat_template"))
    except BadCheckpoint:
        return False

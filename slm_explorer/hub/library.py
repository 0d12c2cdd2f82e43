"""Which models the installed transformers can build, read from its source as data.

The web process must not import transformers; its tables of model types are literals in
`models/auto`, so parsing that text says the same in milliseconds.
"""

from __future__ import annotations

import ast
import importlib.util
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from slm_explorer.catalog.cards import ArchitectureKind

_DECODERS = ("MODEL_FOR_CAUSAL_LM_MAPPING_NAMES",)
_ENCODER_DECODERS = ("MODEL_FOR_SEQ_TO_SEQ_CAUSAL_LM_MAPPING_NAMES",)
_ENCODERS = (
    "MODEL_FOR_MASKED_LM_MAPPING_NAMES",
    "MODEL_FOR_SEQUENCE_CLASSIFICATION_MAPPING_NAMES",
    "MODEL_FOR_QUESTION_ANSWERING_MAPPING_NAMES",
)


@dataclass(frozen=True)
class Library:
    """Model types by what can be built of them."""

    known: frozenset[str]
    decoders: frozenset[str]
    encoders: frozenset[str]
    encoder_decoders: frozenset[str]

    def builds(self, model_type: str, kind: ArchitectureKind) -> bool:
        if kind == "encoder-decoder":
            return model_type in self.encoder_decoders
        return model_type in (self.encoders if kind == "encoder" else self.decoders)


def read_library() -> Library | None:
    """None where transformers is not installed or keeps its tables elsewhere."""
    spec = importlib.util.find_spec("transformers")
    if spec is None or not spec.submodule_search_locations:
        return None
    folder = Path(spec.submodule_search_locations[0]) / "models" / "auto"
    try:
        configs = dict(_tables(folder / "auto_mappings.py"))
        models = dict(_tables(folder / "modeling_auto.py"))
    except (OSError, SyntaxError):
        return None

    def of(names: tuple[str, ...]) -> frozenset[str]:
        return frozenset().union(*(models.get(name, frozenset()) for name in names))

    found = Library(
        configs.get("CONFIG_MAPPING_NAMES", frozenset()),
        of(_DECODERS),
        of(_ENCODERS),
        of(_ENCODER_DECODERS),
    )
    return found if found.known and found.decoders else None


def _tables(path: Path) -> Iterator[tuple[str, frozenset[str]]]:
    """Each `NAME = OrderedDict([("key", ...), ...])` of a module, with its keys."""
    for node in ast.parse(path.read_text(encoding="utf-8")).body:
        if not isinstance(node, ast.Assign) or not isinstance(node.value, ast.Call):
            continue
        target, arguments = node.targets[0], node.value.args
        if isinstance(target, ast.Name) and arguments and isinstance(arguments[0], ast.List):
            keys = (
                pair.elts[0].value
                for pair in arguments[0].elts
                if isinstance(pair, ast.Tuple) and isinstance(pair.elts[0], ast.Constant)
            )
            yield target.id, frozenset(key for key in keys if isinstance(key, str))

"""What loads are expected to take, and what they took: the estimates behind admission, and the
measurements that correct them on this machine.
"""

from __future__ import annotations

import json
import logging
from dataclasses import asdict
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from slm_explorer.catalog.cards import Card
from slm_explorer.catalog.catalog import Catalog
from slm_explorer.catalog.checkpoint import CheckpointFacts, inspect_checkpoint
from slm_explorer.catalog.fit import estimate_footprint
from slm_explorer.catalog.footprint import NO_CORRECTION, Correction, Footprint
from slm_explorer.compression.recipes import load_step
from slm_explorer.errors import SlmError, StorageError
from slm_explorer.store import Load, Store
from slm_explorer.types import ModelInfo, ModelSpec

EXPECTED_CONTEXT_TOKENS = 2048
"""What a footprint counts for the KV cache when no conversation has been seen yet."""

# The base is corrected by loads of models up to this size, the newest ones.
_SMALL_MODEL_BYTES = 10**9
_NEWEST_LOADS = 20

_log = logging.getLogger(__name__)


class Loads:
    """The loads of this machine, kept in the store. Safe to call from any thread."""

    def __init__(self, catalog: Catalog, store: Store) -> None:
        self._catalog = catalog
        self._store = store

    @property
    def correction(self) -> Correction:
        """What the loads on this machine so far say of the estimated base."""
        try:
            residuals = self._store.residuals(
                engine_version(), max_weights=_SMALL_MODEL_BYTES, newest=_NEWEST_LOADS
            )
        except StorageError:
            return NO_CORRECTION
        return Correction.from_residuals(residuals)

    def footprint(self, spec: ModelSpec) -> int:
        """Bytes that a worker of `spec` is expected to take; 0 for one without a model."""
        facts = self._facts(spec)
        return 0 if facts is None else _estimated(facts, spec, self.correction).total

    def record(self, spec: ModelSpec, _info: ModelInfo, predicted: int, peak: int | None) -> None:
        """Keep what a load took at its peak beside what was predicted, bytes. Where that cannot be,
        the log says so.
        """
        try:
            self._store.record_load(spec.model, spec.recipe, spec.engine, predicted, peak)
            facts = self._facts(spec)
            if facts is None or spec.engine != "torch":
                return
            plain = _estimated(facts, spec, NO_CORRECTION)
            self._store.record_peak(
                Load(
                    model=spec.model,
                    recipe=spec.recipe,
                    engine=spec.engine,
                    engine_version=engine_version(),
                    spec=json.dumps(asdict(spec)),
                    context_tokens=EXPECTED_CONTEXT_TOKENS,
                    predicted_bytes=predicted,
                    loaded_bytes=plain.loaded,
                    measured_bytes=peak,
                    weights_bytes=plain.weights,
                    parts={
                        "weights": plain.weights,
                        "kv_cache": plain.kv_cache,
                        "activations": plain.activations,
                        "base": plain.base,
                    },
                )
            )
        except SlmError as error:
            _log.warning("The load of %s was not recorded: %s", spec.model, error)

    def _facts(self, spec: ModelSpec) -> CheckpointFacts | Card | None:
        if spec.path is not None:
            return inspect_checkpoint(Path(spec.path))
        return None if spec.shape_config is None else self._catalog.get(spec.model)


def _estimated(facts: CheckpointFacts | Card, spec: ModelSpec, by: Correction) -> Footprint:
    step = load_step(spec.recipe)
    return estimate_footprint(
        facts,
        recipe=step.name,
        group=step.group,
        context_tokens=EXPECTED_CONTEXT_TOKENS,
        correction=by,
    )


def engine_version() -> str:
    """What a memory measurement depends on besides the model: it is forgotten with an update."""
    names = ("torch", "transformers", "slm-explorer")
    return " ".join(f"{name} {_version(name)}" for name in names)


def _version(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return "unknown"

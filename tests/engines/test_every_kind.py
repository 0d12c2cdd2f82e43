"""Every architecture of the catalog loads from disk, does what it is for, and goes again."""

from __future__ import annotations

import gc
import weakref
from pathlib import Path

import pytest

from slm_explorer.catalog.uses import class_used, uses_of
from slm_explorer.engines.reference import ReferenceEngine
from slm_explorer.engines.torch_engine import TorchEngine
from slm_explorer.tasks import Compare, FillMask, MaskFills, SimilarityMatrix
from slm_explorer.types import ModelSpec, Sampling
from tests.engines.answers import Said, ask, request, task
from tests.engines.kinds import CANNOT_BE_BUILT, CATALOG, one_card_a_kind, save_kind

KINDS = one_card_a_kind()


def logprobs(said: Said) -> list[float]:
    return [detail.logprob for delta in said.deltas for detail in delta.details]


@pytest.mark.parametrize("kind", KINDS)
def test_a_kind_loads_does_its_task_and_unloads(kind: str, tmp_path: Path) -> None:
    card = KINDS[kind]
    folder = save_kind(tmp_path / "model", card)
    engine = TorchEngine()
    info = engine.load(ModelSpec(card.id, str(folder)), lambda _fraction, _stage: None)
    assert info.tasks == uses_of(card)
    assert info.warning is None
    if card.architecture_kind == "encoder":
        if "fill-mask" in info.tasks:
            filled = task(engine, FillMask("the fox saw [MASK] moon", 3)).result
            assert isinstance(filled, MaskFills)
            assert [len(mask) for mask in filled.masks] == [3]
            assert 0 < sum(each.probability for each in filled.masks[0]) <= 1
        alike = task(engine, Compare(("the fox", "the fox", "an owl on the hill"))).result
        assert isinstance(alike, SimilarityMatrix)
        assert alike.matrix[0][1] == pytest.approx(1, abs=1e-5)
        assert alike.matrix[0][2] < 0.9999
    else:
        asked = request(
            Sampling(max_tokens=6, ignore_eos=True), raw="The fox saw the moon", alternatives=1
        )
        said = ask(engine, asked)
        assert said.tokens == 6
        assert said.stats.finish_reason == "length"
        assert said.stats.prompt_tokens > 1
        plain = ReferenceEngine()
        plain.load(ModelSpec(card.id, str(folder)), lambda _fraction, _stage: None)
        expected = ask(plain, asked)
        assert said.text == expected.text
        assert len(logprobs(said)) == 6
        # Random weights may repeat one token: what they think of it still moves.
        assert logprobs(said) == pytest.approx(logprobs(expected), abs=1e-4)
    ready = engine._ready
    assert ready is not None
    assert type(ready.loaded.model).__name__ == class_used(card)
    model = weakref.ref(ready.loaded.model)
    del ready
    engine.close()
    gc.collect()
    assert model() is None, "unloading leaves the model behind"


def test_what_cannot_be_built_is_little_and_says_why() -> None:
    covered = {card.model_type for card in KINDS.values()}
    rest = {card.model_type for card in CATALOG.cards if not card.shipped} - covered
    assert rest == set(CANNOT_BE_BUILT)

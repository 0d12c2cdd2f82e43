"""Encoder-decoders write what `generate` writes, in our own token loop."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from transformers import AutoModelForSeq2SeqLM, AutoTokenizer

from slm_explorer.engines.registry import create_engine
from slm_explorer.errors import ContextOverflow, UnsupportedModel
from slm_explorer.types import Message, ModelSpec, Sampling
from tests.engines.answers import StopAfter, ask, request, score
from tests.engines.conftest import load
from tests.engines.kinds import CATALOG, save_kind

TEXTS = ("The fox saw the moon.", "Then the fox sat down and looked at it until the morning came.")


@pytest.fixture(scope="module", params=["t5-small", "flan-t5-small"])
def folder(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_kind(tmp_path_factory.mktemp("t5"), CATALOG.get(str(request.param)))


@pytest.mark.parametrize("text", TEXTS)
def test_greedy_tokens_are_those_of_generate(folder: Path, text: str) -> None:
    tokenizer = AutoTokenizer.from_pretrained(folder)
    model = AutoModelForSeq2SeqLM.from_pretrained(folder).eval()
    ids = tokenizer(text, return_tensors="pt").input_ids
    expected = model.generate(ids, max_new_tokens=24, do_sample=False, eos_token_id=None)[0, 1:]
    sampling = Sampling(max_tokens=24, ignore_eos=True)
    for engine in ("torch", "transformers"):
        said = ask(load(folder, engine), request(sampling, raw=text))
        assert said.text == tokenizer.decode(expected, skip_special_tokens=True), engine
        assert said.stats.prompt_tokens == ids.shape[1]


def test_a_conversation_is_read_from_its_last_message_after_the_system_prompt(
    folder: Path,
) -> None:
    engine = load(folder)
    sampling = Sampling(max_tokens=12, ignore_eos=True)
    said = ask(
        engine,
        request(
            sampling,
            messages=(
                Message("system", "Say it again:"),
                Message("user", "The owl."),
                Message("assistant", "The owl."),
                Message("user", "The fox."),
            ),
        ),
    )
    assert said.text == ask(engine, request(sampling, raw="Say it again: The fox.")).text


def test_logprobs_seed_and_stop_work_as_for_decoders(folder: Path) -> None:
    engine = load(folder)
    drawn = Sampling(temperature=1.0, seed=5, max_tokens=12, ignore_eos=True)
    first = ask(engine, request(drawn, raw=TEXTS[0], alternatives=3))
    again = ask(engine, request(drawn, raw=TEXTS[0], alternatives=3))
    assert first.text == again.text
    details = [detail for delta in first.deltas for detail in delta.details]
    assert len(details) == 12
    assert all(len(each.alternatives) == 3 and each.logprob <= 0 for each in details)
    stopped = ask(engine, request(drawn, raw=TEXTS[0]), StopAfter(4))
    assert stopped.stats.finish_reason == "cancelled"
    assert stopped.tokens < 12


def test_what_is_too_long_and_what_is_no_use_is_refused(folder: Path) -> None:
    engine = load(folder)
    with pytest.raises(ContextOverflow, match="shorten it"):
        ask(engine, request(Sampling(), raw="fox " * 6000))
    with pytest.raises(UnsupportedModel, match="left to right"):
        score(engine, TEXTS[0])
    with pytest.raises(UnsupportedModel, match="is for text-to-text, not for fill-mask"):
        create_engine("torch").load(
            ModelSpec("t5", str(folder), task="fill-mask"), lambda _part, _stage: None
        )
    assert ask(engine, request(Sampling(max_tokens=2, ignore_eos=True), raw="fox")).tokens == 2


def test_random_weights_of_a_shape_write_too() -> None:
    import json

    from tests.engines.kinds import small_config

    engine = create_engine("torch")
    config = json.dumps(small_config(CATALOG.get("t5-small")))
    engine.load(ModelSpec("t5", None, shape_config=config), lambda _part, _stage: None)
    said = ask(engine, request(Sampling(max_tokens=4, ignore_eos=True), prompt_ids=(5, 6, 7)))
    assert said.tokens == 4
    assert torch.get_num_threads() == 1

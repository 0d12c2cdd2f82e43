"""Encoder-decoders write what `generate` writes, in our own token loop."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
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
    made = save_kind(tmp_path_factory.mktemp("t5"), CATALOG.get(str(request.param)))
    weights = load_file(made / "model.safetensors")
    torch.manual_seed(6)
    for name, tensor in weights.items():
        if tensor.dim() > 1:
            # Found by trial: with these, greedy answers wander over many tokens.
            tensor.normal_(0.0, 0.05 if "shared" in name or "relative" in name else 0.3)
    save_file(weights, made / "model.safetensors", metadata={"format": "pt"})
    return made


@pytest.mark.parametrize("text", TEXTS)
def test_greedy_tokens_are_those_of_generate(folder: Path, text: str) -> None:
    tokenizer = AutoTokenizer.from_pretrained(folder)
    model = AutoModelForSeq2SeqLM.from_pretrained(folder).eval()
    ids = tokenizer(text, return_tensors="pt").input_ids
    expected = model.generate(ids, max_new_tokens=24, do_sample=False, eos_token_id=None)[0, 1:]
    assert len(set(expected.tolist())) >= 5, "a model that repeats itself proves little"
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


def test_a_head_that_differs_from_the_table_is_used_though_the_config_ties_them(
    folder: Path, tmp_path: Path
) -> None:
    # FLAN-T5's is one; transformers' configuration of T5 always says that they are tied.
    shutil.copytree(folder, tmp_path / "untied")
    weights = load_file(folder / "model.safetensors")
    head = weights["shared.weight"].flip(0).contiguous()
    save_file(
        {**weights, "lm_head.weight": head},
        tmp_path / "untied" / "model.safetensors",
        metadata={"format": "pt"},
    )
    model = AutoModelForSeq2SeqLM.from_pretrained(tmp_path / "untied")
    assert torch.equal(model.lm_head.weight, head)
    tokenizer = AutoTokenizer.from_pretrained(folder)
    ids = tokenizer(TEXTS[0], return_tensors="pt").input_ids
    expected = model.generate(ids, max_new_tokens=12, do_sample=False, eos_token_id=None)[0, 1:]
    asked = request(Sampling(max_tokens=12, ignore_eos=True), raw=TEXTS[0])
    said = ask(load(tmp_path / "untied"), asked).text
    assert said == tokenizer.decode(expected, skip_special_tokens=True)
    assert said != ask(load(folder), asked).text
    assert ask(load(tmp_path / "untied", recipe="int8"), asked).tokens == 12


def test_random_weights_of_a_shape_write_too() -> None:
    import json

    from tests.engines.kinds import small_config

    engine = create_engine("torch")
    config = json.dumps(small_config(CATALOG.get("t5-small")))
    engine.load(ModelSpec("t5", None, shape_config=config), lambda _part, _stage: None)
    said = ask(engine, request(Sampling(max_tokens=4, ignore_eos=True), prompt_ids=(5, 6, 7)))
    assert said.tokens == 4
    assert torch.get_num_threads() == 1

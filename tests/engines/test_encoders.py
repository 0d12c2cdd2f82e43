"""What encoders answer, against plain transformers; and what they are not for."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest
import torch
from transformers import (
    AutoModelForMaskedLM,
    AutoModelForQuestionAnswering,
    AutoModelForSequenceClassification,
    AutoTokenizer,
    RobertaConfig,
    RobertaForMaskedLM,
    pipeline,
)

from slm_explorer.engines.base import Engine
from slm_explorer.engines.registry import create_engine
from slm_explorer.errors import Cancelled, ContextOverflow, InvalidRequest, UnsupportedModel
from slm_explorer.tasks import (
    AskContext,
    Classify,
    Compare,
    FillMask,
    Labels,
    MaskFills,
    SimilarityMatrix,
    Spans,
    Task,
    TaskInput,
)
from slm_explorer.types import ModelSpec, Sampling
from tests.engines.answers import StopAfter, ask, request, score, task
from tests.engines.kinds import CATALOG, save_kind, word_tokenizer
from tests.engines.models import save_model

BERT = CATALOG.get("bert-uncased-l-2-h-128-a-2")
DISTILBERT = CATALOG.get("distilbert-base-uncased")


@pytest.fixture(scope="module", params=["torch", "transformers"])
def engine_name(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    root = tmp_path_factory.mktemp("encoders")
    heads = ("MaskedLM", "SequenceClassification", "QuestionAnswering")
    made = {head: save_kind(root / head, BERT, f"BertFor{head}") for head in heads}
    made["body"] = save_kind(root / "body", DISTILBERT, "DistilBertModel")
    return made


def loaded(folder: Path, engine: str = "torch", wanted: Task | None = None) -> Engine:
    made = create_engine(engine)
    made.load(
        ModelSpec(folder.name, str(folder), engine=engine, task=wanted), lambda _part, _stage: None
    )
    return made


def test_masks_are_filled_as_transformers_fills_them(
    folders: dict[str, Path], engine_name: str
) -> None:
    text = "the [MASK] saw the moon over the [MASK] ."
    done = task(loaded(folders["MaskedLM"], engine_name), FillMask(text, 4))
    assert isinstance(done.result, MaskFills)
    model = AutoModelForMaskedLM.from_pretrained(folders["MaskedLM"])
    tokenizer = AutoTokenizer.from_pretrained(folders["MaskedLM"])
    expected = pipeline("fill-mask", model=model, tokenizer=tokenizer, top_k=4)(text)
    for ours, theirs in zip(done.result.masks, expected, strict=True):
        assert [each.text for each in ours] == [each["token_str"] for each in theirs]
        assert [each.probability for each in ours] == pytest.approx(
            [each["score"] for each in theirs], rel=1e-4
        )
    assert done.tokens == len(tokenizer(text).input_ids)
    assert done.seconds > 0
    assert done.warning is None


def test_labels_have_the_probabilities_of_a_softmax(
    folders: dict[str, Path], engine_name: str
) -> None:
    done = task(loaded(folders["SequenceClassification"], engine_name), Classify("the good fox"))
    assert isinstance(done.result, Labels)
    model = AutoModelForSequenceClassification.from_pretrained(folders["SequenceClassification"])
    tokenizer = AutoTokenizer.from_pretrained(folders["SequenceClassification"])
    with torch.no_grad():
        logits = model(**tokenizer("the good fox", return_tensors="pt")).logits[0]
    expected = dict(zip(("LABEL_0", "LABEL_1"), logits.softmax(-1).tolist(), strict=True))
    assert {each.text: each.probability for each in done.result.labels} == pytest.approx(expected)
    assert done.result.labels[0].probability >= done.result.labels[1].probability
    assert done.warning is None


def test_an_answer_is_a_part_of_the_context_and_no_two_overlap(folders: dict[str, Path]) -> None:
    context = "The fox was over the moon. The owl was on the hill."
    engine = loaded(folders["QuestionAnswering"])
    done = task(engine, AskContext("where was the owl ?", context))
    assert isinstance(done.result, Spans)
    assert 1 <= len(done.result.spans) <= 3
    taken: set[int] = set()
    for span, (first, last) in zip(done.result.spans, done.result.ranges, strict=True):
        assert context[first:last] == span.text
        assert not taken & set(range(first, last))
        taken |= set(range(first, last))
    model = AutoModelForQuestionAnswering.from_pretrained(folders["QuestionAnswering"])
    tokenizer = AutoTokenizer.from_pretrained(folders["QuestionAnswering"])
    encoded = tokenizer("where was the owl ?", context, return_tensors="pt")
    with torch.no_grad():
        output = model(**encoded)
    inside = [at for at, part in enumerate(encoded.sequence_ids(0)) if part == 1]
    first, last = max(
        ((a, b) for a in inside for b in inside if a <= b < a + 30),
        key=lambda ends: float(output.start_logits[0, ends[0]] + output.end_logits[0, ends[1]]),
    )
    best = context[encoded.token_to_chars(first).start : encoded.token_to_chars(last).end]
    assert done.result.spans[0].text == best


def test_a_text_is_as_like_itself_as_can_be_whatever_else_is_asked(
    folders: dict[str, Path],
) -> None:
    engine = loaded(folders["body"])
    two = task(engine, Compare(("the fox", "the owl on the hill"))).result
    more = task(engine, Compare(("the fox", "the owl on the hill", "a moon was found"))).result
    assert isinstance(two, SimilarityMatrix)
    assert isinstance(more, SimilarityMatrix)
    assert two.matrix[0][0] == pytest.approx(1, abs=1e-6)
    assert two.matrix[0][1] == pytest.approx(two.matrix[1][0], abs=1e-6)
    assert more.matrix[0][1] == pytest.approx(two.matrix[0][1], abs=1e-6)
    assert "mean" in two.pooling


@pytest.mark.parametrize(
    ("wanted", "given"),
    [("text-classification", Classify("the fox")), ("question-answering", AskContext("a", "fox"))],
)
def test_an_untrained_head_warns_with_the_model_and_with_every_result(
    folders: dict[str, Path], wanted: Task, given: TaskInput
) -> None:
    engine = create_engine("torch")
    spec = ModelSpec("distil", str(folders["body"]), task=wanted)
    info = engine.load(spec, lambda _part, _stage: None)
    assert info.warning is not None
    assert "not trained" in info.warning
    assert "distil" in info.warning
    assert task(engine, given).warning == info.warning


def test_what_an_encoder_is_not_for_is_refused_with_what_it_is_for(
    folders: dict[str, Path], engine_name: str
) -> None:
    engine = loaded(folders["MaskedLM"], engine_name)
    with pytest.raises(UnsupportedModel, match=r"is an encoder.*fill-mask"):
        ask(engine, request(Sampling(), raw="the fox"))
    with pytest.raises(UnsupportedModel, match="left to right"):
        score(engine, "the fox saw the moon")
    with pytest.raises(UnsupportedModel, match=r"fill-mask.*not for text-classification"):
        task(engine, Classify("the fox"))


def test_a_decoder_fills_no_mask(tmp_path: Path, engine_name: str) -> None:
    engine = loaded(save_model(tmp_path, "llama"), engine_name)
    with pytest.raises(UnsupportedModel, match=r"for chat, not for fill-mask"):
        task(engine, FillMask("the [MASK]"))
    with pytest.raises(UnsupportedModel, match="is for chat, not for fill-mask"):
        loaded(tmp_path, engine_name, "fill-mask")


def test_a_text_that_is_too_long_is_refused_and_the_next_one_answered(
    folders: dict[str, Path],
) -> None:
    engine = loaded(folders["MaskedLM"])
    with pytest.raises(ContextOverflow, match="this model reads 128"):
        task(engine, FillMask("the " * 200 + "[MASK]"))
    assert task(engine, FillMask("the [MASK]")).tokens == 4


def test_positions_that_the_padding_takes_are_not_read(tmp_path: Path) -> None:
    shape = {"hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 1}
    config = RobertaConfig(
        **shape, num_attention_heads=2, vocab_size=40, pad_token_id=0, max_position_embeddings=21
    )
    RobertaForMaskedLM(config).save_pretrained(tmp_path)
    word_tokenizer().save_pretrained(tmp_path)
    engine = loaded(tmp_path)
    assert task(engine, FillMask("the " * 17 + "[MASK]")).tokens == 20
    with pytest.raises(ContextOverflow, match="this model reads 20"):
        task(engine, FillMask("the " * 18 + "[MASK]"))


def test_a_stop_between_two_texts_ends_the_task(folders: dict[str, Path]) -> None:
    engine = loaded(folders["body"])
    with pytest.raises(Cancelled):
        task(engine, Compare(("the fox", "the owl", "the moon")), StopAfter(2))
    stopped = threading.Event()
    stopped.set()
    with pytest.raises(Cancelled):
        task(engine, Compare(("the fox", "the owl")), stopped)


@pytest.mark.parametrize(
    ("make", "reason"),
    [
        (lambda: FillMask("no gap here"), r"Write \[MASK\]"),
        (lambda: FillMask("  "), "is empty"),
        (lambda: FillMask("[MASK]", 0), "between 1 and"),
        (lambda: Classify("\n"), "is empty"),
        (lambda: Compare(("one",)), "2 to 16"),
        (lambda: Compare(("one", " ")), "is empty"),
        (lambda: AskContext("", "text"), "question is empty"),
        (lambda: AskContext("who", "x" * 20_001), "20,001 characters"),
    ],
)
def test_an_input_that_makes_no_sense_is_refused_before_any_model(
    make: object, reason: str
) -> None:
    assert callable(make)
    with pytest.raises(InvalidRequest, match=reason):
        make()

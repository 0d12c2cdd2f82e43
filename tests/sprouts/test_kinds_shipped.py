"""The shipped encoders and the text-to-text model: what they promise, read from their files."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from kinds.card import LOG, RESULTS, score_rows, tasks_of_member
from kinds.evaluate import Judge
from kinds.family import (
    DISTILLED,
    DISTILLED_SENTIMENT,
    ENCODER,
    FAMILY,
    SENTIMENT,
    SIMILARITY,
    TEXT_TO_TEXT,
)
from safetensors import safe_open

from slm_explorer.catalog.catalog import Catalog
from slm_explorer.skills import list_suites, load_suite, matches
from slm_explorer.task_suites import load_task_suite
from slm_explorer.tasks import Task, tasks_of
from tests.conftest import Cli

SAMPLE = 60
CLASSES = {
    ENCODER: "BertForMaskedLM",
    SENTIMENT: "BertForSequenceClassification",
    SIMILARITY: "BertModel",
    DISTILLED: "BertForMaskedLM",
    DISTILLED_SENTIMENT: "BertForSequenceClassification",
    TEXT_TO_TEXT: "T5ForConditionalGeneration",
}


@pytest.fixture(params=list(FAMILY))
def folder(request: pytest.FixtureRequest, assets: Path) -> Path:
    return assets / "sprouts" / str(request.param)


def results(folder: Path) -> dict[str, Any]:
    loaded: dict[str, Any] = json.loads((folder / RESULTS).read_text())
    return loaded


def stored(folder: Path) -> dict[str, int]:
    """How many numbers each tensor of the weights has; all are bf16."""
    counts = {}
    with safe_open(folder / "model.safetensors", "pt") as weights:
        for name in weights.keys():  # noqa: SIM118
            part = weights.get_slice(name)
            assert part.get_dtype() == "BF16", name
            size = 1
            for side in part.get_shape():
                size *= side
            counts[name] = size
    return counts


def test_weights_card_and_catalog_have_one_count(folder: Path, assets: Path) -> None:
    parameters = sum(stored(folder).values())
    readme = (folder / "README.md").read_text(encoding="utf-8")
    assert f"A Sprout of {parameters:,} parameters" in readme
    card = Catalog.load(assets).get(folder.name)
    assert parameters == (card.parameters_with_head or card.parameters)
    assert card.transformers_class == CLASSES[folder.name]
    assert card.native_dtype == "bfloat16"
    assert card.architecture is not None
    assert card.architecture.num_layers == FAMILY[folder.name].layers
    assert tasks_of(card.architecture_kind, card.transformers_class) == tasks_of_member(folder)


def test_files_are_small_and_plain(folder: Path) -> None:
    for path in folder.iterdir():
        assert path.stat().st_size < 10_000_000
        assert path.suffix in (".json", ".jsonl", ".md", ".safetensors")


def test_all_of_them_are_small_together(assets: Path) -> None:
    folders = [assets / "sprouts" / name for name in FAMILY] + [assets / "evaluation" / "kinds"]
    files = [path for folder in folders for path in folder.rglob("*") if path.is_file()]
    assert sum(path.stat().st_size for path in files) < 15_000_000


def test_encoders_share_a_tokenizer(assets: Path) -> None:
    texts = {(assets / "sprouts" / n / "tokenizer.json").read_bytes() for n in CLASSES}
    assert len(texts) == 2


def test_card_tells_the_stored_results_and_the_log(folder: Path, assets: Path) -> None:
    readme = (folder / "README.md").read_text(encoding="utf-8")
    assert readme.startswith("---\nlicense: apache-2.0\n")
    assert "**A toy that teaches, not a tool.**" in readme
    found = results(folder)
    for row in score_rows(found):
        assert row in readme
    suites = {n: p for t in tasks_of_member(folder) for n, p in list_suites(assets, t).items()}
    assert set(found["suites"]) == set(suites)
    for name, score in found["suites"].items():
        assert score["n"] == len(suites[name].read_text().splitlines()) >= 200
    rows = [json.loads(row) for row in (folder / LOG).read_text().splitlines()]
    assert [row["step"] for row in rows] == sorted({row["step"] for row in rows})
    assert f"{rows[-1]['tokens']:,} tokens" in readme
    assert f"Loss at the end: {rows[-1]['loss']} " in readme
    assert rows[-1]["step"] == FAMILY[folder.name].steps


def test_answers_again_as_its_card_says(folder: Path, assets: Path) -> None:
    """On the first items of each suite the share is what the card says, within what they show."""
    for task in tasks_of_member(folder):
        judge = Judge(folder, task)
        for name, path in list_suites(assets, task).items():
            said = results(folder)["suites"][name]
            share = _share(judge, path, task)
            assert abs(share - said["right"] / said["n"]) < 0.2, name


def _share(judge: Judge, path: Path, task: Task) -> float:
    if task == "text-to-text":
        prompts = load_suite(path)[:SAMPLE]
        return sum(map(matches, prompts, judge.answers(prompts))) / len(prompts)
    items = load_task_suite(path, task)[:SAMPLE]
    answers = judge.answers(items)
    right = sum(item.answer == said for item, said in zip(items, answers, strict=True))
    return right / len(items)


def test_words_that_are_asked_for_are_one_piece(assets: Path) -> None:
    judge = Judge(assets / "sprouts" / ENCODER, "fill-mask")
    path = list_suites(assets, "fill-mask")["world"]
    for item in load_task_suite(path, "fill-mask"):
        assert len(judge.tokenizer(item.answer, add_special_tokens=False)["input_ids"]) == 1, item


def test_training_taught_more_than_words(assets: Path) -> None:
    """Each beats what needs no understanding, and what it started from."""

    def share(name: str, suite: str) -> float:
        score = results(assets / "sprouts" / name)["suites"][suite]
        return float(score["right"] / score["n"])

    counting = results(assets / "sprouts" / SENTIMENT)["baselines"]["sentiment"]
    matching = results(assets / "sprouts" / SIMILARITY)["baselines"]["paraphrase"]
    assert share(SENTIMENT, "sentiment") > counting + 0.3
    assert share(SIMILARITY, "paraphrase") > matching + 0.3
    assert share(SIMILARITY, "paraphrase") > share(ENCODER, "paraphrase") + 0.2


def test_the_student_keeps_its_teachers_score(assets: Path) -> None:
    teacher = results(assets / "sprouts" / SENTIMENT)["suites"]["sentiment"]
    student = results(assets / "sprouts" / DISTILLED_SENTIMENT)["suites"]["sentiment"]
    assert student["right"] >= 0.95 * teacher["right"]
    layers = {name.split(".")[3] for name in stored(assets / "sprouts" / DISTILLED_SENTIMENT)
              if ".layer." in name}  # fmt: skip
    assert layers == {"0", "1", "2"}


def test_the_command_line_judges_them_by_their_own_suites(cli: Cli, assets: Path) -> None:
    ran = cli(
        "evaluate", SENTIMENT, TEXT_TO_TEXT, "--json", "--suite", "sentiment", "--threads", "1"
    )
    assert ran.code == 2
    assert "sprout-t5 has no suite called 'sentiment'; there are: number_words" in ran.err
    (row,) = ran.rows
    said = results(assets / "sprouts" / SENTIMENT)["suites"]["sentiment"]
    assert (row["model"], row["suite"], row["n"]) == (SENTIMENT, "sentiment", said["n"])
    accuracy, interval = row["accuracy"], row["interval"]
    assert isinstance(accuracy, float)
    assert isinstance(interval, list)
    assert interval[0] <= accuracy <= interval[1]
    # bf16 arithmetic may turn an undecided item or two.
    assert abs(accuracy - said["right"] / said["n"]) < 0.02

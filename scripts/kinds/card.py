"""The README card of each model, made from its log and its stored results alone."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from slm_explorer.skills import wilson_interval
from slm_explorer.tasks import Task, tasks_of

from .batches import (
    CHANGED,
    JUDGEMENTS,
    LONG_TEXTS,
    MASKED_CONTENT,
    MASKED_OTHER,
    REWRITINGS,
    SCENES,
    SEED,
    SHORT_TEXTS,
)
from .family import (
    DISTILLED,
    DISTILLED_SENTIMENT,
    ENCODER,
    FAMILY,
    SENTIMENT,
    SIMILARITY,
    TEXT_TO_TEXT,
    Member,
)
from .models import STUDENT_LAYERS
from .objectives import ALIGNMENT, CONTRAST_TEMPERATURE, MASKED_WORDS, SOFT_TARGETS, TEMPERATURE
from .tokenizer import POSITIONS, VOCABULARY
from .trainer import CLIP, DECAY, WARM_UP

RESULTS, LOG = "evaluation.json", "training_log.jsonl"

HELD_OUT = {
    "world": "a story's cast, a pair of opposites asked together, a fact in a phrasing never seen",
    "sentiment": "each clause's pattern together with its word, such as `not` with `dull`",
    "paraphrase": "the scene: who does what to whom, and where",
    "number_words": "the number, from 100 up; half to words, half to digits",
    "past_tense": "regular verbs, most of them invented, and whole sentences with other verbs",
    "word_order": "the sentence",
    "summary": "the story's hero, its name, the object and the place together",
}
_TAGS: dict[Task, str] = {
    "fill-mask": "fill-mask",
    "text-classification": "text-classification",
    "sentence-similarity": "sentence-similarity",
    "text-to-text": "text2text-generation",
}
_ABOUT = {
    ENCODER: "It was taught to fill in masked words, and is the start of the three others that "
    "end in sentiment, similarity and distilled. It was stopped before it had learnt well to look "
    "back in a text: it knows what kind of word is missing, and seldom which.",
    SENTIMENT: "It says whether a sentence is for or against what it speaks of. Negations turn a "
    "clause round, and the main clause of a contrast decides: *The soup was not dull, but the "
    "song was hardly a delight* is NEGATIVE.",
    SIMILARITY: "It turns a sentence into a vector, the mean over its tokens; sentences that say "
    "the same in other words lie close together, those that say something else in the same words "
    "apart. It has no head: BERT's pooler is in the file and is not used.",
    DISTILLED: f"It has {STUDENT_LAYERS} layers and learned from the {ENCODER} with 6, by the "
    "recipe of DistilBERT (Sanh et al. 2019).",
    DISTILLED_SENTIMENT: f"It has {STUDENT_LAYERS} layers: {DISTILLED} with a head for sentiment, "
    f"which learned from {SENTIMENT} with 6 layers.",
    TEXT_TO_TEXT: "Each task has a prefix: `in words: 4217`, `in digits: forty-two`, `past tense: "
    "The fox carries a kite.`, `order: . harbour old found the Mia at an lantern`, `summarize:` "
    "and a story.",
}
# What is right without understanding: stated, so that a score can be told from luck.
_BASELINES = {
    "sentiment": "Counting good and bad words has {sentiment:.1%} right, for the suite is made so "
    "that words alone mislead; chance has 50%.",
    "paraphrase": "Taking the candidate that shares most words has {paraphrase:.1%} right; chance "
    "has 25%.",
}
_USE = {
    ENCODER: ("fill-mask", "The fox lost a [MASK] at the harbour."),
    DISTILLED: ("fill-mask", "The fox lost a [MASK] at the harbour."),
    SENTIMENT: ("text-classification", "The soup was not dull at all."),
    DISTILLED_SENTIMENT: ("text-classification", "The soup was not dull at all."),
}


def tasks_of_member(folder: Path) -> tuple[Task, ...]:
    """What the written checkpoint was made for."""
    config = json.loads((folder / "config.json").read_text())
    kind = "encoder-decoder" if config.get("is_encoder_decoder") else "encoder"
    return tasks_of(kind, config["architectures"][0])


def score_rows(results: dict[str, Any]) -> list[str]:
    """The table's rows: suite, n, right, accuracy and interval, what is held out."""
    rows = []
    for name, score in results["suites"].items():
        right, n = score["right"], score["n"]
        low, high = wilson_interval(right, n)
        rows.append(
            f"| {name} | {n} | {right} | {right / n:.1%} | {low:.1%} to {high:.1%} "
            f"| {HELD_OUT[name]} |"
        )
    return rows


def _architecture(member: Member) -> str:
    rest = f"width 128, MLP 384, 4 heads, {VOCABULARY:,} tied pieces, bf16"
    if member.name == TEXT_TO_TEXT:
        return f"T5 architecture: {member.layers} + {member.layers} layers, {rest}; byte-level BPE."
    return (
        f"BERT architecture: {member.layers} layers, {rest}; lower-case WordPiece, {POSITIONS} "
        "positions."
    )


def _what_is_learnt(member: Member) -> str:
    if member.name == TEXT_TO_TEXT:
        each = ", ".join(f"{count} of {task}" for task, count in REWRITINGS.items())
        return f"Each step has {each}; the loss is the cross-entropy of the pieces to write."
    if member.name in (ENCODER, DISTILLED):
        read = (
            f"Each step reads {SHORT_TEXTS} short texts and {LONG_TEXTS} stories; of the "
            f"words that they are about {MASKED_CONTENT:.0%} are masked, of all other pieces "
            f"{MASKED_OTHER:.0%}."
        )
        if member.name == ENCODER:
            return read
        return (
            f"{read} It starts from the embeddings and from layers 0, 2 and 4 of its teacher. The "
            f"loss is {SOFT_TARGETS:g} times the divergence from the teacher's predictions at "
            f"temperature {TEMPERATURE:g}, {MASKED_WORDS:g} times the cross-entropy of the masked "
            f"pieces, and {ALIGNMENT:g} times the cosine distance of the last hidden states."
        )
    if member.name == SIMILARITY:
        return (
            f"Starts from {member.start}. Each step tells {SCENES} scenes twice, and {CHANGED} "
            "changed ones of each: InfoNCE over cosines at temperature "
            f"{CONTRAST_TEMPERATURE:g}, against the batch and the changed scenes."
        )
    half = (
        f" Half of the loss is the divergence from {member.teacher} at temperature {TEMPERATURE:g}."
        if member.teacher
        else ""
    )
    return (
        f"Starts from {member.start}. Each step has {JUDGEMENTS} sentences, in which plain clauses "
        f"are more frequent than negations; in the suite they are not.{half}"
    )


def _training(member: Member, last: dict[str, Any]) -> list[str]:
    unit = "tokens were read" if member.name != TEXT_TO_TEXT else "tokens were read or written"
    lines = [
        f"- Text: our own generator, seed {SEED}, made anew for each step; {last['tokens']:,} "
        f"{unit}. No text or data of anybody else.",
        f"- {_what_is_learnt(member)}",
        f"- {last['step']:,} steps; Muon at {member.matrix_lr} for the layers' matrices, AdamW at "
        f"{member.other_lr} for the rest; {WARM_UP} steps of warm-up, the last {DECAY:.0%} of the "
        f"steps down to zero, gradients cut at {CLIP:g}. Seed {member.seed}, bf16 arithmetic, "
        "float32 weights.",
        f"- Loss at the end: {last['loss']} (the mean of the last 25 steps).",
        f"- {last['seconds'] / 60:.0f} minutes on one core of a shared server, without a GPU.",
    ]
    return [*lines, f"- {member.note}"] if member.note else lines


def _log_table(rows: list[dict[str, Any]]) -> str:
    picked = rows[:: max(1, len(rows) // 8)]
    if picked[-1] is not rows[-1]:
        picked.append(rows[-1])
    lines = ["| step | tokens | loss |", "| --- | --- | --- |"]
    lines += [f"| {row['step']} | {row['tokens']:,} | {row['loss']} |" for row in picked]
    return "\n".join(lines)


def _retained(member: Member, results: dict[str, Any], teacher: dict[str, Any]) -> str:
    """The student's score as a share of its teacher's, where the teacher understood anything."""
    parts = []
    for name, score in results["suites"].items():
        before = teacher["suites"][name]
        if before["right"] / before["n"] <= teacher["baselines"].get(name, 0.0):
            continue
        share = (score["right"] / score["n"]) / (before["right"] / before["n"])
        parts.append(f"{share:.1%} on {name}")
    return f"It keeps of the score of its teacher, {member.teacher}: {', '.join(parts)}."


def _use(member: Member) -> str:
    folder = f'"assets/sprouts/{member.name}"'
    if member.name in _USE:
        task, text = _USE[member.name]
        return f'from transformers import pipeline\n\nprint(pipeline("{task}", {folder})("{text}"))'
    if member.name == SIMILARITY:
        return (
            "import torch\nfrom transformers import AutoModel, AutoTokenizer\n\n"
            f"folder = {folder}\n"
            "tokenizer, model = AutoTokenizer.from_pretrained(folder), "
            "AutoModel.from_pretrained(folder)\n"
            'texts = ["The fox found a lantern.", "A lantern was discovered by the fox."]\n'
            'means = [model(**tokenizer(text, return_tensors="pt")).last_hidden_state[0].mean(0) '
            "for text in texts]\n"
            "print(torch.cosine_similarity(means[0], means[1], dim=0))"
        )
    return (
        "from transformers import AutoModelForSeq2SeqLM, AutoTokenizer\n\n"
        f"folder = {folder}\n"
        "tokenizer = AutoTokenizer.from_pretrained(folder)\n"
        "model = AutoModelForSeq2SeqLM.from_pretrained(folder)\n"
        'inputs = tokenizer("in words: 4217", return_tensors="pt")\n'
        "print(tokenizer.decode(model.generate(**inputs, max_new_tokens=64)[0]))"
    )


def card(
    member: Member,
    parameters: int,
    tasks: tuple[Task, ...],
    results: dict[str, Any],
    log: list[dict[str, Any]],
    teacher: dict[str, Any] | None,
) -> str:
    """The card's text."""
    baselines = [
        text.format(**results["baselines"])
        for name, text in _BASELINES.items()
        if name in results["suites"]
    ]
    kind = "t5" if member.name == TEXT_TO_TEXT else "bert"
    parts = [
        "---\nlicense: apache-2.0\nlanguage: en\nlibrary_name: transformers\n"
        f"pipeline_tag: {_TAGS[tasks[0]]}\ntags: [sprout, {kind}, tiny, from-scratch]\n---",
        f"# {member.name}",
        f"A Sprout of {parameters:,} parameters, grown from nothing on the text of a small made-up "
        f"world. **A toy that teaches, not a tool.** {_ABOUT[member.name]} It knows only the "
        "simple English of its world, and is often wrong outside of it.",
        _architecture(member),
        "## Scores",
        "Answers to what never occurs in training, compared with the one right answer, for text "
        "letter by letter (float32 arithmetic, greedy; 95% Wilson intervals).",
        "\n".join(
            [
                "| suite | n | right | accuracy | interval | what is held out |",
                "| --- | --- | --- | --- | --- | --- |",
                *score_rows(results),
            ]
        ),
        *baselines,
        *([_retained(member, results, teacher)] if teacher else []),
        "## Training",
        "\n".join(_training(member, log[-1])),
        f"Loss on text not seen before (all of it is in {LOG}):",
        _log_table(log),
        "## Use",
        f"```python\n{_use(member)}\n```",
        "Made by `scripts/train_kinds.py`; the suites are in `assets/evaluation/kinds`.",
    ]
    return "\n\n".join(parts) + "\n"


def write_card(member: Member, parameters: int, folder: Path) -> None:
    """Write the card from the log and the results in the folder, and in its teacher's beside it."""
    results = json.loads((folder / RESULTS).read_text())
    log = [json.loads(row) for row in (folder / LOG).read_text().splitlines()]
    teacher = None
    if member.teacher is not None:
        teacher = json.loads((folder.parent / FAMILY[member.teacher].name / RESULTS).read_text())
    text = card(member, parameters, tasks_of_member(folder), results, log, teacher)
    (folder / "README.md").write_text(text, encoding="utf-8")

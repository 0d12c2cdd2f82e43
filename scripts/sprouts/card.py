"""The README card of a trained model, made from its log and its stored results alone."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from slm_explorer.skills import wilson_interval

from .data import SEED
from .family import Member
from .trainer import (
    BATCH_TOKENS,
    DECAY,
    REVIEW_LOOKING_BACK,
    REVIEW_RATE,
    TEACHER_SHARE,
    TEMPERATURE,
    WARM_UP,
)

RESULTS, LOG = "evaluation.json", "training_log.jsonl"

HELD_OUT = {
    "arithmetic": "pairs of numbers (in both orders, all phrasings); the steps are written out",
    "compare": "pairs of numbers, in both orders",
    "copy": "the sequence of words",
    "facts": "a fact in a phrasing never seen for it, or a pair of facts; no fact as such",
    "opposites": "the combination of two or three words; no pair of opposites as such",
    "recall": "the thing or things said, such as a name with its value; asked two turns later",
    "sort": "the set of three to five numbers",
    "spell": "the word, which is an invented one",
    "story": "the set of two or three asked-for things; checked: all of them, and the ending",
    "story_questions": "the hero, its name, the object and the place together",
    "unknown": "the invented word, or the whole question",
}


def skill_rows(results: dict[str, Any]) -> list[str]:
    """Return the table's rows: skill, n, right, accuracy and interval, what is held out."""
    rows = []
    for skill, score in results["skills"].items():
        right, n = score["right"], score["n"]
        low, high = wilson_interval(right, n)
        rows.append(
            f"| {skill} | {n} | {right} | {right / n:.1%} | {low:.1%} to {high:.1%} "
            f"| {HELD_OUT[skill]} |"
        )
    return rows


def _header(member: Member) -> str:
    return (
        "---\nlicense: apache-2.0\nlanguage: en\nlibrary_name: transformers\n"
        "pipeline_tag: text-generation\ntags: [sprout, llama, tiny, from-scratch]\n---\n"
        f"\n# {member.name}"
    )


def _training(member: Member, last: dict[str, Any]) -> list[str]:
    lines = [
        f"- Text: conversations from our own generator, seed {SEED}, {last['tokens']:,} tokens, "
        f"{'most' if member.note else 'each'} seen once. No text or data of anybody else.",
        f"- {last['step']:,} steps of about {BATCH_TOKENS:,} tokens; the loss counts the "
        "assistant's words only (and plain prose, which is one conversation in twenty).",
        f"- Muon at {member.matrix_lr} for matrices, AdamW at {member.other_lr} for the rest; "
        f"{WARM_UP} steps of warm-up, the last {DECAY:.0%} of the steps before the review down to "
        f"zero. Seed {member.seed}, bf16 arithmetic, float32 weights.",
    ]
    if member.looking_back != 1.0:
        lines.append(
            f"- Answers that rest on looking back in the text weigh {member.looking_back:g} times "
            "as much, since small models learn them last."
        )
    if member.review:
        lines.append(
            f"- The last {member.review} of the steps are a review: text with more of what is "
            f"learnt last, the rate anew from {REVIEW_RATE:.0%}, and answers that rest on looking "
            f"back in the text weigh {REVIEW_LOOKING_BACK:g} times as much."
        )
    if member.teacher:
        lines.append(
            f"- Distilled from {member.teacher}: {TEACHER_SHARE:.0%} of the loss is the divergence "
            f"from its predictions at temperature {TEMPERATURE:g}, the rest the text itself. The "
            "twin without a teacher, sprout-300k, saw the same text in the same order from the "
            "same start."
        )
    if member.note:
        lines.append(f"- {member.note}")
    lines += [
        f"- Loss at the end: {last['loss']} nats a learnt token, the mean of the last steps.",
        f"- {last['seconds'] / 60:.0f} minutes on two cores of a shared server, without a GPU.",
    ]
    return lines


def _log_table(rows: list[dict[str, Any]]) -> list[str]:
    picked = rows[:: max(1, len(rows) // 8)]
    if picked[-1] is not rows[-1]:
        picked.append(rows[-1])
    skills = ("arithmetic", "sort", "copy", "recall", "facts")
    table = [
        f"| step | tokens | loss | {' | '.join(skills)} |",
        f"| --- | --- | --- | {' | '.join('---' for _ in skills)} |",
    ]
    for row in picked:
        parts = " | ".join(str(row["loss_by_skill"].get(skill, "n/a")) for skill in skills)
        table.append(f"| {row['step']} | {row['tokens']:,} | {row['loss']} | {parts} |")
    return table


def card(
    member: Member, parameters: int, results: dict[str, Any], log: list[dict[str, Any]]
) -> str:
    """Return the card's text."""
    shape = member.shape
    right = sum(score["right"] for score in results["skills"].values())
    n = sum(score["n"] for score in results["skills"].values())
    parts = [
        _header(member),
        f"A Sprout: a chat model of {parameters:,} parameters, grown from nothing on the text of a "
        "small made-up world. **A toy that teaches, not an assistant.** It tells short stories, "
        "answers questions about them, remembers what you said, adds, compares, sorts, spells, "
        "copies, knows opposites and a few facts, and says so when it does not know. It speaks "
        "only the simple English of its world, and is often wrong outside of it.",
        f"Llama architecture: {shape.layers} layers, width {shape.hidden}, MLP {shape.mlp}, "
        f"{shape.heads} query and {shape.kv_heads} key heads, tied embeddings of 2,048 byte-level "
        "pieces, 512 positions, bf16.",
        "## Skills",
        "Greedy answers to prompts whose content never occurs in training, compared letter by "
        "letter with the one right answer (float32 arithmetic; 95% Wilson intervals). Over all "
        f"suites {right} of {n} are right, {right / n:.1%}.",
        "\n".join(
            [
                "| skill | n | right | accuracy | interval | what is held out |",
                "| --- | --- | --- | --- | --- | --- |",
                *skill_rows(results),
            ]
        ),
        f"Held-out prose of the same world: {results['bits_per_byte']:.4f} bits per byte.",
        "Numbers go from 0 to 99; other sums, longer lists and true words that the world does not "
        "know are beyond it. The table of ten is learnt by heart and therefore not measured.",
        "## Training",
        "\n".join(_training(member, log[-1])),
        f"Loss in nats a learnt token, on text not seen before (all of it is in {LOG}):",
        "\n".join(_log_table(log)),
        "## Use",
        "```python\nfrom transformers import AutoModelForCausalLM, AutoTokenizer\n\n"
        f'folder = "assets/sprouts/{member.name}"\n'
        "tokenizer = AutoTokenizer.from_pretrained(folder)\n"
        "model = AutoModelForCausalLM.from_pretrained(folder)\n"
        'chat = [{"role": "user", "content": "Tell me a story about a fox and a lantern."}]\n'
        "inputs = tokenizer.apply_chat_template(\n"
        '    chat, add_generation_prompt=True, return_tensors="pt", return_dict=True\n'
        ")\n"
        "print(tokenizer.decode(model.generate(**inputs, max_new_tokens=120)[0]))\n```",
        "Made by `scripts/train_sprouts.py`; the suites are in `assets/evaluation/skills`.",
    ]
    return "\n\n".join(parts) + "\n"


def write_card(member: Member, parameters: int, folder: Path) -> None:
    """Write the card from the log and the results that lie in the folder."""
    results = json.loads((folder / RESULTS).read_text())
    log = [json.loads(row) for row in (folder / LOG).read_text().splitlines()]
    (folder / "README.md").write_text(card(member, parameters, results, log), encoding="utf-8")

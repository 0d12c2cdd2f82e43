"""Measure what a teacher and healing are worth, in bits per byte on the Sprouts' held-out prose.

    python scripts/measure_training.py --steps 600 --seeds 3

prints a JSON line for each model: the parent; students as they start, trained with the parent as
their teacher, and trained on the same text for as many steps without one; pruned models, and the
same healed, with the share of the loss that was won back. The text to learn from is made by the
Sprouts' own generator, or with `--text parent` by the parent; the text they are judged on is in
neither.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import threading
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import torch

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))  # the app's package, uninstalled

from slm_explorer.compress import CompressionProgress, compare, compress
from slm_explorer.compression.recipes import Divergence, parse_recipe
from slm_explorer.compression.students import make_student
from slm_explorer.compression.training import train
from slm_explorer.compression.training_plan import StudentPlan, TrainingControl, TrainingPlan
from slm_explorer.evaluate import bits_per_byte, bootstrap_interval

ASSETS = Path(__file__).resolve().parent.parent / "assets"
STUDENTS = ("distil:4", "distil:3", "distil:5,width=128,fresh")
PRUNINGS = ("prune-mlp:25", "prune-mlp:50", "drop-layers:1", "drop-layers:2")


@dataclass(frozen=True)
class Bench:
    """What every measurement shares."""

    parent: Path
    work: Path
    plan: TrainingPlan
    text: str | None
    prose: str
    threads: int

    def judged(self, folder: Path) -> Divergence:
        """The folder's model beside the parent on the held-out prose."""
        never = threading.Event()
        for event in compare(self.parent, folder, self.prose, threads=self.threads, cancel=never):
            if isinstance(event, Divergence):
                return event
        raise AssertionError("a comparison ends with its result")

    def row(self, what: str, recipe: str, folder: Path) -> dict[str, object]:
        found = self.judged(folder)
        return {
            "what": what,
            "recipe": recipe,
            "seed": self.plan.seed,
            "bits_per_byte": bits_per_byte(found.after),
            "interval": list(bootstrap_interval(found.after)),
            "kl": found.kl,
            "top1_agreement": found.top1_agreement,
            "tokens": sum(window.tokens for window in found.after),
        }

    def trained(
        self, what: str, recipe: str, start: Path, teacher_share: float
    ) -> dict[str, object]:
        """Train the model in `start`, judge it, and say what the training says of itself."""
        out = self.work / f"{start.name}-{what}"
        summary = train(
            self.parent,
            start,
            out,
            replace(self.plan, teacher_share=teacher_share),
            lambda _doing, _fraction, _point: None,
            lambda: False,
            TrainingControl(),
            self.text,
        )
        return {**self.row(what, recipe, out), "training": asdict(summary)}


def students(bench: Bench, recipes: Sequence[str]) -> Iterator[dict[str, object]]:
    """For each student: as it starts, with a teacher, and without."""
    for number, recipe in enumerate(recipes):
        (step,) = parse_recipe(recipe)
        width = step.option("width")
        start = bench.work / f"student-{number}-{bench.plan.seed}"
        plan = StudentPlan(
            depth=int(step.value or 1),
            width=None if width is None else int(width),
            fresh=step.has("fresh"),
            seed=bench.plan.seed,
        )
        make_student(bench.parent, start, plan)
        yield bench.row("start", recipe, start)
        yield bench.trained("taught", recipe, start, bench.plan.teacher_share)
        yield bench.trained("alone", recipe, start, 0.0)


def healed(bench: Bench, recipes: Sequence[str], parent: float) -> Iterator[dict[str, object]]:
    """For each pruning: what it cost, and what healing won back of it."""
    for number, recipe in enumerate(recipes):
        pruned = bench.work / f"pruned-{number}-{bench.plan.seed}"
        never = threading.Event()
        for event in compress(bench.parent, pruned, recipe, threads=bench.threads, cancel=never):
            assert not isinstance(event, CompressionProgress) or event.fraction <= 1
        before = bench.row("pruned", recipe, pruned)
        yield before
        after = bench.trained("healed", recipe, pruned, bench.plan.teacher_share)
        lost = float(str(before["bits_per_byte"])) - parent
        won = float(str(before["bits_per_byte"])) - float(str(after["bits_per_byte"]))
        yield {**after, "won_back": won / lost if lost > 0 else None}


def generated_text(conversations: int) -> str:
    """The plain texts among the generator's conversations, each with the marks around it: the
    other ones have questions, which the Sprouts have not learnt to predict.
    """
    from sprouts.data import numbered, segments

    made = (numbered(index) for index in range(conversations))
    plain = (each for each in made if not each.exchanges[0].user)
    return "".join(part for each in plain for part, _ in segments(each))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--parent", type=Path, default=ASSETS / "sprouts" / "sprout-5m")
    parser.add_argument("--steps", type=int, default=600)
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--text", choices=("generator", "parent"), default="generator")
    parser.add_argument("--conversations", type=int, default=200_000)
    parser.add_argument("--prose-bytes", type=int, default=80_000)
    parser.add_argument("--students", nargs="*", default=list(STUDENTS))
    parser.add_argument("--prunings", nargs="*", default=list(PRUNINGS))
    told = parser.parse_args()
    torch.set_num_threads(told.threads)
    text = generated_text(told.conversations) if told.text == "generator" else None
    prose = (ASSETS / "evaluation" / "sprout-text.txt").read_text(encoding="utf-8")
    for seed in range(told.seeds):
        with tempfile.TemporaryDirectory() as work:
            plan = TrainingPlan(steps=told.steps, seed=seed)
            bench = Bench(
                told.parent, Path(work), plan, text, prose[: told.prose_bytes], told.threads
            )
            parent = bench.row("parent", "native", told.parent)
            say(parent)
            for row in students(bench, told.students):
                say(row)
            for row in healed(bench, told.prunings, float(str(parent["bits_per_byte"]))):
                say(row)


def say(row: dict[str, object]) -> None:
    print(json.dumps(row), flush=True)


if __name__ == "__main__":
    main()

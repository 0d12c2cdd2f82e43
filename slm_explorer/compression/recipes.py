"""Recipes as data: what can be done to a model's weights, and what each does to it.

A recipe is one step, or steps joined by `+`, done from left to right; the last one says how the
weights are stored. Standard library only: the page and the command line read this table too.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Literal

from slm_explorer.errors import InvalidRequest
from slm_explorer.types import ScoreWindow

Storage = Literal["native", "cast", "int8", "int4"]
Method = Literal["int8", "int4", "kept"]

SECTION = "slm_explorer"
"""The key of a compressed checkpoint's config.json under which it says how it was made."""


@dataclass(frozen=True)
class Recipe:
    """One step. `storage` is how it leaves the weights; `refined` searches for better scales.

    `effect` is what to expect on a CPU before anything is measured; `paper` names the method's
    source, None where there is none to name.
    """

    name: str
    storage: Storage
    summary: str
    effect: str
    paper: str | None = None
    refined: bool = False


RECIPES: dict[str, Recipe] = {
    each.name: each
    for each in (
        Recipe(
            "native",
            "native",
            "The weights as they are stored.",
            "Nothing changes.",
        ),
        Recipe(
            "bf16",
            "cast",
            "Every number as a 16-bit bfloat: the range of float32, 8 bits of precision.",
            "Half the size of float32, and faster where the processor multiplies bf16.",
        ),
        Recipe(
            "f16",
            "cast",
            "Every number as a 16-bit float: 11 bits of precision, nothing above 65,504.",
            "Half the size of float32; slower than bf16 on most CPUs.",
        ),
        Recipe(
            "f32",
            "cast",
            "Every number as a 32-bit float.",
            "Twice the size of 16-bit weights and about half their speed.",
        ),
        Recipe(
            "int8",
            "int8",
            "Matrices as 8-bit integers with one scale an output channel.",
            "About half of bf16; answers hardly change; single tokens come faster.",
            "Dettmers et al., LLM.int8(), 2022 (https://arxiv.org/abs/2208.07339)",
        ),
        Recipe(
            "int4",
            "int4",
            "Matrices as 4-bit integers, a scale and an offset for every 64 weights between their "
            "smallest and largest; the table of tokens and the head in 8 bits.",
            "Under a third of bf16; single tokens come faster still; a small loss.",
            "Yao et al., ZeroQuant, 2022 (https://arxiv.org/abs/2206.01861)",
        ),
        Recipe(
            "int4-refined",
            "int4",
            "Like int4, with scales and offsets that a search fits to the weights themselves, "
            "without any text.",
            "The size and speed of int4 with less error; takes longer to make.",
            "after Badri and Shaji, Half-Quadratic Quantization, 2023 "
            "(https://mobiusml.github.io/hqq_blog/)",
            refined=True,
        ),
    )
}

# Measured by others and by their makers: activations of these overflow float16's 65,504.
_OVERFLOWS_F16 = frozenset(("t5", "mt5", "umt5"))


@dataclass(frozen=True)
class LayerReport:
    """What one stored matrix got. `bits` a weight, scales counted; `group` weights share a
    scale (None: a whole row, or no scale). `relative_error` is the norm of the change over the
    norm of the weights; None where nothing was changed. `reason` says why it is not what the
    recipe asks for, or what had to be padded.
    """

    name: str
    method: Method
    bits: float
    group: int | None
    relative_error: float | None
    reason: str | None

    def row(self) -> dict[str, object]:
        """Plain values under the command line's JSON keys."""
        return asdict(self)


@dataclass(frozen=True)
class CompressionResult:
    """One finished compression. Bytes of weights on disk; `peak_memory_bytes` is the most that
    the whole process took, None where the system does not tell.
    """

    recipe: str
    seconds: float
    peak_memory_bytes: int | None
    bytes_before: int
    bytes_after: int
    layers: tuple[LayerReport, ...]


@dataclass(frozen=True)
class Divergence:
    """A child beside its parent on one text. `before` and `after` are the windows of both; KL in
    nats a token, agreement as a share of tokens; intervals of 95 %, None for a single window.
    """

    before: tuple[ScoreWindow, ...]
    after: tuple[ScoreWindow, ...]
    kl: float
    kl_interval: tuple[float, float] | None
    top1_agreement: float
    top1_interval: tuple[float, float] | None


def parse_recipe(text: str) -> tuple[Recipe, ...]:
    """The steps of a recipe, in order. InvalidRequest names the word that is none.

    At most one step says how weights are stored, and it comes last.
    """
    steps = []
    for word in text.split("+"):
        step = RECIPES.get(word.strip())
        if step is None:
            known = ", ".join(RECIPES)
            shown = word.strip()[:40]
            raise InvalidRequest(
                f"No recipe is called {shown!r}: there are {known}."
                if shown
                else f"The recipe {text[:80]!r} has an empty step: there are {known}."
            )
        steps.append(step)
    if len(steps) > 1:
        first, second = steps[0].name, steps[1].name
        raise InvalidRequest(
            f"{first} and {second} both say how the weights are stored: choose one of them."
        )
    return tuple(steps)


def storage_step(text: str) -> Recipe:
    """The step of a recipe that says how the weights are stored."""
    return parse_recipe(text)[-1]


def is_compressed(config: Mapping[str, object]) -> bool:
    """Whether a config.json is that of a checkpoint which this app has compressed."""
    return isinstance(config.get(SECTION), Mapping)


def why_not(text: str, config: Mapping[str, object]) -> str | None:
    """Why a recipe cannot be used on the model of this config.json, in a sentence; or None."""
    step = storage_step(text)
    if config.get("quantization_config"):
        return (
            "It is stored quantized by another tool already: take the original checkpoint, "
            "whose weights are not rounded yet."
        )
    if step.storage == "native":
        return None
    section = config.get(SECTION)
    if isinstance(section, Mapping):
        return (
            f"It was compressed with {section.get('recipe')} already, and rounding twice loses "
            "twice: compress its parent instead, or use the recipe native."
        )
    if step.name == "f16" and config.get("model_type") in _OVERFLOWS_F16:
        return "Its activations exceed float16's largest number: use bf16."
    return None

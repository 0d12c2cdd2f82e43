"""The table of recipes: every step by its name, what it takes, what it does, and its source.

Standard library only.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Storage = Literal["native", "cast", "int8", "int4", "quanto", "low-rank"]
Kind = Literal["storage", "structure", "training", "study"]


@dataclass(frozen=True)
class Span:
    """The numbers that a step or one of its options takes, ends included; `allowed`: only these."""

    smallest: float
    largest: float
    default: float
    unit: str
    whole: bool = False
    allowed: tuple[int, ...] = ()


@dataclass(frozen=True)
class Option:
    """A `name=number` after a step's value; without a span, a word that is there or not."""

    name: str
    span: Span | None = None


@dataclass(frozen=True)
class Recipe:
    """One step. `kind`: it stores numbers otherwise, takes structure out, trains, or is a study
    (smaller or sparser and not faster here). `storage` is how it leaves the weights, None for a
    step that another may follow; `refined` looks for better scales and codes. `group` weights of
    a row share a scale in 4 bits.

    `effect` is what to expect on a CPU before anything is measured; `paper` names the method's
    source, None where there is none to name.
    """

    name: str
    storage: Storage | None
    summary: str
    effect: str
    paper: str | None = None
    refined: bool = False
    group: int = 64
    kind: Kind = "storage"
    value: Span | None = None
    options: tuple[Option, ...] = ()


_PERCENT = "per cent"
_QUANTO = "Optimum Quanto (https://github.com/huggingface/optimum-quanto)"
_STUDY = (
    "Smaller, and slower than bf16 here, since every product restores the matrix first: a study of "
    "what the bits lose."
)
_MINUTES = Option("minutes", Span(0.01, 240, 5, "minutes"))
_GROUP = Option(
    "group", Span(32, 128, Recipe.group, "weights a scale", whole=True, allowed=(32, 64, 128))
)
_STEPS = Option("steps", Span(1, 1_000_000, 100, "steps", whole=True))

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
            "Matrices as 8-bit integers with one scale an output channel, multiplied in bf16.",
            "About half of bf16; answers hardly change; single tokens come faster.",
            "Dettmers et al., LLM.int8(), 2022 (https://arxiv.org/abs/2208.07339)",
        ),
        Recipe(
            "int4",
            "int4",
            "Matrices as 4-bit integers, a scale and an offset for every 64 weights (or 32 or 128) "
            "between their smallest and largest; the table of tokens and the head in 8 bits.",
            "Under a third of bf16; single tokens come faster still; a small loss.",
            "Yao et al., ZeroQuant, 2022 (https://arxiv.org/abs/2206.01861)",
            options=(_GROUP,),
        ),
        Recipe(
            "int4-refined",
            "int4",
            "Like int4, with scales and offsets that a search fits to the weights, and the error "
            "of each rounded weight made up for by those still to be rounded, on text that the "
            "model writes itself. Above 2 billion parameters, and where a model is only loaded as "
            "this, by the search alone.",
            "The size and speed of int4 with about half of its error; the whole model is read, "
            "and it takes minutes.",
            "Frantar et al., GPTQ, 2022 (https://arxiv.org/abs/2210.17323); scales after Badri and "
            "Shaji, Half-Quadratic Quantization, 2023 (https://mobiusml.github.io/hqq_blog/)",
            refined=True,
            options=(_GROUP,),
        ),
        Recipe(
            "quanto-int2",
            "quanto",
            "The layers' matrices as 2-bit integers, rounded by optimum-quanto.",
            _STUDY,
            _QUANTO,
            kind="study",
        ),
        Recipe(
            "quanto-int4",
            "quanto",
            "The layers' matrices as 4-bit integers, rounded by optimum-quanto.",
            _STUDY,
            _QUANTO,
            kind="study",
        ),
        Recipe(
            "quanto-int8",
            "quanto",
            "The layers' matrices as 8-bit integers, rounded by optimum-quanto.",
            _STUDY,
            _QUANTO,
            kind="study",
        ),
        Recipe(
            "quanto-float8",
            "quanto",
            "The layers' matrices as 8-bit floats, rounded by optimum-quanto.",
            _STUDY,
            _QUANTO,
            kind="study",
        ),
        Recipe(
            "low-rank",
            "low-rank",
            "Each matrix of the MLPs as the product of two thin ones, the best of that rank; the "
            "value is the rank as a share of the full one.",
            "Smaller and faster below half the full rank, and a large loss: weights are seldom "
            "of low rank.",
            "Eckart and Young, The approximation of one matrix by another of lower rank, 1936 "
            "(https://doi.org/10.1007/BF02288367)",
            kind="structure",
            value=Span(1, 100, 40, _PERCENT),
        ),
        Recipe(
            "drop-layers",
            None,
            "Leaves out whole layers: those that change what passes through them least, measured "
            "on a text.",
            "Smaller and faster by the share of layers that go; healing wins part of the loss "
            "back.",
            "Men et al., ShortGPT, 2024 (https://arxiv.org/abs/2403.03853)",
            kind="structure",
            value=Span(1, 512, 1, "layers", whole=True),
        ),
        Recipe(
            "prune-mlp",
            None,
            "Takes neurons out of every MLP: those whose activations on a text times weights are "
            "smallest.",
            "Smaller and faster by most of the share that goes; healing wins part of the loss "
            "back.",
            "after Sun et al., Wanda, 2023 (https://arxiv.org/abs/2306.11695), summed over each "
            "neuron as in An et al., FLAP, 2023 (https://arxiv.org/abs/2312.11983)",
            kind="structure",
            value=Span(1, 95, 25, _PERCENT),
        ),
        Recipe(
            "prune-heads",
            None,
            "Takes KV heads, each with the query heads that share it, out of every attention: "
            "those that add least on a text.",
            "Smaller weights and a smaller KV cache; a large loss where there are few heads.",
            "after Michel et al., Are Sixteen Heads Really Better than One?, 2019 "
            "(https://arxiv.org/abs/1905.10650)",
            kind="structure",
            value=Span(1, 95, 25, _PERCENT),
        ),
        Recipe(
            "prune-magnitude",
            None,
            "Sets the smallest weights of every matrix to zero.",
            "Neither smaller nor faster: dense kernels multiply zeros like any other number. A "
            "study of how many weights a model can miss.",
            "Han et al., Learning both Weights and Connections, 2015 "
            "(https://arxiv.org/abs/1506.02626)",
            kind="study",
            value=Span(1, 99, 50, _PERCENT),
        ),
        Recipe(
            "distil",
            None,
            "Trains a student with fewer layers to answer as its parent does. It starts from the "
            "parent's own layers, or fresh.",
            "As small and fast as its shape; how good it gets depends on the minutes.",
            "Hinton et al., Distilling the Knowledge in a Neural Network, 2015 "
            "(https://arxiv.org/abs/1503.02531)",
            kind="training",
            value=Span(1, 512, 4, "layers", whole=True),
            options=(
                Option("width", Span(16, 16_384, 128, "hidden size", whole=True)),
                _MINUTES,
                _STEPS,
                Option("fresh"),
            ),
        ),
        Recipe(
            "heal",
            None,
            "Trains what the steps before it have left, with the original model as its teacher; "
            "the value is minutes.",
            "Size and speed stay; part of the loss comes back.",
            "Hinton et al., Distilling the Knowledge in a Neural Network, 2015 "
            "(https://arxiv.org/abs/1503.02531)",
            kind="training",
            value=Span(0.01, 240, 5, "minutes"),
            options=(_STEPS,),
        ),
    )
}

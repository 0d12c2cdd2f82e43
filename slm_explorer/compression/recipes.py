"""Recipes as data: what can be done to a model's weights, and what is told of it afterwards.

A recipe is one step, or steps joined by `+`, done from left to right: `name`, `name:value` or
`name:value,option=number,word`. The step that says how the weights are stored comes last.
Standard library only: the page and the command line read this too.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from importlib import metadata
from typing import Literal

from slm_explorer.compression.architectures import structure_reason
from slm_explorer.compression.recipe_table import RECIPES, Kind, Option, Recipe, Span, Storage
from slm_explorer.errors import InvalidRequest
from slm_explorer.types import ScoreWindow

__all__ = [
    "LOADABLE",
    "READ_PARAMETERS",
    "RECIPES",
    "SECTION",
    "CompressionResult",
    "Divergence",
    "Kind",
    "LayerInfluence",
    "LayerReport",
    "Method",
    "Option",
    "Recipe",
    "Span",
    "Step",
    "StepReport",
    "Storage",
    "is_compressed",
    "load_step",
    "parse_recipe",
    "storage_step",
    "why_not",
]

Method = Literal["int8", "int4", "low-rank", "quanto", "kept"]

SECTION = "slm_explorer"
"""The key of a compressed checkpoint's config.json under which it says how it was made."""

LOADABLE = tuple(
    name for name, each in RECIPES.items() if each.storage in ("native", "cast", "int8", "int4")
)
"""The recipes that a model can be loaded as, without being written first."""

READ_PARAMETERS = 2_000_000_000
"""A refined recipe reads a model that has at most so many: larger ones take hours to write a text,
and are compressed in less memory than they take.
"""

_MOST_STEPS = 8
# Measured by others and by their makers: activations of these overflow float16's 65,504.
_OVERFLOWS_F16 = frozenset(("t5", "mt5", "umt5"))


@dataclass(frozen=True)
class Step:
    """One step of a recipe as asked for. `value` is None for a step that takes none; an option
    that is a word alone has the value None.
    """

    recipe: Recipe
    value: float | None = None
    options: tuple[tuple[str, float | None], ...] = ()

    @property
    def name(self) -> str:
        return self.recipe.name

    @property
    def text(self) -> str:
        """The step as it is written."""
        words = [] if self.value is None else [f"{self.value:g}"]
        words += [name if value is None else f"{name}={value:g}" for name, value in self.options]
        return f"{self.name}:{','.join(words)}" if words else self.name

    def option(self, name: str) -> float | None:
        """The number of an option, None where it is not given."""
        return dict(self.options).get(name)

    def has(self, name: str) -> bool:
        """Whether an option is given."""
        return name in dict(self.options)


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
class StepReport:
    """What one step did: `name` as it was written, the seconds it took, the bytes of weights
    on disk after it, and plain values of its own, such as which layers went.
    """

    name: str
    seconds: float
    bytes_after: int
    detail: Mapping[str, object] = field(default_factory=dict)

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
    steps: tuple[StepReport, ...] = ()


@dataclass(frozen=True)
class LayerInfluence:
    """The sensitivity curve of a model on a text of `tokens` tokens, from the first layer to the
    last. `influence` is 1 - cosine of what enters and leaves a layer; `losses_without` the loss
    in nats a token with that one layer left out and `loss` with all of them, both None for models
    that do not read from left to right.
    """

    influence: tuple[float, ...]
    loss: float | None
    losses_without: tuple[float, ...] | None
    tokens: int


@dataclass(frozen=True)
class Divergence:
    """A child beside its parent on one text. `before` and `after` are the windows of both; KL in
    nats a token, agreement as a share of tokens; intervals of 95 %, None for a single window.
    `measure` says what was predicted.
    """

    before: tuple[ScoreWindow, ...]
    after: tuple[ScoreWindow, ...]
    kl: float
    kl_interval: tuple[float, float] | None
    top1_agreement: float
    top1_interval: tuple[float, float] | None
    measure: str = "next tokens"


def parse_recipe(text: str) -> tuple[Step, ...]:
    """The steps of a recipe, in order. InvalidRequest names the word that is none, the value
    that is out of its range, or the step that stands where it cannot.
    """
    steps = tuple(_parse_step(word.strip(), text) for word in text.split("+"))
    if len(steps) > _MOST_STEPS:
        raise InvalidRequest(
            f"A recipe has at most {_MOST_STEPS} steps, and this has {len(steps)}."
        )
    stored = [step.name for step in steps if step.recipe.storage is not None]
    if len(stored) > 1:
        raise InvalidRequest(
            f"{stored[0]} and {stored[1]} both say how the weights are stored: choose one of them."
        )
    if stored and steps[-1].name != stored[0]:
        raise InvalidRequest(
            f"{stored[0]} says how the weights are stored, so it comes last: put it at the end."
        )
    if steps[0].name == "heal":
        raise InvalidRequest(
            "heal trains what the steps before it have left, so it cannot be the first: write "
            "drop-layers:1+heal:5, for example."
        )
    return steps


def _parse_step(word: str, text: str) -> Step:
    name, colon, rest = word.partition(":")
    recipe = RECIPES.get(name.strip())
    if recipe is None:
        known = ", ".join(RECIPES)
        raise InvalidRequest(
            f"No recipe is called {name.strip()[:40]!r}: there are {known}."
            if word
            else f"The recipe {text[:80]!r} has an empty step: there are {known}."
        )
    words = [each.strip() for each in rest.split(",")] if colon else []
    value = None if recipe.value is None else recipe.value.default
    options: dict[str, float | None] = {}
    for place, each in enumerate(words):
        key, equals, number = (part.strip() for part in each.partition("="))
        option = next((known for known in recipe.options if known.name == key), None)
        if option is not None and option.span is not None and equals and key not in options:
            options[key] = _number(number, option.span, f"{key} of {recipe.name}")
        elif option is not None and option.span is None and not equals and key not in options:
            options[key] = None
        elif place == 0 and recipe.value is not None and option is None and not equals:
            value = _number(each, recipe.value, recipe.name)
        else:
            raise InvalidRequest(_cannot_take(recipe, each))
    group = options.get("group")
    if group is not None:
        recipe = replace(recipe, group=int(group))
    return Step(recipe, value, tuple(options.items()))


def _number(word: str, span: Span, what: str) -> float:
    try:
        number = float(word)
    except ValueError:
        number = float("nan")
    whole = "a whole number" if span.whole else "a number"
    if span.allowed and number not in span.allowed:
        *first, last = span.allowed
        raise InvalidRequest(
            f"{what} takes {', '.join(map(str, first))} or {last} ({span.unit}), not {word[:40]!r}."
        )
    if not span.smallest <= number <= span.largest or (span.whole and number != int(number)):
        raise InvalidRequest(
            f"{what} takes {whole} from {span.smallest:g} to {span.largest:g} ({span.unit}), not "
            f"{word[:40]!r}."
        )
    return number


def _cannot_take(recipe: Recipe, word: str) -> str:
    if recipe.value is None and not recipe.options:
        return f"{recipe.name} takes no value, and {word[:40]!r} follows it: leave it out."
    options = [
        each.name if each.span is None else f"{each.name}={each.span.default:g}"
        for each in recipe.options
    ]
    first = [] if recipe.value is None else [f"{recipe.value.default:g}"]
    example = f"{recipe.name}:{','.join([*first, *options])}"
    return f"{recipe.name} cannot take {word[:40]!r}: the whole of it is such as {example}."


def storage_step(text: str) -> Recipe:
    """The step of a recipe that says how the weights are stored; native where none does."""
    last = parse_recipe(text)[-1].recipe
    return RECIPES["native"] if last.storage is None else last


def load_step(text: str) -> Recipe:
    """The one step of a recipe that a model can be loaded as. InvalidRequest for one that must
    be written to disk first.
    """
    for step in parse_recipe(text):
        if step.name not in LOADABLE:
            raise InvalidRequest(
                f"{step.name} cannot be done while a model is loaded: write the model with "
                f'`slm-explorer compress MODEL --recipe "{text.strip()[:80]}" --out FOLDER` first, '
                "and then use that folder."
            )
    return storage_step(text)


def is_compressed(config: Mapping[str, object]) -> bool:
    """Whether a config.json is that of a checkpoint which this app has compressed."""
    return isinstance(config.get(SECTION), Mapping)


def why_not(text: str, config: Mapping[str, object]) -> str | None:
    """Why a recipe cannot be used on the model of this config.json, in a sentence; or None."""
    steps = parse_recipe(text)
    if config.get("quantization_config"):
        return (
            "It is stored quantized by another tool already: take the original checkpoint, "
            "whose weights are not rounded yet."
        )
    if all(step.name == "native" for step in steps):
        return None
    section = config.get(SECTION)
    if isinstance(section, Mapping):
        return (
            f"It was compressed with {section.get('recipe')} already, and rounding twice loses "
            "twice: compress its parent instead, or use the recipe native."
        )
    if steps[-1].name == "f16" and config.get("model_type") in _OVERFLOWS_F16:
        return "Its activations exceed float16's largest number: use bf16."
    if steps[-1].recipe.storage == "quanto" and not _installed("optimum-quanto"):
        return "It needs optimum-quanto, which is not installed: type `pip install optimum-quanto`."
    reasons = (structure_reason(step.name, step.value, config) for step in steps)
    return next((reason for reason in reasons if reason is not None), None)


def _installed(package: str) -> bool:
    # Its metadata alone: importing it would bring torch into the web process.
    try:
        return bool(metadata.version(package))
    except metadata.PackageNotFoundError:
        return False

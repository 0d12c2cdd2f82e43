"""How each lane answers: settings shared by all lanes, and what single lanes do otherwise."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields, replace

from slm_explorer.types import Sampling
from slm_explorer.ui.conversation import LETTERS, SLOTS

Value = str | int | float


@dataclass(frozen=True)
class LaneSettings:
    """What one lane is told, besides the conversation. `stop` has one stop string a line."""

    system: str = ""
    recipe: str = "native"
    temperature: float = 0.0
    top_k: int = 0
    top_p: float = 1.0
    min_p: float = 0.0
    repetition_penalty: float = 1.0
    max_tokens: int = 256
    seed: int = 0
    stop: str = ""

    def sampling(self, retries: int) -> Sampling:
        """For the engine; a retry moves the seed on. InvalidRequest names a value out of range."""
        return Sampling(
            temperature=float(self.temperature),
            top_k=int(self.top_k),
            top_p=float(self.top_p),
            min_p=float(self.min_p),
            repetition_penalty=float(self.repetition_penalty),
            seed=int(self.seed) + retries,
            max_tokens=int(self.max_tokens),
            stop=tuple(line for line in self.stop.splitlines() if line),
        )


FIELDS = tuple(field.name for field in fields(LaneSettings))

SCOPES = ("All lanes", *(f"Lane {letter}" for letter in LETTERS))


@dataclass(frozen=True)
class SettingsBook:
    """`shared` holds for every lane; `own[slot]` are (field, value) pairs that replace it there.
    `shown` is the scope that the settings panel shows: one of SCOPES.
    """

    shared: LaneSettings = LaneSettings()
    own: tuple[tuple[tuple[str, Value], ...], ...] = ((),) * SLOTS
    shown: str = SCOPES[0]


def of_lane(book: SettingsBook, slot: int) -> LaneSettings:
    """The settings that this lane answers with."""
    return LaneSettings(**{**asdict(book.shared), **dict(book.own[slot])})


def of_scope(book: SettingsBook, scope: str) -> LaneSettings:
    """What the panel shows for one of SCOPES."""
    return book.shared if scope == SCOPES[0] else of_lane(book, SCOPES.index(scope) - 1)


def written(book: SettingsBook, panel: LaneSettings) -> SettingsBook:
    """Keep the panel's values for the scope it shows. A lane keeps only what differs."""
    if book.shown == SCOPES[0]:
        return replace(book, shared=panel)
    slot = SCOPES.index(book.shown) - 1
    shared = asdict(book.shared)
    own = tuple((name, value) for name, value in asdict(panel).items() if value != shared[name])
    return replace(book, own=tuple(own if i == slot else old for i, old in enumerate(book.own)))


def chips(book: SettingsBook, slot: int, matter: Sequence[str] = FIELDS) -> tuple[str, ...]:
    """What this lane does otherwise than the defaults, in words: `temperature 0.8`; only of the
    fields that `matter`.
    """
    default, lane = asdict(LaneSettings()), asdict(of_lane(book, slot))
    said = []
    for name, value in lane.items():
        if value == default[name] or name not in matter:
            continue
        if name in ("system", "stop"):
            said.append({"system": "system prompt", "stop": "stop strings"}[name])
        else:
            said.append(f"{name.replace('_', ' ')} {value}")
    return tuple(said)

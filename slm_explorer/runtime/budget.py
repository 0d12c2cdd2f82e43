"""Does one more model fit, and who must go for it? Decided before anything is read or started.

Pure functions of figures: nothing here measures, starts or ends anything.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from slm_explorer.errors import DoesNotFit

_LEAST_RESERVE = 512 * 10**6

# Shares of the true limit. Between them a student has time to react, and the last leaves the
# kernel, which ends whatever it likes, nothing to do.
WARN_AT = 0.85
REFUSE_AT = 0.92
END_AT = 0.97

Level = Literal["ok", "warn", "refuse", "end"]


@dataclass(frozen=True)
class MemoryView:
    """The memory of this machine or container, in bytes, and where the limit was read."""

    limit: int
    used: int | None
    available: int
    source: str


@dataclass(frozen=True)
class Claim:
    """What one worker takes: `predicted` before it loads, `measured` (USS) once it is known.

    `idle_s` is None while it works, loads or is leased: then it cannot be asked to go.
    """

    key: str
    predicted: int
    measured: int | None
    loading: bool
    idle_s: float | None

    @property
    def bytes(self) -> int:
        return max(self.predicted, self.measured or 0)


@dataclass(frozen=True)
class Alarm:
    """How close the memory is to its limit, `fraction` 0..1, in one sentence with the next step;
    "" while all is well.
    """

    level: Level
    fraction: float
    sentence: str = ""


def fullness(memory: MemoryView) -> float:
    """The share of the true limit that cannot be taken any more, 0..1."""
    return min(1.0, max(0.0, 1 - memory.available / memory.limit)) if memory.limit > 0 else 1.0


def alarm(memory: MemoryView) -> Alarm:
    """Warn at WARN_AT of the true limit, load nothing more at REFUSE_AT, end a worker at END_AT."""
    fraction = fullness(memory)
    # Rounded down, so that it never says more than the threshold it stands below.
    full = f"Memory is {int(fraction * 100)} % full, of {gigabytes(memory.limit)}"
    if fraction >= END_AT:
        sentence = f"{full}: a model is being unloaded so that the system ends nothing itself."
        return Alarm("end", fraction, sentence)
    if fraction >= REFUSE_AT:
        sentence = f"{full}: nothing more is loaded until a model is unloaded or a program closed."
        return Alarm("refuse", fraction, sentence)
    if fraction >= WARN_AT:
        sentence = f"{full}: unload a model, or close a program, before loading another."
        return Alarm("warn", fraction, sentence)
    return Alarm("ok", fraction)


def reserve(limit: int) -> int:
    """What models leave to the app and the system: a tenth, and no less than 512 MB."""
    return max(_LEAST_RESERVE, limit // 10)


def budget(memory: MemoryView, chosen: int | None) -> int:
    """Bytes for all workers together: what the host chose, else the limit less the reserve."""
    return chosen if chosen is not None else max(0, memory.limit - reserve(memory.limit))


def make_room(
    name: str,
    needed: int,
    claims: Sequence[Claim],
    *,
    total: int,
    memory: MemoryView,
    max_workers: int,
) -> list[str]:
    """Keys of the idle workers to unload, least recently used first, so that `needed` bytes
    fit both the budget of `total` bytes and the memory that is really available.

    Raises DoesNotFit, in words, where unloading all of them would not be enough.
    """
    # Workers that still load will take what they have not taken yet.
    spoken_for = sum(c.bytes - (c.measured or 0) for c in claims if c.loading)
    # The reserve is no less than what REFUSE_AT asks to be left.
    room = memory.available - reserve(memory.limit) - spoken_for
    free = total - sum(claim.bytes for claim in claims)
    places = max_workers - len(claims)
    leaving: list[str] = []
    idle = [claim for claim in claims if claim.idle_s is not None]
    for claim in sorted(idle, key=lambda c: c.idle_s or 0.0, reverse=True):
        if needed <= free and needed <= room and places > 0:
            break
        leaving.append(claim.key)
        free += claim.bytes
        room += claim.predicted if claim.measured is None else claim.measured
        places += 1
    if needed <= free and needed <= room and places > 0:
        return leaving
    raise DoesNotFit(
        _why_not(name, needed, free, room, total, len(claims) - len(leaving)),
        needed=needed,
        free=max(0, min(free, room)),
    )


def _why_not(name: str, needed: int, free: int, room: int, total: int, busy: int) -> str:
    takes = f"{name} needs about {gigabytes(needed)}"
    if needed > total:
        return (
            f"{takes}, more than the whole budget of {gigabytes(total)} for models: "
            "choose a smaller model, or start the app with a larger memory budget."
        )
    if needed > free:
        return (
            f"{takes}, {gigabytes(free)} of the {gigabytes(total)} budget is free, and the other "
            "loaded models are busy: stop one, or choose a smaller model."
        )
    if needed > room:
        return (
            f"{takes}, and only {gigabytes(room)} of this machine's memory is free to use: "
            "close other programs, or choose a smaller model."
        )
    return f"{name} cannot start: all {busy} loaded models are busy; stop one, or wait for one."


def gigabytes(size: int) -> str:
    """Bytes as a reader meets them: 2.3 GB, 340 MB."""
    size = max(0, size)
    return f"{size / 1e9:.1f} GB" if size >= 1e9 else f"{size / 1e6:.0f} MB"

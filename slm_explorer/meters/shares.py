"""Who has the memory: the app, its helpers, each worker, and the rest, adding up to what is used.

Each process counts with its PSS, so a page that several share is counted once, less the files
that it maps: those are charged to whichever container read them first, and are dropped at need.
Where the system tells no PSS it is the USS. The rest, such files among it, is the difference to
what the container or machine says.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal, TypeVar, cast

from slm_explorer.meters.readings import Helper, Snapshot

T = TypeVar("T", int, float)
ShareKind = Literal["app", "helper", "worker", "others"]


@dataclass(frozen=True)
class Share:
    """Bytes of one part. `key` stays the same from snapshot to snapshot."""

    kind: ShareKind
    key: str
    name: str
    bytes: int


def shares(snapshot: Snapshot) -> tuple[Share, ...]:
    """From the app upwards. A part whose bytes are unknown, such as a process that has just ended,
    is left out: what it has is in the rest, which is itself left out where the parts exceed what
    is used.
    """
    found: list[Share] = []

    def add(
        kind: ShareKind,
        key: str,
        name: str,
        pss: int | None,
        uss: int | None,
        mapped: int | None,
    ) -> None:
        size = uss if pss is None else max(0, pss - (mapped or 0))
        if size is not None:
            found.append(Share(kind, key, name, size))

    add(
        "app",
        "app",
        "this web app",
        snapshot.app_pss_bytes,
        snapshot.app_uss_bytes,
        snapshot.app_mapped_bytes,
    )
    for group in grouped(snapshot.helpers):
        add(
            "helper",
            f"helper {group.part}",
            group.part,
            group.pss_bytes,
            group.uss_bytes,
            group.mapped_bytes,
        )
    for worker in snapshot.workers:
        if worker.pid is not None and worker.phase != "dead":
            name = worker.spec.model
            if worker.spec.recipe != "native":
                name += f" · {worker.spec.recipe}"
            add("worker", worker.key, name, worker.pss_bytes, worker.uss_bytes, worker.mapped_bytes)
    memory = snapshot.device("memory")
    rest = remainder(snapshot, found)
    if memory is not None and rest is not None and rest >= 0:
        machine = memory.source == "machine"
        name = "other programs and the system" if machine else "kernel, files and other programs"
        found.append(Share("others", "others", name, rest))
    return tuple(found)


def grouped(helpers: Iterable[Helper]) -> list[Helper]:
    """The helpers of one part as one, with the first's pid; a sum is unknown where one part is."""
    groups: dict[str, list[Helper]] = {}
    for helper in helpers:
        groups.setdefault(helper.part, []).append(helper)
    return [
        Helper(
            found[0].pid,
            part if len(found) == 1 else f"{part}, {len(found)} processes",
            _sum([each.pss_bytes for each in found]),
            _sum([each.uss_bytes for each in found]),
            _sum([each.cpu_percent for each in found]),
            _sum([each.mapped_bytes for each in found]),
        )
        for part, found in groups.items()
    ]


def _sum(values: Sequence[T | None]) -> T | None:
    known = [value for value in values if value is not None]
    return None if len(known) < len(values) else cast(T, sum(known))


def remainder(snapshot: Snapshot, parts: list[Share]) -> int | None:
    """What is used and is none of these parts; below 0 where they exceed it. None: unknown."""
    memory = snapshot.device("memory")
    if memory is None or memory.used_bytes is None:
        return None
    return memory.used_bytes - sum(part.bytes for part in parts)

"""What the manager tells the meters: marks for the time axis, and where an answer's energy begins
and ends. A protocol, because runtime and meters do not know each other.
"""

from __future__ import annotations

from typing import Literal, Protocol

from slm_explorer.energy import Energy

MarkKind = Literal["load", "evict", "answer", "compress", "alarm"]


class Observer(Protocol):
    """Called from any thread, sometimes with a worker's lock held: never slow, never raising."""

    def note(self, kind: MarkKind, text: str, /) -> None:
        """This has just happened. `text` holds nothing that a visitor wrote."""
        ...

    def begin(self, pid: int | None, /) -> object:
        """Work begins in that process (None: it has none of its own)."""
        ...

    def end(self, began: object, device: str, /) -> Energy | None:
        """The work that `begin` began is done: what it took. None where nobody measures."""
        ...


class Unobserved:
    """Nobody watches."""

    def note(self, _kind: MarkKind, _text: str, /) -> None:
        return

    def begin(self, _pid: int | None, /) -> object:
        return None

    def end(self, _began: object, _device: str, /) -> Energy | None:
        return None

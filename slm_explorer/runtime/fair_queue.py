"""Who is next: visitors take turns, and one visitor's requests keep their order."""

from __future__ import annotations

from collections import OrderedDict, deque
from typing import Generic, Protocol, TypeVar


class Waiting(Protocol):
    @property
    def visitor(self) -> str: ...


T = TypeVar("T", bound=Waiting)


class FairQueue(Generic[T]):
    """Round robin over visitors. Somebody who asks ten times delays others by one turn only.

    Not thread-safe: the worker's lock guards it.
    """

    def __init__(self) -> None:
        # The visitors in the order of their turns; who has just had one goes to the end.
        self._turns: OrderedDict[str, deque[T]] = OrderedDict()

    def __len__(self) -> int:
        return sum(map(len, self._turns.values()))

    def push(self, item: T) -> None:
        self._turns.setdefault(item.visitor, deque()).append(item)

    def peek(self) -> T | None:
        """The next in turn, who stays in the line; None where nobody waits."""
        return next(iter(self._turns.values()))[0] if self._turns else None

    def pop(self) -> T | None:
        """The next in turn; None where nobody waits."""
        if not self._turns:
            return None
        visitor, items = next(iter(self._turns.items()))
        item = items.popleft()
        if items:
            self._turns.move_to_end(visitor)
        else:
            del self._turns[visitor]
        return item

    def remove(self, item: T) -> bool:
        """Take an item out of the line; False where it does not wait here."""
        items = self._turns.get(item.visitor)
        if items is None or item not in items:
            return False
        items.remove(item)
        if not items:
            del self._turns[item.visitor]
        return True

    def order(self) -> list[T]:
        """Everybody in the order in which they would be served if nobody else came."""
        rounds = [list(items) for items in self._turns.values()]
        longest = max(map(len, rounds), default=0)
        return [items[turn] for turn in range(longest) for items in rounds if turn < len(items)]

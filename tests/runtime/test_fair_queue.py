from __future__ import annotations

from dataclasses import dataclass

from slm_explorer.runtime.fair_queue import FairQueue


@dataclass(eq=False)
class Item:
    visitor: str
    number: int

    def __repr__(self) -> str:
        return f"{self.visitor}{self.number}"


def items(names: str) -> list[Item]:
    return [Item(name[0], int(name[1])) for name in names.split()]


def queue_of(names: str) -> FairQueue[Item]:
    queue: FairQueue[Item] = FairQueue()
    for item in items(names):
        queue.push(item)
    return queue


def drain(queue: FairQueue[Item]) -> str:
    served = []
    while (item := queue.pop()) is not None:
        served.append(repr(item))
    return " ".join(served)


def test_visitors_take_turns_and_each_keeps_its_order() -> None:
    assert drain(queue_of("a1 a2 a3 b1 b2 c1")) == "a1 b1 c1 a2 b2 a3"


def test_the_announced_order_is_the_order_of_service() -> None:
    for names in ("a1", "a1 b1 a2 c1 c2 c3 a3 b2", "c1 c2 a1 c3 b1", ""):
        queue = queue_of(names)
        assert " ".join(map(repr, queue.order())) == drain(queue)


def test_who_has_just_been_served_comes_after_those_who_wait() -> None:
    queue = queue_of("a1 b1 c1")
    assert repr(queue.pop()) == "a1"
    queue.push(Item("a", 2))
    assert drain(queue) == "b1 c1 a2"


def test_a_removed_item_is_gone_and_a_strange_one_is_no_error() -> None:
    queue = queue_of("a1 a2 b1")
    second = queue.order()[2]
    assert repr(second) == "a2"
    assert queue.remove(second)
    assert not queue.remove(second)
    assert not queue.remove(Item("z", 1))
    assert (len(queue), drain(queue)) == (2, "a1 b1")


def test_a_visitor_whose_last_item_is_removed_loses_the_turn() -> None:
    queue = queue_of("a1 b1")
    queue.remove(queue.order()[0])
    queue.push(Item("a", 2))
    assert drain(queue) == "b1 a2"

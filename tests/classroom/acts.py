"""What a test does in a class, in one word each."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

from slm_explorer.classroom.service import ClassService
from slm_explorer.types import Event, Failed
from tests.classroom.conftest import LIMIT_S, MODEL, NAMES


def code_of(classroom: ClassService, key: str) -> str:
    return classroom.teacher_state(key).code


def eventually(true: Callable[[], bool]) -> None:
    """Wait for another thread; the suite's own limit ends a wait that is in vain."""
    step, waited = threading.Event(), 0.0
    while not true():
        step.wait(0.05)
        waited += 0.05
        assert waited < LIMIT_S


def ready(classroom: ClassService, key: str) -> None:
    classroom.allow(key, NAMES)
    eventually(lambda: classroom.teacher_state(key).seats[0].status == "ready")


def ask(classroom: ClassService, token: str, text: str, **words: Any) -> list[Event]:
    given = {"model": MODEL, "push": None, "cancel": threading.Event(), **words}
    return list(classroom.ask(token, given["model"], text, given["push"], given["cancel"]))


def refused(events: list[Event]) -> str:
    (event,) = events
    assert isinstance(event, Failed)
    return event.error

"""The skills that are about a single question and its answer, by name.

Each takes a random generator and a split, and returns an exercise whose key lies in that split.
The skills that span several turns are in `memory.py`, `stories.py` and `conversation.py`.
"""

from __future__ import annotations

import random
from collections.abc import Callable

from .exercise import Exercise
from .knowledge import facts, unknown
from .number_skills import arithmetic, compare, sort, times
from .split import Split
from .word_skills import copy, opposites, spell

SINGLE_TURN: dict[str, Callable[[random.Random, Split], Exercise]] = {
    "arithmetic": arithmetic,
    "times": times,
    "compare": compare,
    "sort": sort,
    "spell": spell,
    "copy": copy,
    "opposites": opposites,
    "facts": facts,
    "unknown": unknown,
}

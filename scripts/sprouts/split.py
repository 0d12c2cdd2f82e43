"""Which content is held out of training: decided by a hash of the content, not of the wording.

A key names what an exercise is about, such as `("arithmetic", "+", 27, 35)`. One key in ten is
held out, in every phrasing at once, so a test prompt cannot occur in training by accident.
"""

from __future__ import annotations

import hashlib
from enum import Enum

Key = tuple[str | int, ...]


class Split(Enum):
    """Where a piece of text will be used."""

    TRAIN = "train"
    HELD_OUT = "held-out"


def split_of(key: Key) -> Split:
    """Return the split that `key` belongs to; the same on every machine and in every run."""
    digest = hashlib.blake2b(repr(key).encode(), digest_size=4).digest()
    return Split.HELD_OUT if int.from_bytes(digest, "big") % 10 == 0 else Split.TRAIN

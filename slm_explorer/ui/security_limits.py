"""How often a visitor may do something: token buckets by session and address, and a lockout for
wrong passwords. Used from the server's event loop alone, so without locks.
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass


@dataclass(frozen=True)
class Rate:
    """`burst` at once, and `per_s` a second after that."""

    burst: int
    per_s: float


class Buckets:
    """A token bucket for each key, the newest KEPT of them."""

    KEPT = 20_000

    def __init__(self, rate: Rate) -> None:
        self._rate = rate
        self._levels: OrderedDict[str, tuple[float, float]] = OrderedDict()

    def wait_s(self, key: str, now: float) -> float:
        """Seconds until the key may take one; 0.0 where it may."""
        return max(0.0, 1.0 - self._level(key, now)) / self._rate.per_s

    def take(self, key: str, now: float) -> None:
        self._levels[key] = (self._level(key, now) - 1.0, now)
        self._levels.move_to_end(key)
        if len(self._levels) > self.KEPT:
            self._levels.popitem(last=False)

    def _level(self, key: str, now: float) -> float:
        level, at = self._levels.get(key, (float(self._rate.burst), now))
        # A clock that steps back gives nothing, and takes nothing.
        return min(float(self._rate.burst), level + max(0.0, now - at) * self._rate.per_s)


class Limits:
    """Several buckets that one request must pass; it takes from all of them or from none."""

    def __init__(self, *, session: Rate, address: Rate) -> None:
        self._session = Buckets(session)
        self._address = Buckets(address)

    def take(self, session: str | None, address: str, now: float) -> float:
        """0.0 where the request may pass, and it is counted; else seconds to wait."""
        asked = [(self._address, address)] + ([(self._session, session)] if session else [])
        wait = max(bucket.wait_s(key, now) for bucket, key in asked)
        if not wait:
            for bucket, key in asked:
                bucket.take(key, now)
        return wait


class Lockout:
    """Wrong passwords: a few from one address, more from all together, then a pause."""

    BY_ADDRESS = Rate(burst=5, per_s=1 / 60)
    BY_ALL = Rate(burst=100, per_s=1 / 6)

    def __init__(self) -> None:
        self._address = Buckets(self.BY_ADDRESS)
        self._all = Buckets(self.BY_ALL)

    def wait_s(self, address: str, now: float) -> float:
        """Seconds until another try from this address is looked at; 0.0 where it is."""
        return max(self._address.wait_s(address, now), self._all.wait_s("", now))

    def note_wrong(self, address: str, now: float) -> None:
        self._address.take(address, now)
        self._all.take("", now)

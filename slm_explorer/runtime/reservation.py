"""Memory of the budget that a process takes which is no worker, such as one that compresses."""

from __future__ import annotations

from collections.abc import Callable

from slm_explorer.errors import SlmError
from slm_explorer.runtime.budget import Claim, MemoryView
from slm_explorer.runtime.reasons import stopped_for_memory


class Reservation:
    """From ModelManager.reserve. `needed` bytes count as taken while it is open, or what the
    process `pid` is measured to take, where that is more.

    `over` is called on the watchdog's thread where this process must end before the kernel ends
    one. `started` says which process it is, and calls `begins`; before that nothing is measured.
    """

    def __init__(
        self,
        key: str,
        name: str,
        needed: int,
        begins: Callable[[], None],
        over: Callable[[SlmError], None],
    ) -> None:
        self.key = key
        self.name = name
        self.needed = needed
        self._begins = begins
        self._over = over
        self.pid: int | None = None
        self.measured: int | None = None

    def started(self, pid: int) -> None:
        """The process runs."""
        self.pid = pid
        self._begins()

    def measure(self, process_memory: Callable[[int], int | None]) -> None:
        pid = self.pid
        self.measured = None if pid is None else process_memory(pid)

    def stop(self, used: int, total: int, memory: MemoryView) -> None:
        """Ask the owner to end it: models take `used` of `total` bytes, or memory is short."""
        self._over(stopped_for_memory(self.name, used, total, memory))

    def claim(self) -> Claim:
        # It takes more as it goes on, like a worker that loads.
        return Claim(self.key, self.needed, self.measured, loading=True, idle_s=None)

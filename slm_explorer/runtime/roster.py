"""Who works, who is leaving, and what is kept for whom: the manager's lists, and what they claim
of the memory. Whoever reads or changes them holds the manager's lock.
"""

from __future__ import annotations

from collections.abc import Callable

from slm_explorer.errors import Evicted
from slm_explorer.runtime.budget import Claim, MemoryView
from slm_explorer.runtime.fence import Fences
from slm_explorer.runtime.lease import Lease
from slm_explorer.runtime.reservation import Reservation
from slm_explorer.runtime.worker import Worker
from slm_explorer.types import ModelSpec

DESERTED = "Nobody waits for it any more."


class Roster:
    """`workers` are in the order of their start."""

    def __init__(self) -> None:
        self.workers: dict[ModelSpec, Worker] = {}
        self.leaving: list[Worker] = []
        self.leases: list[Lease] = []
        self.reservations: dict[str, Reservation] = {}
        self._fences = Fences()

    def claims(self) -> list[tuple[Worker, Claim]]:
        """What each worker takes."""
        return [
            (worker, worker.claim(self.leased(worker.spec))) for worker in self.workers.values()
        ]

    def all_claims(self) -> list[Claim]:
        """Those of the workers, then of the reservations: nobody waits for an answer from one, so
        it counts as newer than any worker.
        """
        reserved = [reservation.claim() for reservation in self.reservations.values()]
        return [claim for _, claim in self.claims()] + reserved

    def fence(
        self, memory: Callable[[], MemoryView], beginning: Worker | None = None
    ) -> MemoryView:
        """Divide what is left of the memory anew among all that work, and one that will."""
        # A GPU's driver may map far more than it fills: nothing is known of what is mapped there.
        working = {
            worker.pid: worker.resting or worker.spec.device != "cpu"
            for worker, claim in self.claims()
            if worker is beginning or claim.idle_s is None
        }
        working |= {reservation.pid: False for reservation in self.reservations.values()}
        known = {pid: rests for pid, rests in working.items() if pid is not None}
        return self._fences.renew(known, memory)

    def forget(self, worker: Worker) -> None:
        """Its process has ended."""
        if self.workers.get(worker.spec) is worker:
            del self.workers[worker.spec]
        if worker in self.leaving:
            self.leaving.remove(worker)

    def overdue(self, idle_timeout_s: float) -> list[tuple[Worker, Evicted]]:
        """Whom nobody needs any more, and why."""
        found = []
        for worker, claim in self.claims():
            if self.deserted(worker):
                found.append((worker, Evicted(DESERTED)))
            elif claim.idle_s is not None and claim.idle_s > idle_timeout_s:
                found.append((worker, Evicted("It was idle.")))
        return found

    def deserted(self, worker: Worker) -> bool:
        """Whether it loads for nobody."""
        return worker.deserted and not self.leased(worker.spec)

    def leased(self, spec: ModelSpec) -> bool:
        """Whether somebody holds this model."""
        return any(lease.open and lease.spec == spec for lease in self.leases)

    def by_key(self, key: str) -> Worker | None:
        return next((worker for worker in self.workers.values() if worker.key == key), None)

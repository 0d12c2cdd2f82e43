"""What goes through the network, in bytes a second: that a download moves, and how fast."""

from __future__ import annotations

import time
from collections.abc import Callable

import psutil

from slm_explorer.meters.readings import Detail, DeviceReading


class NetworkMeter:
    """All interfaces but loopback. Keeps what rates need. Not thread-safe."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._before: tuple[float, int, int] | None = None

    def read(self) -> DeviceReading:
        """Rates since the previous reading; n/a at the first, and where counters went back."""
        try:
            counters = psutil.net_io_counters(pernic=True)
        except (OSError, RuntimeError) as error:
            self._before = None
            return DeviceReading("network", "Network", reason=f"n/a: {error}")
        outer = [each for name, each in counters.items() if not name.startswith("lo")]
        if not outer:
            self._before = None
            return DeviceReading("network", "Network", reason="n/a: there is only loopback here")
        now = (
            self._clock(),
            sum(each.bytes_recv for each in outer),
            sum(each.bytes_sent for each in outer),
        )
        before, self._before = self._before, now
        if before is None or now[0] <= before[0] or now[1] < before[1] or now[2] < before[2]:
            return DeviceReading(
                "network", "Network", reason="n/a: known from the second reading on"
            )
        passed = now[0] - before[0]
        source = "all interfaces of this machine or container, without loopback"
        return DeviceReading(
            "network",
            "Network",
            source=source,
            details=(
                Detail("received", (now[1] - before[1]) / passed, "bytes/s", source),
                Detail("sent", (now[2] - before[2]) / passed, "bytes/s", source),
            ),
        )

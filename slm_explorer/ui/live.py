"""What changes all the time on its way to the page, beside Gradio's events: the answers of a run
and the header strip.

Each of those events makes the browser look at every component that any event ever changed, and
the server compare whole values: work on the cores that the models compute with. So Gradio carries
what begins and ends a run, and the page asks for what lies between, a few times a second while it
is seen. Where nobody asks, the run goes on through Gradio's events alone. Asking holds no
connection open: a browser has six for all its tabs, and Gradio keeps some.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from secrets import token_urlsafe
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.responses import Response
    from starlette.routing import Mount

HEARD_S = 0.75
"""A page that asks does so at least three times in this."""
FIRST_FLUSHES = 3
"""So many of each prompt go through Gradio all the same: its first words wait for no question."""
_NUMBER = re.compile("[0-9]{1,9}")


class Live:
    """What one run shows. Belongs to the server's event loop, as do all who call it.

    `ticket` is known to the browser that asked, and to nobody else. `flush` counts what was shown,
    in Gradio's events too, so that the page can tell which is newer. `stop` ends the run.
    """

    def __init__(
        self, stop: Callable[[], None], clock: Callable[[], float] = time.monotonic
    ) -> None:
        self.ticket = token_urlsafe(24)
        self.flush = 0
        self.stop = stop
        self._view: Callable[[], object] | None = None
        self._clock = clock
        self._asked: float | None = None

    @property
    def heard(self) -> bool:
        """Whether a page asks."""
        return self._asked is not None and self._clock() - self._asked < HEARD_S

    def show(self, view: Callable[[], object]) -> None:
        """Replace what is to be seen. `view` makes a value that JSON can hold, if it is asked."""
        self.flush += 1
        self._view = view

    def newer(self, after: int) -> object | None:
        """What has been shown since flush number `after`; None where there is nothing."""
        self._asked = self._clock()
        if self._view is None or self.flush <= after:
            return None
        return {"flush": self.flush, "shown": self._view()}


class LiveRuns:
    """The runs under way, by their tickets, and the addresses at which the page asks."""

    def __init__(self) -> None:
        self._runs: dict[str, Live] = {}

    def start(self, stop: Callable[[], None]) -> Live:
        live = Live(stop)
        self._runs[live.ticket] = live
        return live

    def finish(self, live: Live) -> None:
        self._runs.pop(live.ticket, None)

    def routes(self, strip: Callable[[], object]) -> Mount:
        """`slm-live/run/TICKET?after=FLUSH` and `slm-live/strip`, as JSON; no content where there
        is nothing newer. `slm-live/end/TICKET` is called by a page that is closed: Gradio may only
        notice that when it sends something.
        """
        from starlette.responses import JSONResponse, Response
        from starlette.routing import Mount, Route

        async def run(request: Request) -> Response:
            live = self._runs.get(str(request.path_params["ticket"]))
            after = _NUMBER.fullmatch(request.query_params.get("after", ""))
            found = live.newer(int(after[0])) if live and after else None
            # A run that has just ended is no error: Gradio brings its last words.
            return Response(status_code=204) if found is None else JSONResponse(found)

        async def end(request: Request) -> Response:
            live = self._runs.get(str(request.path_params["ticket"]))
            if live:
                live.stop()
            return Response(status_code=204)

        async def read(_request: Request) -> Response:
            return JSONResponse(strip())

        return Mount(
            "/slm-live",
            routes=[
                Route("/run/{ticket}", run),
                Route("/end/{ticket}", end),
                Route("/strip", read),
            ],
        )

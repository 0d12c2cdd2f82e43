"""One worker's process from start to end, and the two threads that talk to it.

One thread starts the process, reads what it says and clears up after it; the other writes, so
that nobody who asks ever blocks on a pipe. Knows nothing of requests.
"""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Sequence

from slm_explorer.runtime.launcher import Launcher, Place
from slm_explorer.runtime.wire import Alive, Connection, FromWorker, Load, ToWorker
from slm_explorer.types import ModelSpec


class Link:
    """`started` is called once there is a process, before it is told to do anything. `heard` gets
    every message, and Alive first. `ended` gets the exit code (None: unknown) and what kept the
    process from starting at all, if anything did. All are called on the reading thread.
    """

    def __init__(
        self,
        name: str,
        spec: ModelSpec,
        launcher: Launcher,
        started: Callable[[], None],
        heard: Callable[[FromWorker], None],
        ended: Callable[[int | None, Exception | None], None],
    ) -> None:
        self.gone = threading.Event()
        self._spec = spec
        self._launcher = launcher
        self._started = started
        self._heard = heard
        self._ended = ended
        self._outbox: queue.SimpleQueue[ToWorker | None] = queue.SimpleQueue()
        self._lock = threading.Lock()
        self._place: Place | None = None
        self._killed = False
        self._reader = threading.Thread(target=self._live, name=f"from {name}", daemon=True)
        self._writer_name = f"to {name}"
        self._after: Sequence[threading.Event] = ()

    def begin(self, after: Sequence[threading.Event]) -> None:
        """Start the process once all of `after` are set. Returns at once."""
        self._after = after
        self._reader.start()

    def send(self, message: ToWorker) -> None:
        """Send in order. Never blocks; what cannot arrive any more is dropped."""
        self._outbox.put(message)

    def kill(self) -> None:
        """End the process now, or do not start it. `ended` follows. Idempotent."""
        with self._lock:
            self._killed = True
            place = self._place
        if place is not None:
            place.kill()

    def join(self, timeout: float) -> None:
        self._reader.join(timeout)

    @property
    def pid(self) -> int | None:
        with self._lock:
            return None if self._place is None else self._place.pid

    def _live(self) -> None:
        code: int | None = None
        failure: Exception | None = None
        try:
            for other in self._after:
                other.wait()
            with self._lock:
                wanted = not self._killed
            if wanted:
                code = self._serve()
        except (OSError, EOFError) as error:
            failure = error
        finally:
            try:
                self._ended(code, failure)
            finally:
                self.gone.set()

    def _serve(self) -> int | None:
        place = self._launcher.start(self._spec)
        with self._lock:
            self._place = place
            killed = self._killed
        if killed:
            place.kill()
        self._started()
        self._heard(Alive())
        writer = threading.Thread(
            target=self._write, args=(place.connection,), name=self._writer_name, daemon=True
        )
        writer.start()
        try:
            while True:
                message = place.connection.recv()
                for each in message if isinstance(message, list) else [message]:
                    self._heard(each)
        except (EOFError, OSError):
            pass  # The process is ending, or has ended: the only way out of here.
        finally:
            code = place.reap()
            self._outbox.put(None)
            writer.join()
            place.connection.close()
        return code

    def _write(self, connection: Connection) -> None:
        try:
            connection.send(Load(self._spec))
            while (message := self._outbox.get()) is not None:
                connection.send(message)
        except OSError:
            pass  # The reading thread hears of it too, and clears up.

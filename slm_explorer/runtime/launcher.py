"""Where a worker runs: the Launcher protocol, local processes, and a thread as a fake."""

from __future__ import annotations

import multiprocessing
import multiprocessing.connection
import multiprocessing.context
import multiprocessing.process
import os
import queue
import signal
import socket
import sys
import threading
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from importlib.machinery import ModuleSpec
from multiprocessing import forkserver, resource_tracker
from typing import Protocol

from slm_explorer.runtime import process
from slm_explorer.runtime.child import serve
from slm_explorer.runtime.wire import Connection
from slm_explorer.types import ModelSpec

# Imports only: no tensor, thread or device may exist before the fork.
_PRELOAD = [
    "slm_explorer.runtime.preload",
    "slm_explorer.engines.torch_engine",
    # What transformers imports only when the first model is made, for any architecture: 1.6 s
    # of CPU time that every worker would spend anew (measured, transformers 5.23).
    "transformers.models.llama.modeling_llama",
]


# A worker whose connection has ended exits by itself; one that has not after this is killed.
_GRACE_S = 5.0


class Place(Protocol):
    """One worker that was started somewhere, and the way to talk to it."""

    @property
    def pid(self) -> int | None:
        """Its process on this machine, None where it has none of its own."""
        ...

    @property
    def connection(self) -> Connection: ...

    def kill(self) -> None:
        """End it now, whatever it does; its connection then ends too. Idempotent."""
        ...

    def reap(self) -> int | None:
        """Wait until it is gone, and free its handles but for the connection. Only for one
        that is ending. Returns the exit code, None where it is unknown.
        """
        ...


class Launcher(Protocol):
    """Where workers run. `start` may block for as long as an interpreter takes to start."""

    def prewarm(self) -> None:
        """Prepare in the background, so that the first start is quick. Returns at once."""
        ...

    def start(self, spec: ModelSpec) -> Place:
        """Start a worker that serves one connection. Raises OSError where none can start."""
        ...


class LocalLauncher:
    """One process a worker on this machine: forked from a server that has torch imported
    already (the threaded app itself must never fork), or spawned where there is none.

    The forkserver is one for the whole app, and ends with it.
    """

    def __init__(self) -> None:
        methods = multiprocessing.get_all_start_methods()
        self._forks = "forkserver" in methods
        self._context: (
            multiprocessing.context.ForkServerContext | multiprocessing.context.SpawnContext
        ) = (
            multiprocessing.get_context("forkserver")
            if self._forks
            else multiprocessing.get_context("spawn")
        )
        if self._forks:
            self._context.set_forkserver_preload(_PRELOAD)
        # Process.start polls all other processes of this app, and two polls of one process at
        # the same time lose its exit code.
        self._lock = threading.Lock()

    def prewarm(self) -> None:
        if not self._forks:
            return
        # The server imports torch before it ignores SIGINT, and it inherits this thread's
        # mask. The tracker comes first, because starting it unblocks the signal.
        resource_tracker.ensure_running()
        before = signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGINT])
        try:
            forkserver.ensure_running()
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, before)

    def start(self, spec: ModelSpec) -> Place:
        self.prewarm()
        ours, theirs = self._context.Pipe()
        worker = self._context.Process(
            target=process.main, args=(theirs,), name=f"slm-worker {spec.model}", daemon=True
        )
        with ExitStack() as undo:
            undo.callback(ours.close)
            # While a copy of the worker's end is open here, its death would not be noticed.
            with closing(theirs), self._lock, _without_main():
                worker.start()
            undo.pop_all()
        return _LocalPlace(worker, ours, self._lock)


@contextmanager
def _without_main() -> Iterator[None]:
    """Processes started meanwhile do not run this process's main module again.

    A worker needs nothing of it, and whatever it imports would take time and memory in each.
    Multiprocessing passes over a main module that was started with `python -m PACKAGE`.
    """
    main = sys.modules["__main__"]
    before = main.__spec__
    main.__spec__ = ModuleSpec("slm_explorer.__main__", None)
    try:
        yield
    finally:
        main.__spec__ = before


class _LocalPlace:
    def __init__(
        self,
        worker: multiprocessing.process.BaseProcess,
        connection: multiprocessing.connection.Connection,
        lock: threading.Lock,
    ) -> None:
        self._worker = worker
        self._connection = connection
        self._starts = lock
        self._pid = worker.pid
        self._sentinel = worker.sentinel
        self._lock = threading.Lock()
        self._reaped = False

    @property
    def pid(self) -> int | None:
        return self._pid

    @property
    def connection(self) -> Connection:
        return self._connection

    def kill(self) -> None:
        # Once it is dead its number may belong to another process, so look first; and not
        # through Process, which a start of another worker may hold for seconds.
        with self._lock:
            if self._reaped:
                return
            if not self._ended(0):
                self._worker.kill()
            elif os.name == "posix":
                # It looks the same where only the forkserver is dead: hanging up ends it too.
                with socket.socket(fileno=os.dup(self._connection.fileno())) as pipe:
                    pipe.shutdown(socket.SHUT_RDWR)

    def reap(self) -> int | None:
        if not self._ended(_GRACE_S):
            self.kill()
            self._ended(None)
        with self._lock:
            self._reaped = True
        with self._starts:
            self._worker.join()
            code = self._worker.exitcode
            self._worker.close()
        # 255 is multiprocessing's word for an exit that nobody has seen.
        return None if code == 255 else code

    def _ended(self, timeout: float | None) -> bool:
        return bool(multiprocessing.connection.wait([self._sentinel], timeout))


class ThreadLauncher:
    """The shipped fake: the same child loop in a thread of this process, over queues.

    For tests, and for hosts that allow no processes. A thread cannot be killed: `kill` hangs
    up, and an engine that never polls its stop flag stays behind.
    """

    def prewarm(self) -> None:
        return

    def start(self, spec: ModelSpec) -> Place:
        return _ThreadPlace(spec)


class _ThreadPlace:
    def __init__(self, spec: ModelSpec) -> None:
        to_worker: queue.SimpleQueue[object] = queue.SimpleQueue()
        from_worker: queue.SimpleQueue[object] = queue.SimpleQueue()
        self._ours = _QueueConnection(from_worker, to_worker)
        self._theirs = _QueueConnection(to_worker, from_worker)
        threading.Thread(
            target=serve, args=(self._theirs,), name=f"slm-worker {spec.model}", daemon=True
        ).start()

    @property
    def pid(self) -> int | None:
        return None

    @property
    def connection(self) -> Connection:
        return self._ours

    def kill(self) -> None:
        self._ours.close()
        self._theirs.close()

    def reap(self) -> int | None:
        self.kill()
        return None


_HUNG_UP = object()


class _QueueConnection:
    """One end of an in-memory pipe."""

    def __init__(self, inbox: queue.SimpleQueue[object], outbox: queue.SimpleQueue[object]) -> None:
        self._inbox = inbox
        self._outbox = outbox
        self._closed = False

    def send(self, obj: object, /) -> None:
        if self._closed:
            raise BrokenPipeError("the other side has hung up")
        self._outbox.put(obj)

    def recv(self) -> object:
        item = self._inbox.get()
        if item is _HUNG_UP:
            self._closed = True
            self._inbox.put(_HUNG_UP)
            raise EOFError
        return item

    def close(self) -> None:
        self._closed = True
        self._outbox.put(_HUNG_UP)

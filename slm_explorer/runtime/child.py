"""The worker's side: load one model, then answer requests one after another, or those that may
share a batch together.

The engine works on the calling thread; a second thread reads the connection, so that a stop
is heard while the engine computes. The same loop serves a process and, in tests, a thread.
"""

from __future__ import annotations

import queue
import threading
import time
import traceback
from collections import deque
from collections.abc import Callable, Iterator

from slm_explorer.engines.base import Batch, Engine
from slm_explorer.engines.memory import private_memory
from slm_explorer.engines.registry import create_engine
from slm_explorer.errors import SlmError, WorkerError
from slm_explorer.runtime.wire import (
    Alive,
    Cancel,
    Connection,
    FromWorker,
    Load,
    Loaded,
    LoadFailed,
    Run,
    Said,
)
from slm_explorer.tasks import TaskRequest
from slm_explorer.types import (
    Delta,
    Done,
    Event,
    Failed,
    GenerateRequest,
    Loading,
    ModelSpec,
)

# An engine that polls its stop flag is alive; the app hears of it this often at most.
_ALIVE_EVERY_S = 0.25
# Ten times a second already looks continuous.
_TOGETHER_S = 0.1
_LONGEST_TOGETHER_S = 0.25


class _Voice:
    """What the worker says. Engines may poll their stop flag on a thread of their own, and
    two sends at once would tear the stream.
    """

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._lock = threading.Lock()

    def say(self, message: FromWorker) -> None:
        with self._lock:
            self._connection.send(message)

    def say_all(self, messages: list[FromWorker]) -> None:
        if messages:
            with self._lock:
                self._connection.send(messages if len(messages) > 1 else messages[0])


class StopSign:
    """The stop flag of one request. Polling it is what proves that the engine is alive:
    a heartbeat of its own thread would go on while the engine hangs.
    """

    def __init__(self, tell: Callable[[FromWorker], None]) -> None:
        self._tell = tell
        self._stop = threading.Event()
        self._told = time.monotonic()

    def set(self) -> None:
        self._stop.set()

    def is_set(self) -> bool:
        now = time.monotonic()
        if now - self._told > _ALIVE_EVERY_S:
            self._told = now
            self._tell(Alive())
        return self._stop.is_set()


class _Inbox:
    """Runs in order of arrival; cancels act at once, also on a run that waits here."""

    def __init__(self, connection: Connection, voice: _Voice, hung_up: Callable[[], None]) -> None:
        self._connection = connection
        self._voice = voice
        self._hung_up = hung_up
        self._signs: dict[int, StopSign] = {}
        self._lock = threading.Lock()
        self._runs: queue.SimpleQueue[tuple[Run, StopSign] | None] = queue.SimpleQueue()

    def read(self) -> None:
        """Read until the app hangs up; then nothing is worth computing any more."""
        try:
            while True:
                message = self._connection.recv()
                with self._lock:
                    if isinstance(message, Run):
                        sign = self._signs[message.ticket] = StopSign(self._voice.say)
                        self._runs.put((message, sign))
                    elif isinstance(message, Cancel) and message.ticket in self._signs:
                        self._signs[message.ticket].set()
        except (EOFError, OSError):
            self._hung_up()
            with self._lock:
                for sign in self._signs.values():
                    sign.set()
            self._runs.put(None)

    def next(self) -> tuple[Run, StopSign] | None:
        """Wait for the next run; None once the app has hung up."""
        return self._runs.get()

    def come(self) -> Iterator[tuple[Run, StopSign]]:
        """The runs that are there already."""
        while not self._runs.empty():
            item = self._runs.get()
            if item is None:
                self._runs.put(None)
                return
            yield item

    def finished(self, ticket: int) -> None:
        with self._lock:
            del self._signs[ticket]


def serve(connection: Connection, hung_up: Callable[[], None] = lambda: None) -> None:
    """Serve one connection until the app hangs up, then return.

    `hung_up` is called on the reading thread the moment that happens: a process exits there,
    even while its engine computes.
    """
    try:
        load = connection.recv()
        if not isinstance(load, Load):
            raise TypeError(f"expected Load, got {load!r}")
        voice = _Voice(connection)
        inbox = _Inbox(connection, voice, hung_up)
        threading.Thread(target=inbox.read, name="worker-inbox", daemon=True).start()
        engine = _load(voice, load.spec)
        if engine is not None:
            try:
                _answer_all(voice, engine, inbox, load.spec)
            finally:
                engine.close()
    except (EOFError, OSError):
        pass  # The app is gone: nobody is left to tell.
    finally:
        connection.close()


def _load(voice: _Voice, spec: ModelSpec) -> Engine | None:
    def progress(fraction: float, stage: str) -> None:
        voice.say(Said(None, Loading(fraction, stage)))

    try:
        engine = create_engine(spec.engine)
        info = engine.load(spec, progress)
    except Exception as error:
        voice.say(LoadFailed(failure_of(error, f"Loading {spec.model}")))
        return None
    memory = private_memory()
    voice.say(Loaded(info, memory.now, memory.peak))
    return engine


def _answer_all(voice: _Voice, engine: Engine, inbox: _Inbox, spec: ModelSpec) -> None:
    waiting: deque[tuple[Run, StopSign]] = deque()
    while (item := waiting.popleft() if waiting else inbox.next()) is not None:
        batch = engine.batch() if _shares(item[0]) else None
        if batch is not None:
            waiting.extend(_Together(voice, batch, inbox, spec).answer(item))
            continue
        run, stop = item
        telling = _Telling(run.ticket)
        try:
            if isinstance(run.request, GenerateRequest):
                for event in engine.generate(run.request, stop):
                    voice.say_all(telling.taken(event))
            elif isinstance(run.request, TaskRequest):
                for result in engine.perform(run.request, stop):
                    voice.say_all(telling.taken(result))
            else:
                for measured in engine.score(run.request, stop):
                    voice.say_all(telling.taken(measured))
        except Exception as error:
            voice.say_all(telling.taken(failure_of(error, spec.model)))
        finally:
            inbox.finished(run.ticket)


def _shares(run: Run) -> bool:
    return isinstance(run.request, GenerateRequest) and not run.request.exclusive


class _Together:
    """Answers requests through a batch until nobody is left in it, or it breaks."""

    def __init__(self, voice: _Voice, batch: Batch, inbox: _Inbox, spec: ModelSpec) -> None:
        self._voice, self._batch, self._inbox, self._spec = voice, batch, inbox, spec
        self._telling: dict[int, _Telling] = {}

    def answer(self, first: tuple[Run, StopSign]) -> list[tuple[Run, StopSign]]:
        """Who comes meanwhile joins. Returns those who came and cannot share."""
        self._join(*first)
        apart: list[tuple[Run, StopSign]] = []
        while self._telling:
            for run, stop in self._inbox.come():
                # Behind one who wants to be alone nobody joins, or that one would wait for ever.
                if apart or not _shares(run):
                    apart.append((run, stop))
                else:
                    self._join(run, stop)
            try:
                events = self._batch.step()
            except Exception as error:
                for ticket in list(self._telling):
                    self._voice.say_all(self._ended(ticket, failure_of(error, self._spec.model)))
                return apart
            said: list[FromWorker] = []
            for ticket, event in events:
                if isinstance(event, Delta):
                    said += self._telling[ticket].taken(event, len(self._telling))
                elif isinstance(event, Done):
                    said += self._ended(ticket, event)
                else:
                    said += self._ended(ticket, failure_of(event, self._spec.model))
            self._voice.say_all(said)
        return apart

    def _join(self, run: Run, stop: StopSign) -> None:
        self._telling[run.ticket] = _Telling(run.ticket)
        assert isinstance(run.request, GenerateRequest)
        try:
            self._batch.join(run.ticket, run.request, stop)
        except Exception as error:
            self._voice.say_all(self._ended(run.ticket, failure_of(error, self._spec.model)))

    def _ended(self, ticket: int, event: Done | Failed) -> list[FromWorker]:
        self._inbox.finished(ticket)
        return self._telling.pop(ticket).taken(event)


class _Telling:
    """What is said of an answer as it comes; tokens in quick succession travel together.

    Every message wakes two threads of the app, on cores that the engine computes with. What is
    held back goes with the next token or the end, so a model that needs longer for a token than
    tokens are held together is not held back at all.
    """

    def __init__(self, ticket: int) -> None:
        self._ticket = ticket
        self._held: Delta | None = None
        self._said_at: float | None = None

    def taken(self, event: Event, answers: int = 1) -> list[FromWorker]:
        """What to say now, where so many answers are written at once: the more, the longer each
        holds its tokens together. The first one waits for nothing.
        """
        said: list[FromWorker] = []
        if isinstance(event, Delta):
            self._held = event if self._held is None else self._held.then(event)
            now = time.monotonic()
            together = min(_LONGEST_TOGETHER_S, _TOGETHER_S * max(1.0, answers / 4))
            if self._said_at is not None and now - self._said_at < together:
                return []
            self._said_at = now
            event, self._held = self._held, None
        elif self._held is not None:
            said.append(Said(self._ticket, self._held))
            self._held = None
        return [*said, Said(self._ticket, event)]


def failure_of(error: Exception, what: str) -> Failed:
    """An engine's exception as an event: a user's error in its own words, a bug in plain ones."""
    trace = "".join(traceback.format_exception(error))
    if isinstance(error, SlmError):
        return Failed(str(error), type(error).__name__, trace)
    # torch's own allocator says so in a RuntimeError.
    if isinstance(error, MemoryError) or "can't allocate memory" in str(error):
        sentence = f"{what}: the memory ran out; choose a smaller model or unload another one."
    else:
        detail = str(error).strip().split("\n")[0][:200]
        sentence = (
            f"{what} failed unexpectedly ({type(error).__name__}: {detail}); "
            "try again, and report it with the trace if it stays."
        )
    return Failed(sentence, WorkerError.__name__, trace)

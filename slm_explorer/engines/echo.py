"""The shipped fake engine: no model, and every timing and failure scripted by the prompt.

It streams the last user message (or the raw prompt, or the token ids as numbers) back word by
word, one token a word, at once. Words that are directives act when the stream reaches them
and are not echoed, so `one two /crash` says two words and then dies:

    /slow SECONDS     from here on wait so long before every token
    /allocate BYTES   take so much memory and hold it until the engine is closed
    /hang             stop answering; the stop flag is ignored
    /crash            SIGKILL this process, as the kernel does when memory runs out
    /exit CODE        leave the process at once with that exit code
    /fail WORD        raise ContextOverflow(WORD): an error meant for the user
    /raise            raise RuntimeError: a bug

With a temperature above 0 the words come in an order drawn from the seed. The model is scripted
by ModelSpec.shape_config, JSON with any of:

    {"load_s": 0.2, "allocate": 1000000, "fail": "why", "crash": true, "hang": true,
     "context_length": 100}

A score reads each word as one token of one nat. A task gives the input back: each mask is "echo",
a text is its own label, texts are alike when they are equal, and the whole context is the answer.
`/slow` and the others act in both, too.
"""

from __future__ import annotations

import json
import os
import random
import re
import signal
import time
from collections.abc import Iterator
from typing import Any

from slm_explorer.engines.base import Batch, ReportProgress, StopFlag
from slm_explorer.engines.clock import GenerationClock
from slm_explorer.engines.memory import private_memory
from slm_explorer.engines.stop_strings import StopStrings
from slm_explorer.errors import BadCheckpoint, Cancelled, ContextOverflow, InvalidRequest
from slm_explorer.tasks import (
    MASK,
    AskContext,
    Candidate,
    Classify,
    Compare,
    FillMask,
    Labels,
    MaskFills,
    SimilarityMatrix,
    Spans,
    TaskInput,
    TaskRequest,
    TaskResult,
    TaskStats,
)
from slm_explorer.types import (
    Alternative,
    Delta,
    Done,
    FinishReason,
    GenerateRequest,
    ModelInfo,
    ModelSpec,
    Progress,
    ScoreRequest,
    ScoreStats,
    ScoreWindow,
    TokenDetail,
)

# How late a stop may be noticed during a scripted wait.
_POLL_S = 0.005
_LOAD_STEPS = 10
_WORD = re.compile(r"\s*\S+\s*")
_WITH_ARGUMENT = ("/slow", "/allocate", "/exit", "/fail")
_ALONE = ("/hang", "/crash", "/raise")


class EchoEngine:
    """An Engine that answers with the question. See the module's text for its directives."""

    def __init__(self) -> None:
        self._held: list[bytearray] = []
        self._delay_s = 0.0
        self._context_length: int | None = None

    def load(self, spec: ModelSpec, progress: ReportProgress) -> ModelInfo:
        started = time.perf_counter()
        script = _load_script(spec)
        for step in range(_LOAD_STEPS):
            progress(step / _LOAD_STEPS, "loading")
            time.sleep(float(script.get("load_s", 0.0)) / _LOAD_STEPS)
        if script.get("crash"):
            os.kill(os.getpid(), signal.SIGKILL)
        while script.get("hang"):
            time.sleep(60.0)
        if "fail" in script:
            raise BadCheckpoint(str(script["fail"]))
        size = int(script.get("allocate", 0))
        self._allocate(size)
        length = script.get("context_length")
        self._context_length = None if length is None else int(length)
        progress(1.0, "loading")
        return ModelInfo(
            parameters=0,
            weights_bytes=size,
            dtype="none",
            context_length=self._context_length,
            vocab_size=0,
            has_chat_template=True,
            load_s=time.perf_counter() - started,
        )

    def generate(self, request: GenerateRequest, stop: StopFlag) -> Iterator[Delta | Done]:
        clock = GenerationClock()
        sampling = request.sampling
        clock.prefill_started()
        prompt_tokens = _prompt_tokens(request)
        if self._context_length is not None and prompt_tokens > self._context_length:
            raise ContextOverflow(
                f"The conversation has {prompt_tokens} words and this model reads "
                f"{self._context_length}: clear the chat or shorten the prompt."
            )
        clock.prefill_ended(prompt_tokens)
        words = _WORD.findall(_last_text(request))
        if sampling.temperature > 0:
            random.Random(sampling.seed).shuffle(words)
        stops = StopStrings(sampling.stop)
        finish: FinishReason = "stop"
        self._delay_s = 0.0
        for word in self._play(words, stop):
            if word is None:
                finish = "cancelled"
                break
            clock.token()
            text = stops.push(word)
            details = (
                (TokenDetail(word, 0.0, (Alternative(word, 0.0),)),) if request.alternatives else ()
            )
            yield Delta(text, 1, details)
            if stops.stopped:
                break
            if clock.tokens == sampling.max_tokens:
                finish = "length"
                break
            if self._context_length is not None and (
                prompt_tokens + clock.tokens >= self._context_length
            ):
                finish = "context"
                break
        held = stops.flush()
        if held:
            yield Delta(held, 0)
        yield Done(
            clock.stats(finish, prompt_tokens=prompt_tokens, cached_tokens=0, seed=sampling.seed)
        )

    def batch(self) -> Batch | None:
        return None

    def score(self, request: ScoreRequest, stop: StopFlag) -> Iterator[Progress | Done]:
        pieces: list[str] = []
        words = _WORD.findall(request.text)
        self._delay_s = 0.0
        for word in self._play(words, stop):
            if word is None:
                raise Cancelled("The measurement was stopped.")
            pieces.append(word)
            if len(pieces) % request.window == 0:
                yield Progress("scoring", len(pieces) / len(words))
        windows = tuple(
            ScoreWindow(
                tokens=len(part),
                bytes=sum(len(word.encode()) for word in part),
                nll=float(len(part)),
            )
            for part in (
                pieces[at : at + request.window] for at in range(0, len(pieces), request.window)
            )
        )
        yield Done(ScoreStats(windows, private_memory().peak))

    def perform(self, request: TaskRequest, stop: StopFlag) -> Iterator[Progress | Done]:
        """Answer with the certainty of one who only repeats."""
        started = time.perf_counter()
        self._delay_s = 0.0
        result, text = _repeated(request.input)
        words = _WORD.findall(text)
        if stop.is_set() or None in self._play(words, stop):
            raise Cancelled("The task was stopped.")
        seconds = time.perf_counter() - started
        memory = private_memory()
        yield Done(
            TaskStats(
                result,
                len(words),
                seconds,
                memory_bytes=memory.now,
                peak_memory_bytes=memory.peak,
            )
        )

    def close(self) -> None:
        self._held.clear()

    def _play(self, words: list[str], stop: StopFlag) -> Iterator[str | None]:
        """The words to echo, after obeying the directives among them; None once stopped."""
        queue = iter(words)
        for word in queue:
            name = word.strip()
            if name in _ALONE:
                _fail(name)
            elif name in _WITH_ARGUMENT:
                self._obey(name, next(queue, "").strip())
            elif self._stopped_waiting(stop):
                yield None
                return
            else:
                yield word

    def _obey(self, name: str, argument: str) -> None:
        try:
            if name == "/slow":
                self._delay_s = float(argument)
            elif name == "/allocate":
                self._allocate(int(argument))
            elif name == "/exit":
                os._exit(int(argument))
            else:
                raise ContextOverflow(argument)
        except ValueError:
            raise InvalidRequest(f"{name} takes a number, not {argument!r}.") from None

    def _stopped_waiting(self, stop: StopFlag) -> bool:
        end = time.perf_counter() + self._delay_s
        while not stop.is_set():
            left = end - time.perf_counter()
            if left <= 0:
                return False
            time.sleep(min(_POLL_S, left))
        return True

    def _allocate(self, size: int) -> None:
        block = bytearray(size)
        # A page counts as held only once it has been written to.
        block[::4096] = b"\1" * len(range(0, size, 4096))
        self._held.append(block)


def _fail(name: str) -> None:
    if name == "/crash":
        os.kill(os.getpid(), signal.SIGKILL)
    if name == "/raise":
        raise RuntimeError("the prompt asked for a bug")
    while True:
        time.sleep(60.0)


def _load_script(spec: ModelSpec) -> dict[str, Any]:
    if spec.shape_config is None:
        return {}
    try:
        script = json.loads(spec.shape_config)
    except ValueError as error:
        raise InvalidRequest(f"The echo engine's script is not JSON: {error}.") from None
    if not isinstance(script, dict):
        raise InvalidRequest("The echo engine's script must be a JSON object.")
    return script


def _last_text(request: GenerateRequest) -> str:
    if request.raw is not None:
        return request.raw
    if request.messages:
        return request.messages[-1].content
    return " ".join(map(str, request.prompt_ids))


def _prompt_tokens(request: GenerateRequest) -> int:
    if request.messages:
        return sum(len(message.content.split()) for message in request.messages)
    return len(_last_text(request).split())


def _repeated(given: TaskInput) -> tuple[TaskResult, str]:
    """The input as its own result, and all its words."""
    match given:
        case FillMask(text):
            return MaskFills(((Candidate("echo", 1.0),),) * text.count(MASK)), text
        case Classify(text):
            return Labels((Candidate(text, 1.0),)), text
        case Compare(texts):
            rows = tuple(tuple(float(a == b) for b in texts) for a in texts)
            return SimilarityMatrix(rows, "equality"), " ".join(texts)
        case AskContext(question, context):
            span = Spans((Candidate(context, 1.0),), ((0, len(context)),))
            return span, f"{question} {context}"

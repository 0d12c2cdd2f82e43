"""The yardstick: plain `transformers.generate`, as an ordinary script would call it.

Same models, requests and figures as the app's own engine, but generate's own token loop, a new
cache for every answer, and a streamer to see the tokens come.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor, wait
from contextlib import ExitStack
from queue import SimpleQueue
from typing import Any

import torch
from torch import Tensor
from transformers import GenerationConfig, StoppingCriteria, StoppingCriteriaList
from transformers.generation.streamers import BaseStreamer

from slm_explorer.engines.accelerator import load_on_device
from slm_explorer.engines.answer import Answer
from slm_explorer.engines.base import Batch, ReportProgress, StopFlag
from slm_explorer.engines.checkpoint import LoadedModel, load_model
from slm_explorer.engines.clock import GenerationClock
from slm_explorer.engines.decoder import any_decoder
from slm_explorer.engines.encoder import perform_task
from slm_explorer.engines.heads import CANNOT_SCORE, cannot_write
from slm_explorer.engines.scoring import score_text
from slm_explorer.engines.seq2seq import encode_input, start_token
from slm_explorer.engines.text import Prompt, encode_prompt
from slm_explorer.errors import UnsupportedModel
from slm_explorer.tasks import TaskRequest
from slm_explorer.types import (
    Delta,
    Done,
    FinishReason,
    GenerateRequest,
    ModelInfo,
    ModelSpec,
    Progress,
    Sampling,
    ScoreRequest,
)


class ReferenceEngine:
    """An Engine that calls `generate`. It keeps no cache between turns.

    Everything is computed in `thread`, which ends with it: each thread that computes gets OpenMP
    threads of its own, and where there are more of them than cores they sleep after each operator
    instead of waiting for the next (GCC's libgomp), which can make the yardstick a third slower.
    """

    def __init__(self, thread: ThreadPoolExecutor | None = None) -> None:
        self._loaded: LoadedModel | None = None
        self._thread = ThreadPoolExecutor(max_workers=1) if thread is None else thread

    def load(self, spec: ModelSpec, progress: ReportProgress) -> ModelInfo:
        return self._thread.submit(self._load, spec, progress).result()

    def _load(self, spec: ModelSpec, progress: ReportProgress) -> ModelInfo:
        load = load_model if spec.device == "cpu" else load_on_device
        self._loaded = load(spec, progress)
        # Requests say everything; the checkpoint's defaults must not fill in the rest.
        self._loaded.model.generation_config = GenerationConfig(
            decoder_start_token_id=start_token(self._loaded.config)
        )
        return self._loaded.info

    def generate(self, request: GenerateRequest, stop: StopFlag) -> Iterator[Delta | Done]:
        loaded = self._ready()
        clock = GenerationClock()
        if "text-to-text" in loaded.info.tasks:
            ids = encode_input(loaded, request)
            answer = Answer(loaded, request, Prompt([]))
        elif "chat" in loaded.info.tasks:
            prompt = encode_prompt(loaded, request)
            ids, answer = prompt.ids, Answer(loaded, request, prompt)
        else:
            raise UnsupportedModel(cannot_write(loaded.info))
        finish: FinishReason = "cancelled"
        clock.prefill_started()
        if not stop.is_set():
            run = _GenerateRun(self._thread, loaded, request, ids, clock, answer, stop)
            try:
                yield from run.deltas()
            finally:
                run.close()
            finish = answer.finished() or "cancelled"
        rest = answer.flush()
        if rest:
            yield Delta(rest, 0)
        yield Done(
            clock.stats(
                finish,
                prompt_tokens=len(ids),
                cached_tokens=0,
                seed=request.sampling.seed,
            )
        )

    def batch(self) -> Batch | None:
        """None: the reference answers one at a time."""
        return None

    def score(self, request: ScoreRequest, stop: StopFlag) -> Iterator[Progress | Done]:
        loaded = self._ready()
        if "chat" not in loaded.info.tasks:
            raise UnsupportedModel(CANNOT_SCORE)
        yield from self._steps(score_text(loaded, any_decoder(loaded.model), request, stop))

    def perform(self, request: TaskRequest, stop: StopFlag) -> Iterator[Progress | Done]:
        yield from self._steps(perform_task(self._ready(), request, stop))

    def close(self) -> None:
        self._loaded = None
        self._thread.shutdown()

    def _steps(self, work: Iterator[Progress | Done]) -> Iterator[Progress | Done]:
        while (event := self._thread.submit(next, work, None).result()) is not None:
            yield event

    def _ready(self) -> LoadedModel:
        if self._loaded is None:
            raise RuntimeError("load() comes before the first request")
        return self._loaded


class _GenerateRun(BaseStreamer):  # type: ignore[misc]
    """One call of `generate` in `thread`, which hands over token after token."""

    def __init__(
        self,
        thread: ThreadPoolExecutor,
        loaded: LoadedModel,
        request: GenerateRequest,
        prompt_ids: list[int],
        clock: GenerationClock,
        answer: Answer,
        stop: StopFlag,
    ) -> None:
        self._loaded = loaded
        self._request = request
        self._prompt_ids = prompt_ids
        self._clock = clock
        self._answer = answer
        self._stop = stop
        self._reader_left = threading.Event()
        self._logits: Tensor | None = None
        self._prompt_seen = False
        self._deltas: SimpleQueue[Delta | None] = SimpleQueue()
        self._call = thread.submit(self._generate)
        self._call.add_done_callback(lambda _call: self._deltas.put(None))

    def deltas(self) -> Iterator[Delta]:
        """The answer as it comes; an error of `generate` is raised here."""
        while (delta := self._deltas.get()) is not None:
            yield delta
        self._call.result()

    def close(self) -> None:
        """Have `generate` stop after the token it is at, and wait for that."""
        self._reader_left.set()
        wait([self._call])

    def put(self, value: Tensor) -> None:
        """Called by generate: once with the prompt, then with every token."""
        if not self._prompt_seen:
            self._prompt_seen = True
            return
        if self._answer.finished() is not None:
            return  # generate asks whether to stop one token late
        if self._clock.tokens == 0:
            self._clock.prefill_ended(len(self._prompt_ids))
        self._clock.token()
        self._deltas.put(self._answer.push(int(value), self._logits))

    def end(self) -> None:
        """Called by generate after the last token; the future's callback says the same."""

    def _generate(self) -> None:
        model = self._loaded.model
        sampling = self._request.sampling
        torch.manual_seed(sampling.seed)
        with ExitStack() as cleanup:
            if self._request.alternatives:
                hook = model.register_forward_hook(self._remember_logits)
                cleanup.callback(hook.remove)
            prompt = torch.tensor([self._prompt_ids], device=model.device)
            model.generate(
                prompt,
                attention_mask=torch.ones_like(prompt),
                streamer=self,
                stopping_criteria=StoppingCriteriaList([_StopWhen(self._should_stop)]),
                max_new_tokens=sampling.max_tokens,
                eos_token_id=None if sampling.ignore_eos else sorted(self._loaded.eos_ids) or None,
                pad_token_id=0,
                repetition_penalty=float(sampling.repetition_penalty),
                **_draw_arguments(sampling),
            )

    def _should_stop(self) -> bool:
        return (
            self._stop.is_set() or self._reader_left.is_set() or self._answer.finished() is not None
        )

    def _remember_logits(self, _model: Any, _inputs: Any, output: Any) -> None:
        self._logits = output.logits[0, -1].float().cpu()


class _StopWhen(StoppingCriteria):  # type: ignore[misc]
    """Ends generation when a condition that is asked after every token holds."""

    def __init__(self, condition: Callable[[], bool]) -> None:
        self._condition = condition

    def __call__(self, input_ids: Tensor, *_args: Any, **_kwargs: Any) -> Tensor:
        return torch.full(
            (input_ids.shape[0],), self._condition(), dtype=torch.bool, device=input_ids.device
        )


def _draw_arguments(sampling: Sampling) -> dict[str, Any]:
    """How `generate` is told to draw. It warns about settings that do nothing, so none are."""
    if sampling.temperature == 0.0:
        return {"do_sample": False}
    return {
        "do_sample": True,
        "temperature": float(sampling.temperature),
        "top_k": int(sampling.top_k),
        "top_p": float(sampling.top_p),
        "min_p": float(sampling.min_p) or None,
    }

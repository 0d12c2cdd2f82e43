"""The engine of the app: transformers models, run by a token loop of its own.

The loop owns what plain `generate` does anew for every answer and token: the KV cache (kept
between the turns of a conversation), the choice of the token, and the text.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from slm_explorer.engines.answer import Answer
from slm_explorer.engines.base import Batch, ReportProgress, StopFlag
from slm_explorer.engines.batch import BATCH_BYTES, PREFILL_CHUNK, LeanBatch
from slm_explorer.engines.batch_rows import BATCH_ROWS
from slm_explorer.engines.checkpoint import LoadedModel, load_model
from slm_explorer.engines.clock import GenerationClock
from slm_explorer.engines.decoder import Decoder, TransformersDecoder, WholeTextDecoder
from slm_explorer.engines.encoder import perform_task
from slm_explorer.engines.heads import CANNOT_SCORE, cannot_write
from slm_explorer.engines.kv_cache import ConversationCaches, KeptCache
from slm_explorer.engines.lean import LeanDecoder, lean_decoder
from slm_explorer.engines.lighter import light_decoder
from slm_explorer.engines.memory import return_freed_memory
from slm_explorer.engines.sampling import Sampler
from slm_explorer.engines.scoring import score_text
from slm_explorer.engines.seq2seq import Seq2SeqDecoder, encode_input, start_token
from slm_explorer.engines.text import Prompt, encode_prompt
from slm_explorer.engines.traced import traced_decoder
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
    ScoreRequest,
)


@dataclass
class _Ready:
    """What exists once a model is loaded. Only a decoder has a `decoder` and its caches."""

    loaded: LoadedModel
    decoder: Decoder | None
    caches: ConversationCaches


class TorchEngine:
    """An Engine over transformers: models of every kind from a folder, or of a shape with random
    weights. Decoders go on writing; encoder-decoders write from one text (see seq2seq.py);
    encoders perform tasks (see encoder.py).
    """

    def __init__(self) -> None:
        self._ready: _Ready | None = None

    def load(self, spec: ModelSpec, progress: ReportProgress) -> ModelInfo:
        loaded = load_model(spec, progress)
        decoder: Decoder | None = None
        if "chat" in loaded.info.tasks:
            decoder = _decoder(loaded.model)
        caches = ConversationCaches(loaded.config)
        if isinstance(decoder, WholeTextDecoder):
            caches = ConversationCaches(loaded.config, limit=0)
        self._ready = _Ready(loaded, decoder, caches)
        return_freed_memory()
        if isinstance(decoder, LeanDecoder):
            return replace(loaded.info, batch=BATCH_ROWS)
        return loaded.info

    def batch(self) -> Batch | None:
        ready = self._loaded()
        if not isinstance(ready.decoder, LeanDecoder):
            return None
        most = BATCH_BYTES // ready.decoder.cache_bytes_per_token
        return LeanBatch(ready.loaded, ready.decoder, ready.caches, most)

    def generate(self, request: GenerateRequest, stop: StopFlag) -> Iterator[Delta | Done]:
        ready = self._loaded()
        if ready.decoder is not None:
            return self._converse(ready, ready.decoder, request, stop)
        if "text-to-text" in ready.loaded.info.tasks:
            return self._transform(ready.loaded, request, stop)
        raise UnsupportedModel(cannot_write(ready.loaded.info))

    def score(self, request: ScoreRequest, stop: StopFlag) -> Iterator[Progress | Done]:
        ready = self._loaded()
        if ready.decoder is None:
            raise UnsupportedModel(CANNOT_SCORE)
        yield from score_text(ready.loaded, ready.decoder, request, stop)

    def perform(self, request: TaskRequest, stop: StopFlag) -> Iterator[Progress | Done]:
        yield from perform_task(self._loaded().loaded, request, stop)

    @staticmethod
    def _converse(
        ready: _Ready, decoder: Decoder, request: GenerateRequest, stop: StopFlag
    ) -> Iterator[Delta | Done]:
        """A decoder's answer: the conversation is read, as far as no kept cache holds it."""
        clock = GenerationClock()
        prompt = encode_prompt(ready.loaded, request)
        kept = ready.caches.take(request.chat, prompt.ids)
        cached = len(kept.ids)
        answer = Answer(ready.loaded, request, prompt)
        sampler = Sampler(request.sampling, prompt.ids)
        clock.prefill_started()
        logits = _prefill(decoder, kept, prompt.ids, stop)
        clock.prefill_ended(len(kept.ids) - cached)

        def follow(token: int) -> Tensor:
            following = decoder.last_logits(torch.tensor([token]), kept.cache)
            kept.ids.append(token)
            return following

        try:
            finish = yield from _write(answer, sampler, clock, logits, follow, stop)
        except GeneratorExit:
            # A reader who leaves in the middle leaves a good cache behind; an error does not.
            ready.caches.keep(request.chat, kept)
            raise
        ready.caches.keep(request.chat, kept)
        rest = answer.flush()
        if rest:
            yield Delta(rest, 0)
        yield Done(
            clock.stats(
                finish,
                prompt_tokens=len(prompt.ids),
                cached_tokens=cached,
                seed=request.sampling.seed,
            )
        )

    @staticmethod
    def _transform(
        loaded: LoadedModel, request: GenerateRequest, stop: StopFlag
    ) -> Iterator[Delta | Done]:
        """An encoder-decoder's output."""
        clock = GenerationClock()
        input_ids = encode_input(loaded, request)
        decoder = Seq2SeqDecoder(loaded, input_ids)
        start = start_token(loaded.config) or 0
        answer = Answer(loaded, request, Prompt([start]))
        sampler = Sampler(request.sampling, [start])
        clock.prefill_started()
        logits = None
        if not stop.is_set():
            decoder.read()
            logits = decoder.last_logits(start)
            clock.prefill_ended(len(input_ids))
        finish = yield from _write(answer, sampler, clock, logits, decoder.last_logits, stop)
        rest = answer.flush()
        if rest:
            yield Delta(rest, 0)
        yield Done(
            clock.stats(
                finish,
                prompt_tokens=len(input_ids),
                cached_tokens=0,
                seed=request.sampling.seed,
            )
        )

    def close(self) -> None:
        self._ready = None

    def _loaded(self) -> _Ready:
        if self._ready is None:
            raise RuntimeError("load() comes before the first request")
        return self._ready


def _decoder(model: Any) -> Decoder:
    """The fastest that there is for this model."""
    lean = lean_decoder(model)
    if lean is not None:
        lean.trace()
        return lean
    light = light_decoder(model)
    if isinstance(light, TransformersDecoder):
        return traced_decoder(model) or light
    return light


def _write(
    answer: Answer,
    sampler: Sampler,
    clock: GenerationClock,
    logits: Tensor | None,
    follow: Callable[[int], Tensor],
    stop: StopFlag,
) -> Generator[Delta, None, FinishReason]:
    """The token loop: choose, say, and ask what follows. Returns why it ended."""
    while logits is not None and not stop.is_set():
        token = sampler.choose(logits)
        clock.token()
        yield answer.push(token, logits)
        reason = answer.finished()
        if reason is not None:
            return reason
        if stop.is_set():
            break
        logits = follow(token)
    return "cancelled"


def _prefill(
    decoder: Decoder, kept: KeptCache, prompt_ids: list[int], stop: StopFlag
) -> Tensor | None:
    """Read what the cache lacks of the prompt; the last logits, or None once stopped."""
    logits: Tensor | None = None
    for at in range(len(kept.ids), len(prompt_ids), PREFILL_CHUNK):
        if stop.is_set():
            return None
        chunk = prompt_ids[at : at + PREFILL_CHUNK]
        logits = decoder.last_logits(torch.tensor(chunk), kept.cache)
        kept.ids.extend(chunk)
    return logits

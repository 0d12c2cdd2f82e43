"""The engine of the app: transformers models, run by a token loop of its own.

The loop owns what plain `generate` does anew for every answer and token: the KV cache (kept
between the turns of a conversation), the choice of the token, and the text.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from slm_explorer.engines.answer import Answer
from slm_explorer.engines.base import ReportProgress, StopFlag
from slm_explorer.engines.checkpoint import LoadedModel, load_model
from slm_explorer.engines.clock import GenerationClock
from slm_explorer.engines.decoder import Decoder, TransformersDecoder
from slm_explorer.engines.kv_cache import ConversationCaches, KeptCache
from slm_explorer.engines.lean import lean_decoder
from slm_explorer.engines.memory import return_freed_memory
from slm_explorer.engines.sampling import Sampler
from slm_explorer.engines.scoring import score_text
from slm_explorer.engines.text import encode_prompt
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

# A prompt is read in pieces so that a stop is noticed between them; larger ones are no faster.
PREFILL_CHUNK = 512


@dataclass
class _Ready:
    """What exists once a model is loaded."""

    loaded: LoadedModel
    decoder: Decoder
    caches: ConversationCaches


class TorchEngine:
    """An Engine over transformers: decoder-only models from a folder, or a shape's random ones."""

    def __init__(self) -> None:
        self._ready: _Ready | None = None

    def load(self, spec: ModelSpec, progress: ReportProgress) -> ModelInfo:
        loaded = load_model(spec, progress)
        decoder = lean_decoder(loaded.model) or TransformersDecoder(loaded.model)
        self._ready = _Ready(loaded, decoder, ConversationCaches(loaded.config))
        return_freed_memory()
        return loaded.info

    def generate(self, request: GenerateRequest, stop: StopFlag) -> Iterator[Delta | Done]:
        ready = self._loaded()
        clock = GenerationClock()
        prompt = encode_prompt(ready.loaded, request)
        kept = ready.caches.take(request.chat, prompt.ids)
        cached = len(kept.ids)
        answer = Answer(ready.loaded, request, prompt)
        sampler = Sampler(request.sampling, prompt.ids)
        finish: FinishReason = "cancelled"
        clock.prefill_started()
        logits = self._prefill(ready, kept, prompt.ids, stop)
        clock.prefill_ended(len(kept.ids) - cached)
        try:
            while logits is not None and not stop.is_set():
                token = sampler.choose(logits)
                clock.token()
                yield answer.push(token, logits)
                reason = answer.finished()
                if reason is not None:
                    finish = reason
                    break
                if stop.is_set():
                    break
                logits = ready.decoder.last_logits(torch.tensor([token]), kept.cache)
                kept.ids.append(token)
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

    def score(self, request: ScoreRequest, stop: StopFlag) -> Iterator[Progress | Done]:
        ready = self._loaded()
        yield from score_text(ready.loaded, ready.decoder, request, stop)

    def close(self) -> None:
        self._ready = None

    def _loaded(self) -> _Ready:
        if self._ready is None:
            raise RuntimeError("load() comes before the first request")
        return self._ready

    @staticmethod
    def _prefill(
        ready: _Ready, kept: KeptCache, prompt_ids: list[int], stop: StopFlag
    ) -> Tensor | None:
        """Read what the cache lacks of the prompt; the last logits, or None once stopped."""
        logits: Tensor | None = None
        for at in range(len(kept.ids), len(prompt_ids), PREFILL_CHUNK):
            if stop.is_set():
                return None
            chunk = prompt_ids[at : at + PREFILL_CHUNK]
            logits = ready.decoder.last_logits(torch.tensor(chunk), kept.cache)
            kept.ids.extend(chunk)
        return logits

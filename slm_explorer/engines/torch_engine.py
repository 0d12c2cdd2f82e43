"""The engine of the app: transformers models, run by a token loop of its own.

The loop owns what plain `generate` does anew for every answer and token: the KV cache (kept
between the turns of a conversation), the choice of the token, and the text.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from slm_explorer.engines.base import ReportProgress, StopFlag
from slm_explorer.engines.checkpoint import LoadedModel, load_model
from slm_explorer.engines.clock import GenerationClock
from slm_explorer.engines.decoder import Decoder, TransformersDecoder
from slm_explorer.engines.kv_cache import ConversationCaches, KeptCache
from slm_explorer.engines.sampling import Sampler
from slm_explorer.engines.scoring import score_text
from slm_explorer.engines.stop_strings import StopStrings
from slm_explorer.engines.text import Detokenizer, encode_prompt, token_text
from slm_explorer.errors import BadCheckpoint
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
    TokenDetail,
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
        self._ready = _Ready(
            loaded, TransformersDecoder(loaded.model), ConversationCaches(loaded.config)
        )
        return loaded.info

    def generate(self, request: GenerateRequest, stop: StopFlag) -> Iterator[Delta | Done]:
        ready = self._loaded()
        clock = GenerationClock()
        prompt = encode_prompt(ready.loaded, request)
        kept = ready.caches.take(request.chat, prompt.ids)
        cached = len(kept.ids)
        answer = _Answer(ready, request, prompt.stop, prompt.ids)
        finish: FinishReason = "cancelled"
        clock.prefill_started()
        logits = self._prefill(ready, kept, prompt.ids, stop)
        clock.prefill_ended(len(kept.ids) - cached)
        try:
            while logits is not None and not stop.is_set():
                token = answer.choose(logits)
                clock.token()
                yield answer.delta(token, logits)
                reason = answer.finished(clock.tokens, len(prompt.ids))
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


class _Answer:
    """One answer in the making: tokens in, text out, and when to end."""

    def __init__(
        self,
        ready: _Ready,
        request: GenerateRequest,
        format_stops: tuple[str, ...],
        prompt_ids: list[int],
    ) -> None:
        self._loaded = ready.loaded
        self._sampling = request.sampling
        self._alternatives = request.alternatives
        self._sampler: Sampler | None = None
        self._prompt_ids = prompt_ids
        self._detokenizer = Detokenizer(ready.loaded.tokenizer)
        self._stops = StopStrings((*request.sampling.stop, *format_stops))
        self._last: int | None = None

    def choose(self, logits: Tensor) -> int:
        if self._sampler is None:
            self._sampler = Sampler(self._sampling, self._prompt_ids, logits.shape[-1])
        if not bool(logits.max().isfinite()):
            raise BadCheckpoint(
                "The model computes numbers that are not finite: its weights are broken, or too "
                "large for this dtype. Load it as bf16 or f32."
            )
        self._last = self._sampler.choose(logits)
        return self._last

    def delta(self, token: int, logits: Tensor) -> Delta:
        details = (self._detail(token, logits),) if self._alternatives else ()
        if self._is_eos(token):
            return Delta("", 1, details)
        return Delta(self._stops.push(self._detokenizer.push(token)), 1, details)

    def finished(self, output_tokens: int, prompt_tokens: int) -> FinishReason | None:
        if self._stops.stopped or self._is_eos(self._last):
            return "stop"
        if output_tokens >= self._sampling.max_tokens:
            return "length"
        limit = self._loaded.context_length
        if limit is not None and prompt_tokens + output_tokens >= limit:
            return "context"
        return None

    def flush(self) -> str:
        """What was held back for a character or a stop string that did not come."""
        if self._stops.stopped:
            return ""
        return self._stops.push(self._detokenizer.flush()) + self._stops.flush()

    def _is_eos(self, token: int | None) -> bool:
        return token in self._loaded.eos_ids and not self._sampling.ignore_eos

    def _detail(self, token: int, logits: Tensor) -> TokenDetail:
        logprobs = logits.log_softmax(dim=-1)
        top = logprobs.topk(min(self._alternatives, logprobs.shape[-1]))
        return TokenDetail(
            token_text(self._loaded.tokenizer, [token]),
            float(logprobs[token]),
            tuple(
                Alternative(token_text(self._loaded.tokenizer, [each]), logprob)
                for each, logprob in zip(top.indices.tolist(), top.values.tolist(), strict=True)
            ),
        )

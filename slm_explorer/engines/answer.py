"""One answer in the making: tokens go in, text comes out, and it knows when to end."""

from __future__ import annotations

from torch import Tensor

from slm_explorer.engines.checkpoint import LoadedModel
from slm_explorer.engines.stop_strings import StopStrings
from slm_explorer.engines.text import Detokenizer, Prompt, single_token_text
from slm_explorer.types import Alternative, Delta, FinishReason, GenerateRequest, TokenDetail


class Answer:
    """Follows the tokens of one answer, whoever chooses them."""

    def __init__(self, loaded: LoadedModel, request: GenerateRequest, prompt: Prompt) -> None:
        self._loaded = loaded
        self._sampling = request.sampling
        self._alternatives = request.alternatives
        self._prompt_tokens = len(prompt.ids)
        self._output_tokens = 0
        self._detokenizer = Detokenizer(loaded.tokenizer)
        self._stops = StopStrings((*request.sampling.stop, *prompt.stop))
        self._ended_by_eos = False

    def push(self, token: int, logits: Tensor | None) -> Delta:
        """The event for one more token; its log-probability needs its raw float32 logits."""
        self._output_tokens += 1
        details: tuple[TokenDetail, ...] = ()
        if self._alternatives and logits is not None:
            details = (self._detail(token, logits),)
        if token in self._loaded.eos_ids and not self._sampling.ignore_eos:
            self._ended_by_eos = True
            return Delta("", 1, details)
        return Delta(self._stops.push(self._detokenizer.push(token)), 1, details)

    def finished(self) -> FinishReason | None:
        """Why the answer is over, or None while it is not."""
        if self._ended_by_eos or self._stops.stopped:
            return "stop"
        if self._output_tokens >= self._sampling.max_tokens:
            return "length"
        limit = self._loaded.context_length
        if limit is not None and self._prompt_tokens + self._output_tokens >= limit:
            return "context"
        return None

    def flush(self) -> str:
        """What was held back for a character or a stop string that did not come."""
        if self._stops.stopped:
            return ""
        return self._stops.push(self._detokenizer.flush()) + self._stops.flush()

    def _detail(self, token: int, logits: Tensor) -> TokenDetail:
        logprobs = logits.log_softmax(dim=-1)
        top = logprobs.topk(min(self._alternatives, logprobs.shape[-1]))
        tokenizer = self._loaded.tokenizer
        return TokenDetail(
            single_token_text(tokenizer, token),
            float(logprobs[token]),
            tuple(
                Alternative(single_token_text(tokenizer, each), logprob)
                for each, logprob in zip(top.indices.tolist(), top.values.tolist(), strict=True)
            ),
        )

"""One answer's stopwatch: from its time stamps to GenerationStats. Standard library only."""

from __future__ import annotations

from time import perf_counter

from slm_explorer.engines.memory import PrivateMemory, private_memory
from slm_explorer.types import FinishReason, GenerationStats


class GenerationClock:
    """Times one request from its construction on.

    Time to first token is what a reader waits for: tokenizing, reading the prompt (prefill)
    and choosing the first token. The prefill rate is over the reading alone, the decode rate
    over the tokens after the first and the time from the first to the last.
    """

    def __init__(self) -> None:
        self._start = perf_counter()
        self._prefill_start: float | None = None
        self._prefill_end: float | None = None
        self._first: float | None = None
        self._last: float | None = None
        self.tokens = 0
        self._read = 0

    def prefill_started(self) -> None:
        self._prefill_start = perf_counter()

    def prefill_ended(self, tokens_read: int) -> None:
        """`tokens_read` is without the tokens that a kept cache held already."""
        self._prefill_end = perf_counter()
        self._read = tokens_read

    def token(self) -> None:
        """A token has been chosen."""
        self._last = perf_counter()
        self.tokens += 1
        if self._first is None:
            self._first = self._last

    def stats(
        self,
        finish_reason: FinishReason,
        *,
        prompt_tokens: int,
        cached_tokens: int,
        seed: int,
        memory: PrivateMemory | None = None,
    ) -> GenerationStats:
        """`memory` is that of the process, read here where it is not given."""
        memory = memory or private_memory()
        return GenerationStats(
            prompt_tokens=prompt_tokens,
            cached_tokens=cached_tokens,
            output_tokens=self.tokens,
            finish_reason=finish_reason,
            ttft_s=None if self._first is None else self._first - self._start,
            prefill_tps=_rate(self._read, self._prefill_start, self._prefill_end),
            decode_tps=_rate(self.tokens - 1, self._first, self._last),
            seed=seed,
            memory_bytes=memory.now,
            peak_memory_bytes=memory.peak,
        )


def _rate(tokens: int, start: float | None, end: float | None) -> float | None:
    if tokens < 1 or start is None or end is None or end <= start:
        return None
    return tokens / (end - start)

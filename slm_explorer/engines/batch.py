"""Continuous batching: answers join and leave between tokens, and one step makes a token of each.

Each answer keeps its own prompt, cache, sampling, seed, stop strings and statistics; what they
share is one pass through the weights a step. A greedy answer is the same as alone, token for
token. A prompt is read alone, in the same pieces as ever, a few blocks of the network between
two steps, so that the others go on meanwhile. The idea is that of Orca (Yu et al. 2022, OSDI).
"""

from __future__ import annotations

from collections import deque
from collections.abc import Generator, Sequence
from dataclasses import replace
from time import perf_counter
from typing import Protocol

import torch
from torch import Tensor
from transformers.cache_utils import Cache

from slm_explorer.engines.answer import Answer
from slm_explorer.engines.base import BatchEvent, StopFlag
from slm_explorer.engines.checkpoint import LoadedModel
from slm_explorer.engines.clock import GenerationClock
from slm_explorer.engines.kv_cache import ConversationCaches, KeptCache
from slm_explorer.engines.memory import PrivateMemory, private_memory
from slm_explorer.engines.racks import Rack, Racks, whole_pages
from slm_explorer.engines.sampling import Sampler
from slm_explorer.engines.text import encode_prompt
from slm_explorer.errors import SlmError
from slm_explorer.types import Delta, Done, FinishReason, GenerateRequest

PREFILL_CHUNK = 512
"""A prompt is read in pieces so that a stop is noticed between them; larger ones are no faster."""

BATCH_BYTES = 256 * 2**20
"""Keys and values of all answers of a batch take at most so much."""

# A reading of the process's memory holds for so long.
_MEASURED_S = 0.5

# What a step may read of new prompts while others wait for their next token.
_READING_S = 0.1


class BatchDecoder(Protocol):
    """A decoder that runs many sequences at once, see LeanDecoder."""

    def read(self, ids: Tensor, cache: Cache) -> Generator[None, None, Tensor]: ...

    def last_logits(self, ids: Tensor, cache: Cache) -> Tensor: ...

    def next_logits(self, ids: Tensor, racks: Sequence[Rack]) -> Tensor: ...

    def racks(self) -> Racks: ...


class _Seat:
    """One answer of the batch. It reads its prompt, or waits for the step after `token`."""

    def __init__(
        self,
        ticket: int,
        request: GenerateRequest,
        stop: StopFlag,
        loaded: LoadedModel,
        caches: ConversationCaches,
    ) -> None:
        self.ticket, self.stop, self._request = ticket, stop, request
        self._clock = GenerationClock()
        self._prompt = encode_prompt(loaded, request)
        self._caches = caches
        self.kept: KeptCache = caches.take(request.chat, self._prompt.ids)
        self._cached = len(self.kept.ids)
        self._answer = Answer(loaded, request, self._prompt)
        self._sampler = Sampler(request.sampling, self._prompt.ids)
        self._reading: Generator[None, None, Tensor] | None = None
        self._most = 1
        self.token: int | None = None
        self.racked = False

    @property
    def tokens(self) -> int:
        """Room for the most tokens that its cache may come to hold."""
        return whole_pages(len(self._prompt.ids) + self._request.sampling.max_tokens)

    @property
    def unread(self) -> int:
        """Tokens of its prompt that are still to be read."""
        return len(self._prompt.ids) - len(self.kept.ids)

    def read(self, decoder: BatchDecoder) -> Tensor | None:
        """Read on, by one block of the network; the logits once the prompt is read."""
        if self._reading is None:
            self._clock.prefill_started()
            self._reading = self._read_all(decoder)
        try:
            next(self._reading)
        except StopIteration as end:
            self._clock.prefill_ended(len(self.kept.ids) - self._cached)
            logits: Tensor = end.value
            return logits
        return None

    def _read_all(self, decoder: BatchDecoder) -> Generator[None, None, Tensor]:
        ids = self._prompt.ids
        logits = torch.empty(0)
        for at in range(len(self.kept.ids), len(ids), PREFILL_CHUNK):
            chunk = ids[at : at + PREFILL_CHUNK]
            logits = yield from decoder.read(torch.tensor(chunk), self.kept.cache)
            self.kept.ids.extend(chunk)
        return logits

    def choose(self, logits: Tensor, together: int) -> tuple[Delta, FinishReason | None]:
        """The next token from its logits, made in a step of `together` answers, and why it is
        the last, if it is.
        """
        self._most = max(self._most, together)
        token = self._sampler.choose(logits)
        self._clock.token()
        said = self._answer.push(token, logits)
        self.token = token
        return said, self._answer.finished()

    def finish(self, reason: FinishReason, memory: PrivateMemory) -> list[Delta | Done]:
        """Keep the cache for the conversation's next turn; the last events."""
        for layer in self.kept.cache.layers:
            # In the middle of a piece the first blocks hold what the others lack.
            layer.crop(len(self.kept.ids) - layer.get_seq_length())
        self._caches.keep(self._request.chat, self.kept)
        rest = self._answer.flush()
        stats = self._clock.stats(
            reason,
            prompt_tokens=len(self._prompt.ids),
            cached_tokens=self._cached,
            seed=self._request.sampling.seed,
            memory=memory,
        )
        done = Done(replace(stats, batch=self._most))
        return [Delta(rest, 0), done] if rest else [done]


class LeanBatch:
    """A Batch over a decoder that takes one token of many sequences. Not thread-safe.

    The caches of those who are in it hold at most `max_tokens` tokens together, and whoever
    would exceed that waits, in order, for others to leave; one answer alone always fits.
    """

    def __init__(
        self,
        loaded: LoadedModel,
        decoder: BatchDecoder,
        caches: ConversationCaches,
        max_tokens: int,
    ) -> None:
        self._loaded, self._decoder, self._caches = loaded, decoder, caches
        self._max_tokens = max_tokens
        self._waiting: deque[_Seat] = deque()
        self._reading: list[_Seat] = []
        self._writing: list[_Seat] = []
        self._racks = decoder.racks()
        self._measured: PrivateMemory | None = None
        self._measured_at = 0.0

    def __len__(self) -> int:
        return len(self._waiting) + len(self._reading) + len(self._writing)

    def join(self, ticket: int, request: GenerateRequest, stop: StopFlag) -> None:
        self._waiting.append(_Seat(ticket, request, stop, self._loaded, self._caches))

    def step(self) -> list[BatchEvent]:
        events: list[BatchEvent] = []
        self._leave_stopped(events)
        self._admit()
        if self._writing:
            self._write(events)
        self._read(events)
        return events

    def _write(self, events: list[BatchEvent]) -> None:
        """A token for everybody whose prompt is read."""
        first = self._writing[0]
        if len(self._writing) == 1 and not first.racked:
            # Nobody to share with: its own cache is as good, and needs no moving.
            seats = [first]
            logits = self._decoder.last_logits(torch.tensor([first.token]), first.kept.cache)[None]
        else:
            seats, logits = self._write_together()
        for seat, row in zip(seats, logits, strict=True):
            assert seat.token is not None
            seat.kept.ids.append(seat.token)
            self._choose(seat, row, len(seats), events)

    def _write_together(self) -> tuple[list[_Seat], Tensor]:
        for seat in self._writing:
            if not seat.racked:
                self._racks.join(seat.kept.cache)
                seat.racked = True
        racks = self._racks.ready()
        by_cache = {id(seat.kept.cache): seat for seat in self._writing}
        seats = [by_cache[id(cache)] for rack in racks for cache in rack.caches]
        return seats, self._decoder.next_logits(torch.tensor([seat.token for seat in seats]), racks)

    def _leave_stopped(self, events: list[BatchEvent]) -> None:
        for seats in (self._waiting, self._reading, self._writing):
            for seat in [seat for seat in seats if seat.stop.is_set()]:
                self._leave(seat)
                last = seat.finish("cancelled", self._memory())
                events += [(seat.ticket, event) for event in last]

    def _admit(self) -> None:
        held = sum(seat.tokens for seat in (*self._reading, *self._writing))
        while self._waiting:
            seat = self._waiting[0]
            if held and held + seat.tokens > self._max_tokens:
                return
            held += seat.tokens
            self._reading.append(self._waiting.popleft())

    def _read(self, events: list[BatchEvent]) -> None:
        """Read new prompts for a while, that which is soonest read first."""
        until = perf_counter() + _READING_S
        while self._reading and perf_counter() < until:
            seat = min(self._reading, key=lambda each: each.unread)
            if seat.stop.is_set():
                return
            logits = seat.read(self._decoder)
            if logits is not None:
                self._reading.remove(seat)
                self._writing.append(seat)
                self._choose(seat, logits, 1, events)

    def _choose(self, seat: _Seat, logits: Tensor, together: int, events: list[BatchEvent]) -> None:
        """One more token; who is finished leaves."""
        try:
            said, reason = seat.choose(logits, together)
        except SlmError as error:
            self._leave(seat)
            events.append((seat.ticket, error))
            return
        events.append((seat.ticket, said))
        if reason is not None:
            self._leave(seat)
            events += [(seat.ticket, event) for event in seat.finish(reason, self._memory())]

    def _memory(self) -> PrivateMemory:
        """The kernel takes milliseconds to count it, and all the others wait meanwhile."""
        now = perf_counter()
        if self._measured is None or now - self._measured_at > _MEASURED_S:
            self._measured, self._measured_at = private_memory(), now
        return self._measured

    def _leave(self, seat: _Seat) -> None:
        if seat.racked:
            self._racks.leave(seat.kept.cache)
        for seats in (self._waiting, self._reading, self._writing):
            if seat in seats:
                seats.remove(seat)

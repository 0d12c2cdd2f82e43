"""The step of one token as one program of torch's own, without Python between its operators.

A token takes some thousand small operators besides its products, and between two products, which
sweep the processor's caches, Python takes longer to call them than they take. A trace (TorchScript)
runs the same operators in the same order, so its numbers are the same to the bit. That is asked of
it on two lengths before it is used; a model that cannot be traced stays as it is. Torch calls
TorchScript deprecated and has no other way to do this without a compiler on the machine.

What changes from token to token comes in as tensors: the token, its position, the buffers of the
cache, and as the length of a ruler how many tokens there are with it. Weights in oneDNN's layout
come in too, since a trace cannot hold them.
"""

from __future__ import annotations

import inspect
import warnings
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor
from transformers.cache_utils import Cache, DynamicLayer

from slm_explorer.engines.decoder import TransformersDecoder
from slm_explorer.engines.folder import LIBRARY_ERRORS
from slm_explorer.engines.kv_cache import BufferedLayer, BufferedWindow, new_cache
from slm_explorer.engines.lighter import InPlace
from slm_explorer.engines.projections import blocked_weights

# Position encodings whose table does not depend on how long the text is.
FIXED_ROPE = frozenset(("default", "linear", "llama3", "yarn"))
# Tokens that the second length is of, where the model's context allows: beyond what windows of
# local attention hold in models that keep a full cache.
_FAR = 300
_WIDEST = 1024

Program = Callable[..., Tensor]


def program_of(
    step: Program, states: Sequence[Sequence[Tensor]], wanted: Sequence[Tensor]
) -> Program | None:
    """`step` traced on the first of `states`, which are inputs of it; None where it cannot be, or
    where any state does not give the bits that are `wanted`.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            # Otherwise the first two runs are watched, and each then makes a program of its own.
            torch._C._jit_set_profiling_executor(False)
            # What torch.jit.trace makes is never freed, nor are the weights that it holds.
            graph, _ = torch._C._create_graph_by_tracing(
                step, tuple(states[0]), lambda _value: "", True, False
            )
            program: Program = torch._C._create_function_from_graph("step", graph)
            pairs = zip(states, wanted, strict=True)
            same = all(torch.equal(program(*state), logits) for state, logits in pairs)
    except LIBRARY_ERRORS:
        return None
    return program if same else None


def ruler(tokens: int) -> Tensor:
    """A tensor of so many numbers that takes the room of one."""
    return torch.empty(1).expand(tokens)


class TracedDecoder(TransformersDecoder):
    """Runs single tokens by a program of the model's own forward pass; all else as its base."""

    def __init__(self, model: Any, program: Program, weights: Sequence[Tensor]) -> None:
        super().__init__(model)
        self._program, self._weights = program, weights

    @torch.inference_mode()
    def last_logits(self, ids: Tensor, cache: Cache) -> Tensor:
        layers = cache.layers
        if ids.shape[0] != 1 or not layers or layers[0].length == 0:
            return super().last_logits(ids, cache)
        logits = self._program(*_state(ids, layers), *self._weights)
        for layer in layers:
            layer.advance()
        return logits


def traced_decoder(model: Any) -> TracedDecoder | None:
    """The decoder for this model, or None where its steps have no program: it takes no cache, or
    one that is not full, or a trace gives other bits.
    """
    config = model.config.get_text_config()
    takes = inspect.signature(model.forward).parameters
    if "past_key_values" not in takes or not _rope_is_fixed(config):
        return None
    weights = _blocked(model)
    try:
        with torch.inference_mode():
            slides, states, wanted = _probes(model, config)
    except LIBRARY_ERRORS:
        return None  # said in words when somebody asks it to write
    if not states:
        return None
    step = _step(model, slides, positions="position_ids" in takes)
    with torch.inference_mode():
        program = program_of(step, [[*state, *weights] for state in states], wanted)
    return None if program is None else TracedDecoder(model, program, weights)


def _probes(model: Any, config: Any) -> tuple[list[bool], list[list[Tensor]], list[Tensor]]:
    """Which layers have a sliding window, states of two lengths, and the logits that the model
    itself gives for them; none of each for a model whose cache has no program.
    """
    whole = TransformersDecoder(model)
    far = min(_far(config), getattr(config, "max_position_embeddings", None) or _FAR) - 1
    slides: list[bool] = []
    states, wanted = [], []
    for length in (2, far):
        cache = new_cache(model.config)
        whole.last_logits(torch.tensor([1, 2]), cache)
        if not all(isinstance(layer, BufferedLayer) for layer in cache.layers):
            return [], [], []
        windows = {layer.window for layer in cache.layers if isinstance(layer, BufferedWindow)}
        if len(windows) > 1 or (windows and getattr(config, "attention_chunk_size", None)):
            return [], [], []  # of windows a program is told one, and of chunks none
        slides = [isinstance(layer, BufferedWindow) for layer in cache.layers]
        if length > 2:
            _fill(cache.layers, length - 2)
        token = torch.tensor([3])
        wanted.append(whole.last_logits(token, cache))
        for layer in cache.layers:
            layer.crop(-1)
        states.append(_state(token, cache.layers))
    return slides, states, wanted


def _blocked(model: Any) -> list[Tensor]:
    """Weights that a trace can only take in, for it cannot hold oneDNN's layout; each once."""
    found = {
        id(weight): weight
        for module in model.modules()
        if isinstance(module, InPlace)
        for weight in blocked_weights(module.projection)
    }
    return list(found.values())


def _fill(layers: Sequence[BufferedLayer], tokens: int) -> None:
    """So many more, of noise: reading a text would take long."""
    draw = torch.Generator().manual_seed(0)
    for layer in layers:
        noise = [
            torch.randn((*each.shape[:2], tokens, each.shape[3]), generator=draw).to(each.dtype)
            for each in layer.room_for_one()
        ]
        layer.update(*noise)


def _state(ids: Tensor, layers: Sequence[BufferedLayer]) -> list[Tensor]:
    """What a program is given for one token after what the layers hold."""
    length = layers[0].length
    buffers = [buffer for layer in layers for buffer in layer.room_for_one()]
    rulers = [ruler(length + 1)]
    window = next((layer for layer in layers if isinstance(layer, BufferedWindow)), None)
    if window is not None:
        rulers += [ruler(window.held + 1), ruler(window.seen(1))]
    return [ids[None], torch.tensor([[length]]), *rulers, *buffers]


def _step(model: Any, slides: Sequence[bool], *, positions: bool) -> Program:
    def step(ids: Tensor, position: Tensor, *rest: Tensor) -> Tensor:
        rulers, buffers = (rest[:3], rest[3:]) if any(slides) else (rest[:1], rest[1:])
        total, *window = (each.shape[0] for each in rulers)
        pairs = zip(slides, buffers[::2], buffers[1::2], strict=False)  # weights follow
        cache = Cache(
            layers=[
                _Lent(keys, values, total, *(window if sliding else (total, total)))
                for sliding, keys, values in pairs
            ]
        )
        words = {"position_ids": position} if positions else {}
        output = model(
            input_ids=ids, past_key_values=cache, use_cache=True, logits_to_keep=1, **words
        )
        logits: Tensor = output.logits
        return logits[0, -1].float()

    return step


class _Lent(DynamicLayer):  # type: ignore[misc]
    """A BufferedLayer's buffers for one step, after which the text has `total` tokens, the buffers
    hold `held`, and `seen` of them are attended to.
    """

    def __init__(self, keys: Tensor, values: Tensor, total: int, held: int, seen: int) -> None:
        super().__init__()
        self._keys, self._values = keys, values
        self._total, self._held, self._seen = total, held, seen
        self.is_sliding = seen is not total
        self.is_initialized = True

    def update(
        self, key_states: Tensor, value_states: Tensor, *_args: Any, **_kwargs: Any
    ) -> tuple[Tensor, Tensor]:
        self._keys.narrow(2, self._held - 1, 1).copy_(key_states)
        self._values.narrow(2, self._held - 1, 1).copy_(value_states)
        start = self._held - self._seen
        return self._keys.narrow(2, start, self._seen), self._values.narrow(2, start, self._seen)

    def get_seq_length(self) -> int:
        return self._total - 1

    def get_mask_sizes(self, _query_length: int) -> tuple[int, int]:
        return self._seen, self._total - self._seen


def _far(config: Any) -> int:
    """A length beyond the window, where noise of that length is no matter."""
    window = getattr(config, "sliding_window", None) or 0
    return max(_FAR, window + 8) if window <= _WIDEST else _FAR


def _rope_is_fixed(config: Any) -> bool:
    """Models with several kinds of attention have the parameters of each."""
    found = getattr(config, "rope_parameters", None) or {}
    several = [each for each in found.values() if isinstance(each, Mapping)]
    return all(each.get("rope_type", "default") in FIXED_ROPE for each in several or [found])

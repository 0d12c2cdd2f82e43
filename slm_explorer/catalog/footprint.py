"""How much memory one worker takes: an interval, from a model's numbers alone.

The estimate is what one worker process has to itself (USS) at its worst moment: what is freed
when it ends. `scripts/measure_fit.py` sets it beside measured peaks.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median

from slm_explorer.catalog.cards import Card
from slm_explorer.catalog.checkpoint import CheckpointFacts
from slm_explorer.catalog.numbers import ModelNumbers, numbers_of
from slm_explorer.errors import InvalidRequest

RECIPES = ("native", "f32", "bf16", "f16", "int8", "int4", "int4-refined")
"""What a footprint can be estimated for."""

# Private memory (USS) of a worker process besides its model: a forkserver child with torch, the
# engine and transformers' model code preloaded, at its peak and once loaded. About 16 MB of it are
# pages of torch's library, private as long as no other worker reads them too: the low end is
# without them. Models from a hidden size of 512 on bring in wider kernels and their scratch memory.
# Measured with torch 2.13.0 CPU, transformers 5.23.0, Linux x86_64, November 2026.
BASE_BYTES = 52_000_000
BASE_LOW_BYTES = 24_000_000
LOADED_BASE_BYTES = 46_000_000
WIDE_BASE_BYTES = 4_000_000
WIDE_LOADED_BASE_BYTES = 6_000_000
_WIDE = 512
# A decoder's step as a program (engines/traced.py): TorchScript itself, and a layer's operators,
# each with where in Python it comes from. transformers' own pass has twice as many as lean.py;
# the narrow models measured are all of the latter.
TRACE_BYTES = 3_000_000
TRACE_LAYER_BYTES = 900_000
TRACE_OWN_LAYER_BYTES = 1_700_000
# The engine reads a prompt in pieces of this many tokens.
PREFILL_TOKENS = 512
_PACKED = frozenset(("int8", "int4", "int4-refined"))
_CAST_BYTES = {"f32": 4, "bf16": 2, "f16": 2}
INT4_GROUP = 64
"""int4 keeps a scale and an offset for so many weights, unless its recipe says otherwise."""
# Scales, offsets and what is restored of a packed matrix are bf16, whatever the model computes in.
_PACKED_WIDTH = 2
# Blocks freed by one layer are kept by the allocator, and the next layer finds only some of them:
# twice the working set was seen.
_KEPT = 2
# A KV cache that has grown has room to spare, and leaves its smaller buffers behind.
_GROWN = 0.25
# Quantized matrices that are laid side by side leave gaps of about this share.
_FUSED = 0.1
_RESTORED_WEIGHTS = 2**22
# Long prompts: from so many tokens on, so many scores at a time, of so many tokens; and what oneDNN
# keeps of the products that they need.
_LONG = 320
_SCORES = 2**20
_STRETCH = 128
_PROGRAMS_BYTES = 6_000_000
# Loads that a correction needs.
_MIN_LOADS = 3
# Allocators keep freed blocks and round sizes up.
_SLACK = 0.10


@dataclass(frozen=True)
class Correction:
    """What this machine's own loads say of the base: bytes to add to it, from `count` loads."""

    bytes: int = 0
    count: int = 0

    @classmethod
    def from_residuals(cls, residuals: Sequence[int]) -> Correction:
        """The median of measured minus predicted bytes of loads, predicted without correction.

        A median, of at least three, so that no single odd load moves it; and never more than
        the base itself down or twice that up, for then it is not the base that is wrong.
        """
        if len(residuals) < _MIN_LOADS:
            return cls(0, len(residuals))
        middle = round(median(residuals))
        return cls(max(-LOADED_BASE_BYTES, min(2 * LOADED_BASE_BYTES, middle)), len(residuals))


NO_CORRECTION = Correction()


@dataclass(frozen=True)
class Footprint:
    """Bytes of one worker. `total` is the expected peak, the sum of the parts; `low` is before
    the first token, `high` adds allocator slack. `loaded` is the expected peak before the first
    token. `kv_cache` and `activations` are None where the config does not tell them; the total
    then lacks them. `base` includes `correction` and the program of a decoder's step.
    """

    weights: int
    kv_cache: int | None
    activations: int | None
    base: int
    total: int
    low: int
    high: int
    loaded: int
    correction: Correction = NO_CORRECTION


def estimate_footprint(
    source: CheckpointFacts | Card,
    *,
    recipe: str = "native",
    group: int = INT4_GROUP,
    context_tokens: int = 2048,
    correction: Correction = NO_CORRECTION,
) -> Footprint:
    """Estimate what one worker takes to read and write `context_tokens`, batch 1, on a CPU.

    Method. Weights: see `weights_bytes`. KV cache: keys and values of every caching layer, as
    far as its window, in the dtype of the computation. Activations: what one layer holds at
    once while a piece of at most PREFILL_TOKENS is read (an encoder reads all of it at once),
    with the attention's mask, and a row of float32 logits. Base: BASE_BYTES, a decoder's
    step as a program, and what this machine's own loads correct it by. A context longer than the
    model's counts as the model's.

    Raises InvalidRequest for an unknown recipe, for a context without tokens, and for a card
    whose size is not known.
    """
    if recipe not in RECIPES:
        raise InvalidRequest(
            f"No recipe is called {recipe!r}; memory is estimated for {', '.join(RECIPES)}."
        )
    if context_tokens < 1:
        raise InvalidRequest(f"A context has at least 1 token, not {context_tokens}.")
    found = numbers_of(source)
    if found is None:
        raise InvalidRequest("The size of this model is not known, so its memory is not either.")
    width = _CAST_BYTES.get(recipe, found.value_bytes)
    tokens = context_tokens if found.max_tokens is None else min(context_tokens, found.max_tokens)
    weights = weights_bytes(found, recipe, group)
    kv_values = found.kv_values(tokens)
    kv_cache = None if kv_values is None else kv_values * width
    activations = _activations(found, tokens, width, recipe)
    if activations is not None and kv_cache is not None:
        activations += round(kv_cache * _GROWN)
        if found.lean and recipe in _PACKED:
            tables = min(
                weights, round(found.tables * (1 + _PACKED_WIDTH / (found.hidden or 1024)))
            )
            activations += round((weights - tables) * _FUSED)
    wide = found.hidden is None or found.hidden >= _WIDE
    layer = TRACE_LAYER_BYTES if found.lean or not wide else TRACE_OWN_LAYER_BYTES
    program = TRACE_BYTES + layer * (found.layers or 0)
    more = correction.bytes + (program if found.kind == "decoder" else 0)
    base = max(0, BASE_BYTES + wide * WIDE_BASE_BYTES + more)
    loaded_base = LOADED_BASE_BYTES + wide * WIDE_LOADED_BASE_BYTES + more
    loaded = weights + found.masks + max(0, loaded_base)
    if recipe not in _PACKED:
        loaded += _packing(found, width)
    total = weights + (kv_cache or 0) + (activations or 0) + base
    total = max(total, loaded)
    return Footprint(
        weights=weights,
        kv_cache=kv_cache,
        activations=activations,
        base=base,
        total=total,
        low=weights + min(BASE_LOW_BYTES, base),
        high=int(total * (1 + _SLACK)),
        loaded=loaded,
        correction=correction,
    )


def weights_bytes(found: ModelNumbers, recipe: str, group: int = INT4_GROUP) -> int:
    """Bytes of the weights under a recipe.

    As stored for "native"; parameters x bytes for a cast. int8: a byte a weight and a scale a
    row. int4: half a byte and a scale and an offset for every `group`; tables of tokens, and heads
    tied to them, get 8 bits. Norms and biases stay as they are: less than 1 % of any model here.
    A checkpoint that is quantized already keeps its stored size.
    """
    if recipe == "native" or found.parameters is None:
        return found.stored_bytes
    if recipe in _CAST_BYTES:
        return found.parameters * _CAST_BYTES[recipe]
    rows = _PACKED_WIDTH / (found.hidden or 1024)
    tables = min(found.tables, found.parameters)
    matrices = found.parameters - tables
    per_matrix_weight = 1 + rows
    if recipe != "int8":
        per_matrix_weight = 0.5 + 2 * _PACKED_WIDTH / group
    return round(matrices * per_matrix_weight + tables * (1 + rows))


def _packing(found: ModelNumbers, width: int) -> int:
    """Bytes that packing takes for a moment: a reordered copy of a head apart, or a copy of one
    layer's matrices side by side and a reordered one, whose originals are given back after it.
    """
    if not found.lean or width != 2:
        return 0
    layer = 2 * (found.hidden or 0) * (found.intermediate or 0)
    return max(3 * layer, found.head) * width


def _activations(found: ModelNumbers, tokens: int, width: int, recipe: str) -> int | None:
    """Bytes at the widest moment of reading a piece of the prompt; None without its sizes."""
    if found.hidden is None or found.vocab is None:
        return None
    whole = found.kind in ("encoder", "encoder-decoder")
    piece = tokens if whole else min(tokens, PREFILL_TOKENS)
    # Where the config has no MLP width, the usual one of GPTs: four times hidden.
    wide = found.intermediate or 4 * found.hidden
    queries = (found.heads or 0) * (found.head_dim or 0)
    keys = (found.kv_heads or 0) * (found.head_dim or 0)
    # The residual stream, its norm and its sum; then the MLP's gate, product and result, or the
    # queries, keys and values with their rotated copies.
    values = 4 * found.hidden + max(4 * wide, 3 * (queries + 2 * keys))
    # A piece after others needs a mask, and then every head's scores are kept whole.
    heads = found.heads or 0
    pairs = heads * piece * tokens
    scores = pairs * width if tokens > piece or whole else 0
    if found.eager:
        # Scores, masked scores and their softmax, in float32; a little more was seen.
        scores = (3 * 4 + 1) * pairs
    if recipe in _PACKED:
        # compression/matrices.py restores so much of a matrix at once to read a long prompt, and
        # keeps the room for a layer's matrices of each shape if they have 4 bits.
        shapes = [2 * wide, wide, queries + 2 * keys, queries]
        rooms = [min(_RESTORED_WEIGHTS, found.hidden * each) for each in shapes]
        reordered = (sum(rooms) if recipe != "int8" else rooms[0]) * _PACKED_WIDTH
    elif found.lean or width != 2:
        reordered = 0
    else:
        # oneDNN reorders a bf16 matrix that was not packed before for every product, the head too.
        reordered = found.vocab * found.hidden * width
    wide_decoder = found.kind == "decoder" and found.hidden >= _WIDE
    if wide_decoder and width == 2 and tokens >= _LONG and not found.eager:
        # engines/prompt_attention.py: scores in float32 and rounded, queries and keys in float32.
        scores += min(_SCORES, heads * _STRETCH * piece) * 6 + 4 * piece * (queries + keys)
        scores += _PROGRAMS_BYTES
    return _KEPT * piece * values * width + scores + reordered + 8 * found.vocab + found.masks

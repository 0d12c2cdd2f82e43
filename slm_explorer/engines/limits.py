"""Which numbers of a configuration no model can have.

transformers builds what it is told to: a trillion layers are made one by one until the memory
ends. So the numbers are looked at first.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

# Far above the largest models known, so that only nonsense is beyond them. The first pattern that
# is found in a number's name decides; names that none is found in do not make anything larger.
_MOST: tuple[tuple[re.Pattern[str], int], ...] = tuple(
    (re.compile(pattern), most)
    for pattern, most in (
        (r"vocab_size", 100_000_000),
        (r"layers|n_layer|^depth|hidden_groups|inner_group_num|feedforward_networks", 2_000),
        (r"heads|n_head", 2_000),
        (r"experts", 20_000),
        (r"labels", 100_000),
        (r"position|max_seq_len|seq_length|window|chunk", 100_000_000),
        (r"buckets|hashes|kernel|cache", 1_000_000),
        (r"size|dim|rank|d_model|d_ff|d_kv|d_inner|n_embd|n_inner|ratio", 2_000_000),
    )
)
_AT_LEAST_ONE = re.compile(
    r"num_hidden_layers|num_layers|n_layers?|num_attention_heads|num_heads|n_heads?"
    r"|hidden_size|d_model|d_kv|n_embd|dim|vocab_size"
)


def absurdity(values: Mapping[str, object]) -> str | None:
    """The first number of the configuration, or of a part of it, that no model has; None where
    all are believable.
    """
    for name, value in values.items():
        if isinstance(value, dict) and name not in ("id2label", "label2id"):
            problem = absurdity(value)
            if problem is not None:
                return problem
        if isinstance(value, bool) or not isinstance(value, int):
            continue
        least = 1 if _AT_LEAST_ONE.fullmatch(name) else 0
        most = next((most for pattern, most in _MOST if pattern.search(name)), None)
        if most is not None and not (least <= value <= most or (value == -1 and not least)):
            return f"{name[:80]} is {value:,}"
    return None

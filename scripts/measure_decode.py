"""Where the time of a token goes, and how near decoding is to what the memory can deliver.

    python scripts/measure_decode.py tinyllama-1-1b-chat-v1-0 --recipes native int8 int4

Random weights in the card's shape, the app's engine in this process. In turns with every recipe
the memory is read plainly (a sum over 1 GB, all threads), since a virtual machine's bandwidth
changes with the hour. A JSON line a recipe: tokens a second, the bytes of weights that a token
reads, their share of the bandwidth, and the time by operator from torch's profiler in a run of its
own; "python" is what no operator accounts for.
"""

from __future__ import annotations

import argparse
import json
import threading
import time
from collections import Counter
from statistics import median

import torch
from torch.profiler import ProfilerActivity, profile

from slm_explorer.assets import asset_folder
from slm_explorer.catalog.catalog import Catalog
from slm_explorer.catalog.hfconfig import shape_config
from slm_explorer.engines.base import Engine
from slm_explorer.engines.torch_engine import TorchEngine
from slm_explorer.types import Done, GenerateRequest, GenerationStats, ModelSpec, Sampling

_READ_NUMBERS = 2**27
KINDS = {
    "_weight_int4pack_mm_for_cpu": "int4 kernel",
    "_weight_int8pack_mm": "int8 kernel",
    "mkldnn::_linear_pointwise": "bf16 products",
    "addmm": "bf16 products",
    "mm": "bf16 products",
    "_scaled_dot_product_flash_attention_for_cpu": "attention",
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("card")
    parser.add_argument("--recipes", nargs="+", default=["native", "int8", "int4"])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--tokens", type=int, default=32)
    parser.add_argument("--threads", type=int, default=2)
    words = parser.parse_args()
    torch.set_num_threads(words.threads)
    read = torch.ones(_READ_NUMBERS, dtype=torch.int64)
    card = Catalog.load(asset_folder()).get(words.card)
    shape, built = json.dumps(shape_config(card)), card.architecture
    assert built is not None
    # Of a table that is not the head too, a token reads one row.
    table = 0 if built.tied_embeddings else (built.vocab_size or 0) * (built.hidden_size or 0)
    for recipe in words.recipes:
        engine = TorchEngine()
        spec = ModelSpec(card.id, None, recipe, threads=words.threads, shape_config=shape)
        info = engine.load(spec, lambda _fraction, _stage: None)
        reads = info.weights_bytes - table * (2 if recipe == "native" else 1)
        answer(engine, words.tokens)
        speeds, bandwidths = [], []
        for _ in range(words.rounds):
            bandwidths.append(bandwidth(read))
            speeds.append(answer(engine, words.tokens))
        tps, most = median(speeds), max(bandwidths)
        row = {
            "card": words.card,
            "recipe": recipe,
            "decode_tps": tps,
            "read_bytes": reads,
            "bandwidth": bandwidths,
            "share_of_bandwidth": tps * reads / most,
            "ms_by_operator": by_operator(engine, words.tokens),
        }
        print(json.dumps(row), flush=True)
        engine.close()


def bandwidth(numbers: torch.Tensor) -> float:
    """Bytes a second, read once."""
    began = time.perf_counter()
    numbers.sum()
    return numbers.nbytes / (time.perf_counter() - began)


def answer(engine: Engine, tokens: int, prompt: int = 64) -> float:
    """Tokens a second after the first."""
    request = GenerateRequest(
        id="1",
        visitor="bench",
        sampling=Sampling(max_tokens=tokens, ignore_eos=True),
        prompt_ids=tuple(range(5, 5 + prompt)),
    )
    *_, last = engine.generate(request, threading.Event())
    assert isinstance(last, Done)
    assert isinstance(last.stats, GenerationStats)
    assert last.stats.decode_tps is not None
    return last.stats.decode_tps


def by_operator(engine: TorchEngine, tokens: int) -> dict[str, float]:
    """Milliseconds a token, after a prompt of one."""
    with profile(activities=[ProfilerActivity.CPU]) as seen:
        tps = answer(engine, tokens, prompt=1)
    spent: Counter[str] = Counter()
    for event in seen.key_averages():
        spent[KINDS.get(event.key.removeprefix("aten::"), "other operators")] += (
            event.self_cpu_time_total / 1000 / tokens
        )
    return {**spent, "python": 1000 / tps - sum(spent.values())}


if __name__ == "__main__":
    main()

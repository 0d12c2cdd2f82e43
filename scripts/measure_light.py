"""What any architecture gets: a shape of Llama's kind run as every other model is, through
transformers' own forward pass made lighter (engines/lighter.py), beside the lean way and over plain
transformers in bf16.

    python scripts/measure_light.py smollm2-135m-instruct

Random weights in the card's shape, all in this process, taking turns; a JSON line a way, with the
median of the rounds and the ratio to plain bf16.
"""

from __future__ import annotations

import argparse
import json
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext
from itertools import product
from statistics import median
from unittest.mock import patch

import torch
from measure_decode import answer

from slm_explorer.assets import asset_folder
from slm_explorer.catalog.catalog import Catalog
from slm_explorer.catalog.hfconfig import shape_config
from slm_explorer.engines import torch_engine
from slm_explorer.engines.reference import ReferenceEngine
from slm_explorer.engines.torch_engine import TorchEngine
from slm_explorer.types import ModelSpec


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("card")
    parser.add_argument("--recipes", nargs="+", default=["bf16", "int8", "int4"])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--tokens", type=int, default=64)
    parser.add_argument("--threads", type=int, default=2)
    words = parser.parse_args()
    torch.set_num_threads(words.threads)
    card = Catalog.load(asset_folder()).get(words.card)
    shape = json.dumps(shape_config(card))
    # In one thread all of them, see ReferenceEngine.
    thread = ThreadPoolExecutor(max_workers=1)
    sides: dict[str, TorchEngine | ReferenceEngine] = {}
    for way, recipe in [("plain", "bf16"), *product(("light", "lean"), words.recipes)]:
        engine = ReferenceEngine(thread) if way == "plain" else TorchEngine()
        spec = ModelSpec(card.id, None, recipe, threads=words.threads, shape_config=shape)
        # A model without a lean way takes the light one.
        without = patch.object(torch_engine, "lean_decoder", lambda _model: None)
        with without if way == "light" else nullcontext():
            if way == "plain":
                engine.load(spec, lambda _fraction, _stage: None)
            else:
                thread.submit(engine.load, spec, lambda _fraction, _stage: None).result()
        sides[f"{way} {recipe}"] = engine

    def speed(engine: TorchEngine | ReferenceEngine) -> float:
        if isinstance(engine, ReferenceEngine):
            return answer(engine, words.tokens)
        return thread.submit(answer, engine, words.tokens).result()

    seen: dict[str, list[float]] = {name: [] for name in sides}
    for turn in range(1 + words.rounds):
        for name, engine in sides.items():
            found = speed(engine)
            if turn > 0:
                seen[name].append(found)
    plain = median(seen["plain bf16"])
    for name, speeds in seen.items():
        row = {"card": card.id, "way": name, "decode_tps": median(speeds), "all": speeds}
        print(json.dumps(row | {"over_plain": median(speeds) / plain}), flush=True)


if __name__ == "__main__":
    main()

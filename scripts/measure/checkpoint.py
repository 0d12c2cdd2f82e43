"""Checkpoints of any size with random bf16 weights, written matrix by matrix in shards of at most
2 GB; the tokenizer is the Sprouts'.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

from slm_explorer.assets import asset_folder

# In a process of its own, so that this one stays small.
_WRITE = """
import json, sys, torch
from pathlib import Path
from safetensors.torch import save_file
from transformers import AutoConfig, AutoModelForCausalLM, AutoTokenizer
target, donor, text = sys.argv[1:]
fields = json.loads(text)
config = AutoConfig.for_model(fields.pop("model_type"), **fields)
config.dtype = "bfloat16"
with torch.device("meta"):
    model = AutoModelForCausalLM.from_config(config, dtype=torch.bfloat16)
config.architectures = [type(model).__name__]
config.save_pretrained(target)
AutoTokenizer.from_pretrained(donor).save_pretrained(target)
generator = torch.Generator().manual_seed(0)
shard, held, place, total = {}, 0, {}, 0
def write():
    global shard, held
    name = f"model-{len(set(place.values())):05}.safetensors"
    place.update(dict.fromkeys(shard, name))
    save_file(shard, str(Path(target) / name), metadata={"format": "pt"})
    shard, held = {}, 0
for name, tensor in model.state_dict().items():
    if name == "lm_head.weight" and config.tie_word_embeddings:
        continue
    size = 2 * tensor.numel()
    if held and held + size > 2 * 10**9:
        write()
    values = torch.ones(tensor.shape, dtype=torch.bfloat16)
    if tensor.dim() > 1:
        values.normal_(0, 0.02, generator=generator)
    shard[name], held, total = values, held + size, total + size
write()
index = {"metadata": {"total_size": total}, "weight_map": place}
(Path(target) / "model.safetensors.index.json").write_text(json.dumps(index))
"""


def write_checkpoint(target: Path, config: Mapping[str, object]) -> None:
    """A model of that config.json, with its type, in the new folder `target`."""
    donor = asset_folder() / "sprouts" / "sprout-5m"
    words = [sys.executable, "-c", _WRITE, str(target), str(donor), json.dumps(config)]
    subprocess.run(words, check=True)

"""The real app on a free port, with the shipped Sprouts and one slow model in the Hub cache."""

from __future__ import annotations

import json
import os
import shutil
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from slm_explorer.assets import asset_folder
from slm_explorer.services import Services, build_services
from slm_explorer.settings import Settings
from slm_explorer.ui.server import launch

SLOW_CARD = "smollm2-135m-instruct"
SLOW_NAME = "SmolLM2 135M Instruct"
SLOW_HUB_ID = "HuggingFaceTB/SmolLM2-135M-Instruct"


@dataclass(frozen=True)
class Site:
    """A running page and what it stands on."""

    services: Services
    address: str


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def write_slow_model(cache: Path) -> None:
    """Put random weights into a Hub cache under a catalog card's id: words without end, so that
    there is time to press Stop, kill its process or close the tab.
    """
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM

    commit = "0" * 40
    repository = cache / f"models--{SLOW_HUB_ID.replace('/', '--')}"
    folder = repository / "snapshots" / commit
    folder.mkdir(parents=True)
    (repository / "refs").mkdir()
    (repository / "refs" / "main").write_text(commit)
    tokenizer = asset_folder() / "sprouts" / "sprout-300k"
    for name in ("tokenizer.json", "tokenizer_config.json"):
        shutil.copyfile(tokenizer / name, folder / name)
    vocabulary = json.loads((tokenizer / "config.json").read_text())["vocab_size"]
    torch.manual_seed(1)
    model = LlamaForCausalLM(
        LlamaConfig(
            vocab_size=vocabulary,
            hidden_size=512,
            intermediate_size=1024,
            num_hidden_layers=8,
            num_attention_heads=8,
            num_key_value_heads=4,
            max_position_embeddings=4096,
            bos_token_id=0,
            eos_token_id=2,
            pad_token_id=3,
        )
    )
    with torch.no_grad():
        # The special tokens come first; a zero row never has the highest logit.
        model.lm_head.weight[:4] = 0.0
    model.to(torch.bfloat16).save_pretrained(folder)


@contextmanager
def site(folder: Path, *writers: Callable[[Path], None], **changes: Any) -> Iterator[Site]:
    """Serve from `folder`; everything has ended afterwards. `writers` put more models into the
    Hub cache, `changes` are of the settings.
    """
    before = os.environ.get("HF_HUB_CACHE")
    os.environ["HF_HUB_CACHE"] = str(folder / "hub")
    for write in (write_slow_model, *writers):
        write(folder / "hub")
    settings = replace(Settings.from_env({}), home=folder / "home", port=free_port(), **changes)
    services = build_services(settings)
    try:
        page, address = launch(services)
        try:
            yield Site(services, address)
        finally:
            page.close(verbose=False)
    finally:
        services.close()
        os.environ.pop("HF_HUB_CACHE")
        if before is not None:
            os.environ["HF_HUB_CACHE"] = before

"""The object graph, built once: every surface (page, command line, endpoints) shares it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from slm_explorer.assets import asset_folder
from slm_explorer.catalog.catalog import Catalog
from slm_explorer.chat import ChatService
from slm_explorer.meters.sampler import Sampler
from slm_explorer.runtime.manager import ModelManager
from slm_explorer.settings import Settings


@dataclass(frozen=True)
class Services:
    """What a surface needs. `close` ends every worker and thread."""

    settings: Settings
    assets: Path
    catalog: Catalog
    manager: ModelManager
    chat: ChatService
    sampler: Sampler
    memory_limit: int

    def close(self) -> None:
        self.sampler.stop()
        self.manager.close()


def build_services(settings: Settings) -> Services:
    """Wire everything; starts nothing but what is cheap (no worker, no thread, no network)."""
    raise NotImplementedError(str(asset_folder()))

from __future__ import annotations

import pytest

from slm_explorer.assets import asset_folder
from slm_explorer.catalog.catalog import Catalog


@pytest.fixture(scope="session")
def catalog() -> Catalog:
    return Catalog.load(asset_folder())

"""One running app for the endpoint tests."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.serving import Site, site


@pytest.fixture(scope="session")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    with site(tmp_path_factory.mktemp("site")) as running:
        yield running

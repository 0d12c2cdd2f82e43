"""One public server for the whole hostile suite: after every attack it must be well."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.safety.server import App, app


@pytest.fixture(scope="session")
def public(tmp_path_factory: pytest.TempPathFactory) -> Iterator[App]:
    home = tmp_path_factory.mktemp("public")
    with app(home, SLM_EXPLORER_PUBLIC="1", SLM_EXPLORER_THREADS="1") as running:
        yield running


@pytest.fixture
def victim(public: App) -> Iterator[App]:
    """The server of one attack; the attack has failed only if a good request works after it."""
    yield public
    assert public.is_well()
    assert public.process.poll() is None

"""A fresh store of each implementation for every contract test."""

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.store_samples import IMPLEMENTATIONS, Bench


@pytest.fixture(params=sorted(IMPLEMENTATIONS))
def bench(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Bench]:
    """An open store."""
    with asyncio.Runner() as runner:
        store = IMPLEMENTATIONS[request.param](tmp_path, {})
        yield Bench(store=store, runner=runner)
        runner.run(store.close())

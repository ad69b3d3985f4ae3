"""A fresh store of each implementation for every contract test."""

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.store_samples import IMPLEMENTATIONS, Bench


@pytest.fixture(params=[f"{name}, {level}" for name in sorted(IMPLEMENTATIONS) for level in ("durable", "visible")])
def bench(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Bench]:
    """An open store; what is proposed through the bench is durable, or visible alone: other ways lead to the disk."""
    name, level = request.param.split(", ")
    with asyncio.Runner() as runner:
        store = IMPLEMENTATIONS[name](tmp_path, {})
        yield Bench(store=store, runner=runner, is_durable=level == "durable")
        runner.run(store.close())

"""The token of a run in a worker that has not heard of its key yet, and once that key has ended."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path

import pytest

from leverframe.config.project import load_project
from leverframe.domain.authority import ApiKey
from leverframe.domain.errors import AuthRefused
from leverframe.domain.ids import RunId
from leverframe.domain.records import replace
from leverframe.runtime import authority
from leverframe.runtime.live_runs import LiveRuns
from leverframe.runtime.mint import Mint
from leverframe.runtime.run_tokens import RunToken, spell
from leverframe.testing import FakeClock, FakeEntropy
from leverframe.wiring.assembly import Assembly, open_assembly
from tests.desk_keys import desk_key
from tests.door_desk import TENANT, write_desk

RUN = RunId("run_" + "0" * 26)


async def made(assembly: Assembly, *, lives_for: timedelta | None = None) -> ApiKey:
    """A key that a process makes."""
    services = assembly.services
    return await desk_key(services, lives_for=lives_for)


def bearer(assembly: Assembly, key: ApiKey) -> dict[str, str]:
    """What an agent sends that has the token of a run."""
    expires_at = assembly.services.mint.now() + timedelta(hours=1)
    token = RunToken(run_id=RUN, tenant=TENANT, key_id=key.key_id, expires_at=expires_at)
    return {"authorization": f"Bearer {spell(token, assembly.services.fingerprints)}"}


@asynccontextmanager
async def worker(folder: Path) -> AsyncIterator[tuple[Assembly, LiveRuns]]:
    async with open_assembly(load_project(folder), create=True, serves=True) as assembly:
        yield assembly, LiveRuns(assembly.services, assembly.runner, assembly.store.live)


def test_the_token_of_a_key_that_another_process_made_a_moment_ago_is_good_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(authority, "REFRESH_S", 3600.0)  # nobody tells the other worker of it
    write_desk(tmp_path)

    async def act() -> bool:
        async with worker(tmp_path) as (ours, _), worker(tmp_path) as (_, theirs):
            key = await made(ours)
            caller = await theirs.recognise(bearer(ours, key))
            return (caller.key, caller.run_id) == (key, RUN)

    assert asyncio.run(act())


def test_the_record_says_that_a_key_expired_where_it_was_not_revoked(tmp_path: Path) -> None:
    write_desk(tmp_path)

    async def act() -> str:
        async with worker(tmp_path) as (assembly, live):
            key = await made(assembly, lives_for=timedelta(minutes=1))
            later = FakeClock(assembly.services.clock.now() + timedelta(minutes=2))
            live.services = replace(assembly.services, clock=later, mint=Mint(clock=later, entropy=FakeEntropy()))
            with pytest.raises(AuthRefused) as caught:
                await live.recognise(bearer(assembly, key))
            return caught.value.why

    assert asyncio.run(act()) == "expired"

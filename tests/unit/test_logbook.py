"""When a process began to write to a log, that it is alive, when it stopped."""

import asyncio
from collections.abc import Coroutine
from contextlib import suppress
from pathlib import Path
from typing import TypeVar

import pytest

from leverframe.domain.errors import StoreUnavailable
from leverframe.domain.evidence import EntryDraft, EventType
from leverframe.domain.ids import EntryId, TenantId
from leverframe.domain.proposals import CommitResult, Committed, GuardFailed, Proposal
from leverframe.runtime.logbook import HEARTBEAT_S, Logbook
from leverframe.runtime.mint import Mint
from leverframe.testing.clock import FakeClock, FakeEntropy
from leverframe.wiring.assembly import Assembly
from tests.evidence_project import asked, finished, new_project, within

ACME, OTHER = TenantId("acme"), TenantId("other")
_Result = TypeVar("_Result")


class Log:
    """A writer that keeps what it is given, and can be told to fail."""

    def __init__(self) -> None:
        self.entries: list[EntryDraft] = []
        self.fails: list[CommitResult | Exception] = []

    async def commit(self, proposal: Proposal) -> CommitResult:
        await asyncio.sleep(0)
        if self.fails:
            failure = self.fails.pop(0)
            if isinstance(failure, Exception):
                raise failure
            return failure
        self.entries.extend(proposal.entries)
        return Committed(first_index=0)

    async def close(self) -> None:
        pass

    def types(self, tenant: TenantId = ACME) -> list[str]:
        return [entry.type.value for entry in self.entries if entry.tenant == tenant]


def run(work: Coroutine[object, object, _Result]) -> _Result:
    return asyncio.run(work)


@pytest.fixture
def log() -> Log:
    return Log()


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def logbook(log: Log, clock: FakeClock) -> Logbook:
    return Logbook(log, Mint(clock, FakeEntropy()))


def proposal(clock: FakeClock, tenant: TenantId = ACME) -> Proposal:
    entry = EntryDraft(entry_id=EntryId("ent_1"), at=clock.now(), type=EventType.RUN_STARTED, tenant=tenant)
    return Proposal(tenant=tenant, entries=(entry,))


def test_the_first_entry_of_a_process_opens_each_log_and_the_next_does_not(
    log: Log, clock: FakeClock, logbook: Logbook
) -> None:
    async def work() -> None:
        for tenant in (ACME, ACME, OTHER):
            await logbook.commit(proposal(clock, tenant))
        await logbook.close()

    run(work())

    assert log.types() == ["log.opened", "run.started", "run.started", "log.closed"]
    assert log.types(OTHER) == ["log.opened", "run.started", "log.closed"]
    assert log.entries[0].detail["heartbeat_s"] == HEARTBEAT_S


def test_two_first_proposals_at_once_open_the_log_once(log: Log, clock: FakeClock, logbook: Logbook) -> None:
    async def work() -> None:
        await asyncio.gather(logbook.commit(proposal(clock)), logbook.commit(proposal(clock)))

    run(work())

    assert sorted(log.types()) == ["log.opened", "run.started", "run.started"]


@pytest.mark.parametrize(
    "failure",
    [GuardFailed(guard="RunIs", detail="ended"), StoreUnavailable("The disk is full.")],
    ids=["guard", "disk"],
)
def test_a_first_proposal_that_did_not_happen_leaves_the_log_to_be_opened(
    log: Log, clock: FakeClock, logbook: Logbook, failure: CommitResult | Exception
) -> None:
    log.fails.append(failure)

    async def work() -> None:
        try:
            await logbook.commit(proposal(clock))
        except StoreUnavailable:
            assert failure is not None
        await logbook.commit(proposal(clock))

    run(work())

    assert log.types() == ["log.opened", "run.started"]


def test_a_quiet_process_beats_and_a_busy_one_does_not(log: Log, clock: FakeClock, logbook: Logbook) -> None:
    async def work() -> None:
        await logbook.commit(proposal(clock, ACME))
        clock.advance(HEARTBEAT_S - 1)
        await logbook.commit(proposal(clock, OTHER))
        clock.advance(1)
        await logbook.beat()

    run(work())

    assert log.types() == ["log.opened", "run.started", "heartbeat"]
    assert log.types(OTHER) == ["log.opened", "run.started"]


def test_a_process_that_slept_says_for_how_long(log: Log, clock: FakeClock, logbook: Logbook) -> None:
    async def work() -> None:
        await logbook.commit(proposal(clock))
        clock.advance(3_600)
        await logbook.beat()

    run(work())

    assert log.types() == ["log.opened", "run.started", "log.opened", "heartbeat"]
    assert log.entries[2].detail["silent_s"] == 3_600


def test_a_database_that_is_gone_at_the_end_leaves_the_log_open(log: Log, clock: FakeClock, logbook: Logbook) -> None:
    async def work() -> None:
        await logbook.commit(proposal(clock))
        log.fails.append(StoreUnavailable("The disk is full."))
        await logbook.close()

    run(work())

    assert log.types() == ["log.opened", "run.started"]


def test_a_database_that_takes_nothing_is_tried_until_it_does(log: Log, clock: FakeClock, logbook: Logbook) -> None:
    told: list[str] = []

    async def work() -> None:
        log.fails += [StoreUnavailable("The disk is full.")] * 2
        with suppress(StoreUnavailable):
            await logbook.commit(proposal(clock))
        for _ in range(3):
            told.append(logbook.trouble)
            await logbook.try_again()

    run(work())

    assert told == ["store-unavailable", "store-unavailable", ""]
    # Once it does nothing more is tried.
    assert log.types() == ["log.opened", "heartbeat"]


def test_a_process_that_only_reads_leaves_nothing(tmp_path: Path) -> None:
    root = new_project(tmp_path / "desk")
    finished(root)
    ((before,),) = asked(root, "SELECT count(*) FROM leaves")

    async def read(assembly: Assembly) -> None:
        await assembly.services.evidence.tree(TenantId("default"))

    within(root, read, create=False)

    assert asked(root, "SELECT count(*) FROM leaves") == [(before,)]

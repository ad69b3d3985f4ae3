"""Who commits: the loop of the callers what is visible, a thread what is durable; and no loop waits for either."""

import asyncio
import sqlite3
import threading
from collections.abc import AsyncIterator, Awaitable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from leverframe.domain.errors import StoreUnavailable
from leverframe.domain.proposals import Change, CommitResult, Committed, EnsureWindow, OpenRun, Proposal
from leverframe.store import Store, open_sqlite
from leverframe.store.sqlite import wal_checkpoints, writer
from leverframe.store.sqlite.batches import Batch
from leverframe.store.sqlite.filelock import FileLock, lock_file
from leverframe.store.sqlite.flushing import Flusher, Grown
from leverframe.store.sqlite.line import Ticket
from leverframe.store.sqlite.transacting import Done, Transactions
from tests.store_samples import ACME, RUN, a_run, a_window, an_entry, assert_log_verifies, new_step, taking
from tests.vaults import vault_beside

WINDOW = a_window(64, window_id="tenant/acme/month")


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "leverframe.db"


@asynccontextmanager
async def opened(path: Path, *, patience_s: float = 10.0) -> AsyncIterator[Store]:
    """A store with an open run, whose writer has committed something visible before."""
    store = open_sqlite(path, create=True, vault=vault_beside(path), patience_s=patience_s)
    try:
        if await store.journal.run(RUN) is None:
            shared = EnsureWindow(window=WINDOW, tenant=ACME, resets_at=None)
            await store.writer.commit(
                Proposal(tenant=ACME, changes=(OpenRun(run=a_run(), windows=(a_window(64),)), shared))
            )
            await visible(store, new_step("first"))
        yield store
    finally:
        await store.close()


async def visible(store: Store, *changes: Change, entry: str = "") -> CommitResult:
    entries = (an_entry(entry),) if entry else ()
    return await store.writer.commit(Proposal(tenant=ACME, changes=changes, entries=entries, is_durable=False))


async def turns_while(waiting: Awaitable[object]) -> int:
    """How often the loop came round before something ended."""
    ended, turns = asyncio.ensure_future(waiting), 0
    while not ended.done():
        await asyncio.sleep(0.001)
        turns += 1
    await ended
    return turns


async def let_go_soon(release: "asyncio.Future[None]", after_s: float = 0.1) -> None:
    await asyncio.sleep(after_s)
    release.set_result(None)


def test_a_visible_proposal_is_committed_by_the_loop_of_its_caller(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    threads: list[int] = []
    commit = Transactions.commit

    def noting(self: Transactions, tickets: list[Ticket]) -> Done:
        threads.append(threading.get_ident())
        return commit(self, tickets)

    async def both() -> None:
        async with opened(path) as store:
            monkeypatch.setattr(Transactions, "commit", noting)
            await visible(store, new_step("1"))
            await store.writer.commit(Proposal(tenant=ACME, changes=(new_step("2"),)))

    asyncio.run(both())
    assert [one == threading.get_ident() for one in threads] == [True, False]


def test_a_loop_whose_turn_was_taken_for_a_moment_comes_back_for_it(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    threads: list[int] = []
    commit = Transactions.commit

    def noting(self: Transactions, tickets: list[Ticket]) -> Done:
        threads.append(threading.get_ident())
        return commit(self, tickets)

    async def held() -> None:
        async with opened(path) as store:
            monkeypatch.setattr(Transactions, "commit", noting)
            monkeypatch.setattr(writer, "_GIVES_UP_S", 5.0)  # of a machine that stands still for a while
            lock = FileLock(lock_file(path))
            for number in range(20):
                # As long as it takes to sign a head.
                lock.acquire_within(1)
                asyncio.get_running_loop().call_later(0.003, lock.release)
                assert isinstance(await visible(store, new_step(str(number))), Committed)
            lock.close()

    asyncio.run(held())
    assert set(threads) == {threading.get_ident()}


@pytest.mark.parametrize("held_by", ["a SQL shell", "another process"])
def test_a_loop_goes_on_while_somebody_else_has_the_database(path: Path, held_by: str) -> None:
    async def wait() -> None:
        async with opened(path) as store:
            shell, lock = sqlite3.connect(path, isolation_level=None), FileLock(lock_file(path))
            if held_by == "a SQL shell":
                shell.execute("BEGIN IMMEDIATE")
            else:
                lock.acquire_within(1)

            async def answered() -> None:
                found = asyncio.gather(*(visible(store, new_step(str(n)), entry=f"e{n}") for n in range(20)))
                await asyncio.sleep(0.1)
                assert not found.done()
                shell.execute("ROLLBACK") if shell.in_transaction else lock.release()
                assert all(isinstance(one, Committed) for one in await found)

            assert await turns_while(answered()) > 20
            shell.close()
            lock.close()
            assert await assert_log_verifies(store) == 20

    asyncio.run(wait())


def test_a_loop_that_raised_a_ceiling_goes_on_while_the_disk_flushes(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    flushing, may_end = threading.Event(), threading.Event()
    flush = Flusher.flush

    def slow(self: Flusher) -> Exception | None:
        if threading.current_thread().name == "leverframe-store-raise":
            flushing.set()
            assert may_end.wait(10)
        return flush(self)

    async def raise_it() -> None:
        async with opened(path) as store:
            monkeypatch.setattr(Flusher, "flush", slow)
            taken = asyncio.ensure_future(visible(store, taking("rsv_1", 40, window_id="tenant/acme/month")))
            await asyncio.to_thread(flushing.wait, 10)
            # Nobody builds on the ceiling before it is flushed, in whatever way they come.
            others = [asyncio.ensure_future(visible(store, new_step("1")))]
            others.append(asyncio.ensure_future(store.writer.commit(Proposal(tenant=ACME, changes=(new_step("2"),)))))
            await asyncio.sleep(0.05)
            assert not any(one.done() for one in (taken, *others))
            may_end.set()
            assert all(isinstance(one, Committed) for one in await asyncio.gather(taken, *others))

    asyncio.run(raise_it())


def test_a_flush_that_fails_under_a_raised_ceiling_is_told_to_its_caller(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def fail() -> None:
        async with opened(path) as store:

            def broken(_self: object) -> None:
                raise OSError(5, "Input/output error")

            monkeypatch.setattr("leverframe.store.sqlite.flushing.WalFile.flush", broken)
            with pytest.raises(StoreUnavailable, match="failed to flush"):
                await visible(store, taking("rsv_1", 40, window_id="tenant/acme/month"))

    asyncio.run(fail())


def test_loops_in_two_threads_share_one_writer(path: Path) -> None:
    def some(store: Store, name: str) -> list[CommitResult]:
        async def commit() -> list[CommitResult]:
            return [await visible(store, new_step(f"{name}{n}"), entry=f"{name}{n}") for n in range(100)]

        return asyncio.run(commit())

    async def both() -> None:
        async with opened(path) as store:
            found = await asyncio.gather(*(asyncio.to_thread(some, store, name) for name in "abc"))
            assert all(isinstance(one, Committed) for each in found for one in each)
            assert await assert_log_verifies(store) == 300

    asyncio.run(both())


def test_what_is_visible_keeps_its_place_behind_what_is_durable(path: Path) -> None:
    async def mixed() -> None:
        async with opened(path) as store:
            proposals = [Proposal(tenant=ACME, entries=(an_entry(f"e{n}"),), is_durable=n % 3 == 0) for n in range(60)]
            await asyncio.gather(*map(store.writer.commit, proposals))
            found = await store.evidence.leaves(ACME, 0, 100)
            assert [one.entry_id for one in found] == [f"e{n}" for n in range(60)]

    asyncio.run(mixed())


def test_closing_takes_along_what_a_loop_was_about_to_commit(path: Path) -> None:
    async def close_at_once() -> None:
        async with opened(path) as store:
            waiting = [asyncio.ensure_future(visible(store, new_step(str(n)))) for n in range(5)]
            await asyncio.sleep(0)
            await store.close()
            assert all(isinstance(one, Committed) for one in await asyncio.gather(*waiting))

    asyncio.run(close_at_once())


def test_the_log_beside_the_database_stays_short_under_steady_writing(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(wal_checkpoints, "COPY_EVERY", 20)
    monkeypatch.setattr(wal_checkpoints, "LONG", 100)
    wal = path.with_name("leverframe.db-wal")

    async def write() -> list[int]:
        sizes = []
        async with opened(path) as store:
            for number in range(1_000):
                await visible(store, new_step(str(number)), entry=f"e{number}")
                sizes.append(wal.stat().st_size)
            assert await assert_log_verifies(store) == 1_000
        return sizes

    sizes = asyncio.run(write())
    # The file never shrinks: what it grew to is the longest that the log was.
    assert sizes[-1] < 4 * sizes[99]


def test_a_reader_that_stays_keeps_no_writer_waiting(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(wal_checkpoints, "COPY_EVERY", 5)
    monkeypatch.setattr(wal_checkpoints, "LONG", 10)

    async def write() -> None:
        async with opened(path) as store:
            reader = sqlite3.connect(path)
            reader.execute("BEGIN")
            reader.execute("SELECT count(*) FROM steps").fetchone()
            for number in range(100):
                assert isinstance(await visible(store, new_step(str(number))), Committed)
            reader.close()

    asyncio.run(write())


@pytest.mark.parametrize("is_durable", [False, True])
def test_a_fault_within_a_commit_is_told_to_its_callers_and_leaves_no_transaction_open(
    path: Path, monkeypatch: pytest.MonkeyPatch, *, is_durable: bool
) -> None:
    async def commit(store: Store, name: str) -> CommitResult:
        return await store.writer.commit(
            Proposal(tenant=ACME, changes=(new_step(name),), entries=(an_entry(name),), is_durable=is_durable)
        )

    def fails(_: Batch) -> Grown:
        raise RuntimeError("a fault of ours")

    async def scenario() -> None:
        async with opened(path) as store:
            with monkeypatch.context() as patch:
                patch.setattr(Batch, "finish", fails)
                told = await asyncio.wait_for(
                    asyncio.gather(commit(store, "1"), commit(store, "2"), return_exceptions=True), 10
                )
            assert [type(one) for one in told] == [StoreUnavailable] * 2
            assert all("RuntimeError" in str(one) for one in told)
            assert isinstance(await asyncio.wait_for(commit(store, "1"), 10), Committed)
            await assert_log_verifies(store)

    asyncio.run(scenario())

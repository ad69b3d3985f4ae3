"""What only SQLite has: a file that may be missing, foreign, newer, damaged, read-only or on a full disk."""

import asyncio
import os
import resource
import signal
import sqlite3
import stat
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from leverframe.domain.budgets import Window
from leverframe.domain.errors import SchemaTooNew, StoreUnavailable
from leverframe.domain.ids import ReservationId
from leverframe.domain.proposals import Committed, OpenRun, Proposal, SettleReserves
from leverframe.store import Store, open_sqlite
from leverframe.store.sqlite.filelock import FileLock
from leverframe.store.sqlite.migrate import migrations, newest, statements
from tests.store_samples import ACME, RUN, a_run, an_entry, assert_log_verifies, new_step
from tests.vaults import vault_beside
from tests.waiting import until

NOBODY = 65_534


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "leverframe.db"


async def commit(store: Store, *paths: str) -> list[Committed | BaseException]:
    """Write a step and an entry for each path, all at once."""
    proposals = [Proposal(tenant=ACME, changes=(new_step(one),), entries=(an_entry(f"e{one}"),)) for one in paths]
    found = await asyncio.gather(*map(store.writer.commit, proposals), return_exceptions=True)
    return [one for one in found if isinstance(one, Committed | BaseException)]


async def opened(path: Path, *, patience_s: float = 10.0) -> Store:
    """A store with one open run."""
    store = open_sqlite(path, create=True, vault=vault_beside(path), patience_s=patience_s)
    if await store.journal.run(RUN) is None:
        await store.writer.commit(Proposal(tenant=ACME, changes=(OpenRun(run=a_run(), windows=()),)))
    return store


def script(path: Path, *sql: str) -> None:
    with sqlite3.connect(path) as shell:
        for statement in sql:
            shell.execute(statement)
    shell.close()


def test_a_database_is_never_made_by_accident(path: Path) -> None:
    with pytest.raises(StoreUnavailable, match="There is no database") as caught:
        open_sqlite(path, create=False, vault=vault_beside(path))

    assert str(path) in caught.value.message
    assert "leverframe init" in caught.value.next_move
    assert list(path.parent.iterdir()) == []


def test_a_new_database_is_closed_to_other_users(tmp_path: Path) -> None:
    path = tmp_path / "new" / "leverframe.db"

    asyncio.run(open_sqlite(path, create=True, vault=vault_beside(path)).close())

    modes = {one.name: stat.S_IMODE(one.stat().st_mode) for one in path.parent.iterdir()}
    assert modes == {"leverframe.db": 0o600, "leverframe.db.lock": 0o600}
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700


def test_what_was_written_is_there_after_reopening(path: Path) -> None:
    async def first() -> None:
        store = await opened(path)
        await commit(store, "1")
        await store.close()
        await store.close()

    async def second() -> None:
        store = open_sqlite(path, create=False, vault=vault_beside(path))
        assert await store.journal.run(RUN) == a_run()
        assert await assert_log_verifies(store) == 1
        await store.close()

    asyncio.run(first())
    asyncio.run(second())


@pytest.mark.parametrize("create", [True, False])
def test_a_newer_schema_is_not_touched(path: Path, *, create: bool) -> None:
    asyncio.run(open_sqlite(path, create=True, vault=vault_beside(path)).close())
    script(path, f"PRAGMA user_version = {newest() + 1}")
    before = path.read_bytes()

    with pytest.raises(SchemaTooNew, match=f"has schema {newest() + 1}.*knows up to {newest()}") as caught:
        open_sqlite(path, create=create, vault=vault_beside(path))

    assert "later" in caught.value.next_move
    assert path.read_bytes() == before


@pytest.mark.parametrize("create", [True, False])
def test_the_database_of_something_else_is_not_touched(path: Path, *, create: bool) -> None:
    script(path, "CREATE TABLE songs (title TEXT)", "PRAGMA user_version = 7")
    tables_before = schema_tables(path)

    with pytest.raises(StoreUnavailable, match="database of something else"):
        open_sqlite(path, create=create, vault=vault_beside(path))

    assert schema_tables(path) == tables_before


def schema_tables(path: Path) -> list[tuple[str, ...]]:
    with sqlite3.connect(path) as shell:
        found = shell.execute("SELECT name, sql FROM sqlite_master").fetchall()
    shell.close()
    return found


def test_an_empty_file_is_no_database_unless_one_is_asked_for(path: Path) -> None:
    path.touch()

    with pytest.raises(StoreUnavailable, match="is empty"):
        open_sqlite(path, create=False, vault=vault_beside(path))
    asyncio.run(open_sqlite(path, create=True, vault=vault_beside(path)).close())

    assert ("runs",) in [(name,) for name, _ in schema_tables(path)]


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (b"not a database, by any means" * 100, "not a database"),
        (b"SQLite format 3\x00" + b"\xff" * 4096, "cannot be used"),
    ],
)
def test_a_file_that_is_no_database_is_said_to_be_none(path: Path, content: bytes, why: str) -> None:
    path.write_bytes(content)

    with pytest.raises(StoreUnavailable, match=why) as caught:
        open_sqlite(path, create=True, vault=vault_beside(path))

    assert "backup" in caught.value.next_move
    assert path.read_bytes() == content


def test_a_folder_in_place_of_the_file_is_said_plainly(tmp_path: Path) -> None:
    with pytest.raises(StoreUnavailable):
        open_sqlite(tmp_path, create=False, vault=vault_beside(tmp_path))
    with pytest.raises(StoreUnavailable):
        open_sqlite(tmp_path, create=True, vault=vault_beside(tmp_path))


def test_a_truncated_database_is_said_to_be_damaged_and_left_as_it_is(path: Path) -> None:
    async def fill() -> None:
        store = await opened(path)
        await commit(store, *map(str, range(50)))
        await store.close()

    asyncio.run(fill())
    os.truncate(path, 3 * 4096)
    before = path.read_bytes()

    async def use() -> None:
        store = open_sqlite(path, create=False, vault=vault_beside(path))
        try:
            await store.journal.steps(RUN)
            await assert_log_verifies(store)
        finally:
            await store.close()

    with pytest.raises(StoreUnavailable, match=r"damaged|not a database"):
        asyncio.run(use())
    assert path.read_bytes() == before


@contextmanager
def a_user_without_rights(folder: Path) -> Iterator[None]:
    """Root may write anywhere, so root becomes nobody for a while."""
    is_root = os.geteuid() == 0
    if is_root:
        for one in (folder, *folder.iterdir()):
            os.chown(one, NOBODY, NOBODY)
        os.seteuid(NOBODY)
    try:
        yield
    finally:
        if is_root:
            os.seteuid(0)


@pytest.mark.parametrize("locked", ["folder", "file"])
def test_a_read_only_place_is_said_plainly_and_nothing_is_lost(locked: str) -> None:
    with TemporaryDirectory() as name:
        folder = Path(name)
        path = folder / "leverframe.db"

        async def fill() -> None:
            await (await opened(path)).close()

        asyncio.run(fill())
        (folder / "leverframe.db.lock").unlink()
        target = folder if locked == "folder" else path
        mode = target.stat().st_mode
        with a_user_without_rights(folder):
            target.chmod(0o500 if locked == "folder" else 0o400)
            for create in (True, False):
                with pytest.raises(StoreUnavailable, match="cannot be written") as caught:
                    open_sqlite(path, create=create, vault=vault_beside(path))
                assert "permission" in caught.value.next_move
            target.chmod(mode)
        store = open_sqlite(path, create=False, vault=vault_beside(path))
        assert asyncio.run(store.journal.run(RUN)) == a_run()
        asyncio.run(store.close())


def test_a_full_disk_fails_the_whole_batch_and_nothing_of_it_happened(path: Path) -> None:
    async def fill_up() -> None:
        store = await opened(path)
        (pages,) = store._connection.execute("PRAGMA page_count").fetchone()
        store._connection.execute(f"PRAGMA max_page_count = {pages}").fetchone()
        found = await commit(store, *map(str, range(200)))
        failed = [one for one in found if isinstance(one, StoreUnavailable)]
        kept = [str(number) for number, one in enumerate(found) if isinstance(one, Committed)]
        assert len(failed) + len(kept) == 200
        assert "the disk is full" in str(failed[0])
        assert "Make room" in str(failed[0])
        assert [step.path for step in await store.journal.steps(RUN)] == kept
        assert await assert_log_verifies(store) == len(kept)

        store._connection.execute("PRAGMA max_page_count = 1000000").fetchone()
        assert all(isinstance(one, Committed) for one in await commit(store, "later 1", "later 2"))
        assert await assert_log_verifies(store) == len(kept) + 2
        await store.close()

    asyncio.run(fill_up())


def test_a_disk_that_fails_at_the_commit_itself_fails_the_batch(path: Path) -> None:
    async def fail_then_mend() -> None:
        store = await opened(path)
        await commit(store, "0")
        soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
        size = path.with_name("leverframe.db-wal").stat().st_size
        was = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (size + 100, hard))
        try:
            found = await commit(store, "1", "2", "3")
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
            signal.signal(signal.SIGXFSZ, was)
        assert [type(one) for one in found] == [StoreUnavailable] * 3
        assert [step.path for step in await store.journal.steps(RUN)] == ["0"]

        assert all(isinstance(one, Committed) for one in await commit(store, "1", "2"))
        assert await assert_log_verifies(store) == 3
        await store.close()

    asyncio.run(fail_then_mend())


def test_a_sql_shell_in_a_transaction_is_named_and_nothing_is_lost(path: Path) -> None:
    async def blocked() -> None:
        store = await opened(path)
        store._connection.execute("PRAGMA busy_timeout = 20").fetchone()
        shell = sqlite3.connect(path, isolation_level=None)
        shell.execute("BEGIN IMMEDIATE")
        found = await commit(store, "1")
        shell.execute("ROLLBACK")
        shell.close()
        assert isinstance(found[0], StoreUnavailable)
        assert "SQL shell" in found[0].next_move
        assert await commit(store, "1") == [Committed(first_index=0)]
        await store.close()

    asyncio.run(blocked())


def test_a_stopped_process_that_holds_the_lock_makes_callers_give_up_and_not_happen(path: Path) -> None:
    async def wait_in_vain() -> None:
        store = await opened(path, patience_s=0.05)
        other = FileLock(path.with_name("leverframe.db.lock"))
        other.acquire_within(1)
        found = await commit(store, "1", "2")
        with pytest.raises(StoreUnavailable, match="has held"):
            open_sqlite(path, create=False, vault=vault_beside(path), patience_s=0.05)
        other.close()
        assert [type(one) for one in found] == [StoreUnavailable] * 2
        assert await commit(store, "3") == [Committed(first_index=0)]
        assert [step.path for step in await store.journal.steps(RUN)] == ["3"]
        await store.close()

    asyncio.run(wait_in_vain())


def test_a_stopped_process_that_holds_the_lock_does_not_keep_an_idle_one_from_ending(path: Path) -> None:
    async def end_all_the_same() -> None:
        store = await opened(path, patience_s=0.05)
        other = FileLock(path.with_name("leverframe.db.lock"))
        other.acquire_within(1)
        try:
            await asyncio.wait_for(store.close(), 5)
        finally:
            other.close()

    asyncio.run(end_all_the_same())
    asyncio.run(asyncio.wait_for(reopened_and_written(path), 5))


async def reopened_and_written(path: Path) -> None:
    """What was kept from ending in good order is as it was after a process that died."""
    store = await opened(path)
    assert await commit(store, "1") == [Committed(first_index=0)]
    await store.close()


def test_a_caller_that_is_cancelled_before_its_batch_has_done_nothing(path: Path) -> None:
    async def cancel() -> None:
        store = await opened(path)
        other = FileLock(path.with_name("leverframe.db.lock"))
        other.acquire_within(1)
        waiting = asyncio.ensure_future(commit(store, "1"))
        await asyncio.sleep(0)
        waiting.cancel()
        await asyncio.gather(waiting, return_exceptions=True)
        other.close()
        await commit(store, "2")
        assert [step.path for step in await store.journal.steps(RUN)] == ["2"]
        await store.close()

    asyncio.run(cancel())


def test_processes_that_create_at_once_agree_on_one_database(path: Path) -> None:
    code = (
        "import asyncio, sys; from pathlib import Path; from leverframe.store import open_sqlite\n"
        "from leverframe.identity.vault import FileVault\n"
        "path = Path(sys.argv[1])\n"
        "asyncio.run(open_sqlite(path, create=True, vault=FileVault(path.parent / 'keys')).close())"
    )
    children = [subprocess.Popen([sys.executable, "-c", code, str(path)]) for _ in range(4)]

    assert until(lambda: all(child.poll() is not None for child in children), what="creation by all four")

    assert [child.returncode for child in children] == [0] * 4
    asyncio.run(open_sqlite(path, create=False, vault=vault_beside(path)).close())


def test_a_migration_that_fails_leaves_the_schema_before_it(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asyncio.run(open_sqlite(path, create=True, vault=vault_beside(path)).close())
    before = schema_tables(path)
    fails_halfway = "CREATE TABLE later (id INTEGER) STRICT;\nCREATE TABLE runs (id INTEGER) STRICT;\n"
    known = (*migrations(), (newest() + 1, fails_halfway))
    monkeypatch.setattr("leverframe.store.sqlite.migrate.migrations", lambda: known)

    with pytest.raises(sqlite3.OperationalError, match="runs already exists"):
        open_sqlite(path, create=False, vault=vault_beside(path))

    assert schema_tables(path) == before


def test_a_database_of_the_first_schema_keeps_its_books(path: Path) -> None:
    first = next(sql for number, sql in migrations() if number == 1)
    run = (
        "INSERT INTO runs VALUES ('run_1', 'acme', 'sandbox', 'w', 'agent', '', '', '', '', 0, 'open', NULL, '', '',"
        " NULL, 0, 0, x'', '', '', '', 0)"
    )
    window = "INSERT INTO windows VALUES ('run/run_1', 'tool_calls', 'run_1', 10, 3, 2, 'w.yaml', 12, 'max_tool_calls')"
    reservation = "INSERT INTO reservations VALUES ('rsv_1', 'run/run_1', 'tool_calls', 'run_1', '1', 2, 'open')"
    script(path, *statements(first), run, window, reservation)

    async def settle() -> Sequence[Window]:
        store = open_sqlite(path, create=False, vault=vault_beside(path))
        change = SettleReserves(reservation_id=ReservationId("rsv_1"), actual={})
        await store.writer.commit(Proposal(tenant=ACME, changes=(change,)))
        found = await store.journal.windows(RUN)
        await store.close()
        return found

    assert [(one.limit, one.settled, one.reserved, one.key) for one in asyncio.run(settle())] == [
        (10, 5, 0, "max_tool_calls")
    ]

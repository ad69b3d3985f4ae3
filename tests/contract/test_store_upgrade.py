"""A database that an earlier version left in clear: sealed and tagged once, and nothing of the text is left in it."""

import asyncio
import sqlite3
from collections.abc import Awaitable, Callable
from contextlib import closing
from pathlib import Path
from typing import TypeVar

import pytest

from leverframe.domain.approvals import Approval, ApprovalState
from leverframe.domain.errors import AuthorityForged, KeyUnsafe
from leverframe.domain.evidence import Disclosure
from leverframe.domain.ids import ApprovalId, EntryId
from leverframe.domain.proposals import OpenRun, Proposal
from leverframe.store import Store, open_sqlite
from leverframe.store.sqlite.migrate import migrations, statements
from tests.store_samples import ACME, RUN, a_disclosure, a_run, an_entry, assert_log_verifies
from tests.vaults import vault_beside

T = TypeVar("T")

VALUE = a_disclosure("input", b'"a very late parcel"')
REDACTED = a_disclosure("email", b'"ada@example.com"', salt="c2FsdDI")
REQUIREMENT = (
    '{"from_groups":["finance"],"quorum":1,"distinct_from":[],"decide_within_s":600,"execute_within_s":60,'
    '"source_file":"w.yaml","source_line":12}'
)
APPROVAL = ApprovalId("apr_1")


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A database of schema 3: a run of a subject, a value and a redacted one, and an approval that was granted."""
    path = tmp_path / "leverframe.db"
    with closing(sqlite3.connect(path)) as old, old:
        old.execute("PRAGMA journal_mode = WAL")
        for number, sql in migrations():
            for statement in statements(sql) if number <= 3 else ():
                old.execute(statement)
        old.execute(
            """INSERT INTO runs VALUES ('run_1', 'acme', 'sandbox', 'w', 'agent', '', '', '', '', 0, 'open', NULL, '',
               '', NULL, 0, 0, x'01', '', '', '', 0)"""
        )
        old.execute("INSERT INTO leaves VALUES ('acme', 0, 'e1', 'run_1', 1, 'run.started', 0, x'7b7d', x'')")
        put = "INSERT INTO disclosures VALUES ('acme', ?, ?, 'e1', ?, ?, ?, ?, ?, 7)"
        for one, run_id, is_redacted in ((VALUE, "run_1", 0), (REDACTED, "run_1", 1)):
            token = "token" if is_redacted else ""
            old.execute(put, (one.digest, run_id, one.name, one.salt, one.value_bytes, is_redacted, token))
        old.execute(
            """INSERT INTO approvals VALUES ('apr_1', 'acme', 'run_1', '1', 'issue_refund', 'a', '[]', ?, 'agent:a',
               'os:maria', x'00', 1, 600000000, 'granted', 99000000, 5, x'01')""",
            (REQUIREMENT,),
        )
        old.execute(
            """INSERT INTO approval_answers VALUES (NULL, 'apr_1', 'person:lena', 'grant', 5, 'she called twice',
               'os-user', NULL)"""
        )
    return path


def within(path: Path, read: Callable[[Store], Awaitable[T]]) -> T:
    async def opened() -> T:
        store = open_sqlite(path, create=False, vault=vault_beside(path))
        try:
            return await read(store)
        finally:
            await store.close()

    return asyncio.run(opened())


def copied(path: Path) -> bytes:
    """All that a copy of the folder holds, but its keys."""
    return b"".join(one.read_bytes() for one in path.parent.iterdir() if one.is_file())


async def values(store: Store) -> dict[str, Disclosure]:
    return {one.name: one for one in await store.evidence.disclosures_of_run(ACME, RUN)}


async def approval(store: Store) -> Approval | None:
    return await store.approvals.approval(APPROVAL)


def test_values_are_read_as_they_were(path: Path) -> None:
    first, again = within(path, values), within(path, values)

    assert first == again
    assert first["input"] == VALUE
    assert (first["email"].value_bytes, first["email"].is_redacted, first["email"].token) == (
        b'"ada@example.com"',
        True,
        "token",
    )


def test_an_approval_stands_as_it_did_and_is_tagged(path: Path) -> None:
    found = within(path, approval)

    assert found is not None
    assert (found.state, found.answers[0].reason) == (ApprovalState.GRANTED, "she called twice")


def test_nothing_of_the_text_is_left_in_the_files(path: Path) -> None:
    words = (b"late parcel", b"ada@example.com", b"called twice", b"c2FsdDI")
    before = copied(path)

    within(path, values)

    after = copied(path)
    assert [word for word in words if word in before] == list(words)
    assert [word for word in words if word in after] == []


def test_a_key_that_cannot_be_made_leaves_the_database_as_it_was(path: Path) -> None:
    keys = path.parent / "keys"
    keys.write_bytes(b"not a folder")

    with pytest.raises(KeyUnsafe, match="cannot be"):
        within(path, values)

    keys.unlink()
    assert within(path, values)["input"] == VALUE


def test_whoever_sets_the_schema_back_gets_no_forged_row_blessed(path: Path) -> None:
    vault_beside(path).tag(ACME, b"this tenant has tags since long")

    with pytest.raises(AuthorityForged, match="'apr_1'"):
        within(path, approval)


def test_values_that_were_found_by_their_digests_are_found_by_their_entries(tmp_path: Path) -> None:
    path = tmp_path / "leverframe.db"
    said = [a_disclosure(value_bytes=f'"{number}"'.encode(), salt=f"salt{number}") for number in range(50)]

    async def write() -> None:
        store = open_sqlite(path, create=True, vault=vault_beside(path))
        entries = tuple(an_entry(f"e{number}", disclosures=(one,)) for number, one in enumerate(said))
        opening = OpenRun(run=a_run(), windows=())
        await store.writer.commit(Proposal(tenant=ACME, changes=(opening,), entries=entries))
        await store.close()

    async def read(store: Store) -> None:
        for number, one in enumerate(said):
            assert await store.evidence.disclosures(ACME, [EntryId(f"e{number}")]) == {one.digest: one}
        assert await store.evidence.inputs(ACME, [RUN]) == {said[0].digest: said[0]}
        assert len(await store.evidence.disclosures_of_run(ACME, RUN)) == len(said)
        assert await assert_log_verifies(store) == len(said)

    asyncio.run(write())
    with closing(sqlite3.connect(path, isolation_level=None)) as old:
        # As schema 11 had them.
        old.executescript(
            """ALTER TABLE disclosures RENAME TO newer;
               CREATE TABLE disclosures (tenant TEXT NOT NULL, digest TEXT NOT NULL, entry_id TEXT NOT NULL,
                   key_id BLOB NOT NULL, sealed BLOB NOT NULL, created_us INTEGER NOT NULL,
                   PRIMARY KEY (tenant, digest)) STRICT;
               INSERT INTO disclosures SELECT * FROM newer;
               DROP TABLE newer;
               CREATE INDEX disclosures_by_entry ON disclosures (entry_id);
               DROP INDEX runs_by_initiator;
               PRAGMA user_version = 11;"""
        )

    within(path, read)
    within(path, read)

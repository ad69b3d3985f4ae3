"""Values at rest: sealed under the key of their subject, read back as they were, gone when that key is."""

import asyncio
import sqlite3
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path

import pytest

from leverframe.domain.errors import EvidenceBroken, KeyUnsafe
from leverframe.domain.evidence import EventType, KeptValue
from leverframe.domain.ids import ApprovalId, EntryId, RunId, TenantId
from leverframe.domain.proposals import Committed, DestroyKey, GuardFailed, OpenRun, Proposal, PutApproval
from leverframe.identity.vault import FileVault
from leverframe.ports.vault import DataKey
from leverframe.store import Store, open_sqlite
from tests.store_samples import (
    ACME,
    GLOBEX,
    RUN,
    Bench,
    a_disclosure,
    a_run,
    an_answer,
    an_approval,
    an_entry,
    answering,
    assert_log_verifies,
)
from tests.vaults import vault_beside

SUBJECT = b"subject 1"


def sql(folder: Path, query: str, *params: object) -> list[tuple[object, ...]]:
    with closing(sqlite3.connect(folder / "leverframe.db")) as shell, shell:
        return shell.execute(query, params).fetchall()


def stored_bytes(folder: Path) -> bytes:
    """All that a copy of the database would hold."""
    return b"".join(one.read_bytes() for one in folder.iterdir() if one.name.startswith("leverframe.db"))


def say(bench: Bench, entry_id: str, text: str, run_id: RunId | None = RUN) -> KeptValue:
    """Log one value; returns where it is kept."""
    one = a_disclosure(value_bytes=f'"{text}"'.encode(), salt=f"salt{entry_id}")
    bench.commit(entries=(an_entry(entry_id, run_id=run_id, disclosures=(one,)),))
    return KeptValue(EntryId(entry_id), one.digest)


def values(bench: Bench, *places: KeptValue) -> dict[KeptValue, bytes]:
    found = bench.do(bench.store.evidence.disclosures(ACME, [one.entry_id for one in places]))
    return {one: found[one.digest].value_bytes for one in places if one.digest in found}


def holders(folder: Path) -> set[tuple[object, ...]]:
    return set(sql(folder, "SELECT tenant, CAST(holder AS TEXT) FROM data_keys WHERE wrapped IS NOT NULL"))


def erasing(places: Sequence[KeptValue], *, subject_digest: bytes = b"", run_id: str = "") -> Proposal:
    digests = [one.digest for one in places]
    change = DestroyKey(tenant=ACME, values=tuple(places), subject_digest=subject_digest, run_id=RunId(run_id))
    entry = an_entry("erased", type=EventType.DISCLOSURE_ERASED, run_id=None, detail={"digests": tuple(digests)})
    return Proposal(tenant=ACME, changes=(change,), entries=(entry,))


def test_a_value_comes_back_as_it_was_and_stands_nowhere_in_clear(bench: Bench, tmp_path: Path) -> None:
    bench.open_run()

    redacted = a_disclosure("email", b'"ada@example.com"', salt="c2FsdDI")
    one = a_disclosure("input", b'"a very late parcel"')
    bench.commit(entries=(an_entry("e1", disclosures=(one, redacted)),))

    found = bench.do(bench.store.evidence.disclosures_of_run(ACME, RUN))
    assert {each.digest: each for each in found} == {one.digest: one, redacted.digest: redacted}
    raw = stored_bytes(tmp_path)
    assert [word for word in (b"late parcel", b"ada@", b"c2FsdDI", b'"email"') if word in raw] == []


def test_runs_of_a_subject_share_a_key_and_others_have_their_own(bench: Bench, tmp_path: Path) -> None:
    for run_id, subject in (("run_1", SUBJECT), ("run_2", SUBJECT), ("run_3", b"subject 2"), ("run_4", b"")):
        bench.open_run(a_run(run_id, subject_digest=subject))
        say(bench, f"e {run_id}".replace(" ", ""), "x", RunId(run_id))
    say(bench, "e5", "outside any run", None)

    found = holders(tmp_path)

    assert found == {
        ("acme", "subject:subject 1"),
        ("acme", "subject:subject 2"),
        ("acme", "run:run_4"),
        ("acme", "tenant"),
    }


def test_tenants_never_share_a_key(bench: Bench, tmp_path: Path) -> None:
    bench.open_run()
    say(bench, "e1", "x", None)
    one = a_disclosure(salt="another")
    globex = Proposal(
        tenant=GLOBEX, entries=(an_entry("e2", tenant=GLOBEX, run_id=None, disclosures=(one,)),), is_durable=True
    )

    bench.do(bench.store.writer.commit(globex))

    assert holders(tmp_path) == {("acme", "tenant"), ("globex", "tenant")}
    assert bench.do(bench.store.evidence.disclosures(GLOBEX, [EntryId("e2")])) == {one.digest: one}
    kinds = ("mac", "vault")
    names = [f"{tenant}.{kind}.key" for tenant in ("acme", "globex") for kind in kinds]
    assert sorted(file.name for file in (tmp_path / "keys").iterdir()) == names


def test_a_destroyed_key_takes_its_values_and_no_others_and_the_log_still_verifies(bench: Bench) -> None:
    bench.open_run()
    bench.open_run(a_run("run_2", subject_digest=b"subject 2"))
    mine = [say(bench, "e1", "mine"), say(bench, "e2", "mine too")]
    other = say(bench, "e3", "theirs", RunId("run_2"))
    named = bench.do(bench.store.evidence.disclosures_of_subject(ACME, SUBJECT))

    outcome = bench.do(bench.store.writer.commit(erasing(named, subject_digest=SUBJECT)))

    assert isinstance(outcome, Committed)
    assert sorted(named) == sorted(mine)
    assert values(bench, *mine, other) == {other: b'"theirs"'}
    assert bench.do(assert_log_verifies(bench.store)) == 4


def test_what_is_said_after_an_erasure_is_under_a_new_key(bench: Bench, tmp_path: Path) -> None:
    bench.open_run()
    before = say(bench, "e1", "before")
    ((first,),) = sql(tmp_path, "SELECT key_id FROM data_keys")
    bench.do(bench.store.writer.commit(erasing([before], subject_digest=SUBJECT)))

    after = say(bench, "e2", "after")

    assert values(bench, before, after) == {after: b'"after"'}
    keys = sql(tmp_path, "SELECT key_id, wrapped IS NULL FROM data_keys ORDER BY rowid")
    assert [is_destroyed for _, is_destroyed in keys] == [1, 0]
    assert keys[0][0] == first != keys[1][0]


def test_an_erasure_that_does_not_name_all_is_refused(bench: Bench) -> None:
    bench.open_run()
    named, forgotten = say(bench, "e1", "one"), say(bench, "e2", "two")

    outcome = bench.do(bench.store.writer.commit(erasing([named], subject_digest=SUBJECT)))

    assert outcome == GuardFailed(guard="DestroyKey", detail="1 more values are under the key than were named")
    assert set(values(bench, named, forgotten)) == {named, forgotten}


def test_a_run_without_a_subject_is_erased_by_its_id(bench: Bench) -> None:
    bench.open_run(a_run(subject_digest=b""))
    digest = say(bench, "e1", "mine")

    outcome = bench.do(bench.store.writer.commit(erasing([digest], run_id=RUN)))

    assert isinstance(outcome, Committed)
    assert values(bench, digest) == {}


def test_the_bytes_of_a_destroyed_key_are_overwritten(tmp_path: Path) -> None:
    async def erase() -> bytes:
        path = tmp_path / "leverframe.db"
        store = open_sqlite(path, create=True, vault=vault_beside(path))
        one = a_disclosure()
        await store.writer.commit(Proposal(tenant=ACME, entries=(an_entry("e1", disclosures=(one,)),)))
        ((wrapped,),) = sql(tmp_path, "SELECT wrapped FROM data_keys")
        await store.writer.commit(erasing([KeptValue(EntryId("e1"), one.digest)], run_id=RUN))
        await store.close()
        assert isinstance(wrapped, bytes)
        return wrapped

    wrapped = asyncio.run(erase())

    assert len(wrapped) == 60
    assert wrapped not in stored_bytes(tmp_path)


def test_another_process_that_knew_the_key_does_not_use_it_again(bench: Bench, tmp_path: Path) -> None:
    bench.open_run()
    before = say(bench, "e1", "before")
    path = tmp_path / "leverframe.db"
    other = Bench(store=open_sqlite(path, create=False, vault=vault_beside(path)), runner=bench.runner)
    try:
        known = say(other, "e2", "through another")
        bench.do(bench.store.writer.commit(erasing([before, known], subject_digest=SUBJECT)))

        after = say(other, "e3", "after")

        assert values(bench, before, known, after) == {after: b'"after"'}
        assert values(other, before, known, after) == {after: b'"after"'}
    finally:
        other.do(other.store.close())


@pytest.mark.parametrize(
    "tampering",
    [
        "UPDATE disclosures SET sealed = zeroblob(80) WHERE entry_id = 'e1'",
        "UPDATE disclosures SET sealed = (SELECT sealed FROM disclosures WHERE entry_id = 'e2') WHERE entry_id = 'e1'",
        "UPDATE data_keys SET wrapped = zeroblob(60)",
    ],
)
def test_a_value_that_was_changed_is_named_and_not_read(bench: Bench, tmp_path: Path, tampering: str) -> None:
    bench.open_run()
    said = say(bench, "e1", "one")
    say(bench, "e2", "two")

    sql(tmp_path, tampering)

    with pytest.raises(EvidenceBroken, match=f"{said.digest}.* of entry 'e1' is not what was sealed"):
        values(bench, said)


def test_a_reason_is_sealed_and_erased_with_its_subject(bench: Bench, tmp_path: Path) -> None:
    bench.open_run()
    bench.commit(PutApproval(approval=an_approval()))
    bench.commit(answering(answer=an_answer(reason="she called twice")))
    approval = ApprovalId("apr_1")
    before = bench.do(bench.store.approvals.approval(approval))

    bench.do(bench.store.writer.commit(erasing([], subject_digest=SUBJECT)))

    after = bench.do(bench.store.approvals.approval(approval))
    assert before is not None
    assert after is not None, "the tag does not cover the reason"
    assert [one.reason for one in (*before.answers, *after.answers)] == ["she called twice", "[erased]"]
    assert b"called twice" not in stored_bytes(tmp_path)


class NoKeys(FileVault):
    """A vault whose disk is full for one tenant."""

    def new_key(self, tenant: TenantId) -> DataKey:
        if tenant == GLOBEX:
            raise KeyUnsafe("The key file 'globex.vault.key' cannot be written.")
        return super().new_key(tenant)


def test_a_key_that_cannot_be_made_fails_its_proposal_and_none_beside_it(tmp_path: Path) -> None:
    async def both() -> tuple[list[object], list[bool]]:
        path = tmp_path / "leverframe.db"
        store = open_sqlite(path, create=True, vault=NoKeys(tmp_path / "keys"))
        entries = [
            an_entry(f"e{number}", tenant=tenant, run_id=None, disclosures=(a_disclosure(salt=f"s{number}"),))
            for number, tenant in enumerate([ACME, GLOBEX] * 10)
        ]
        proposals = [Proposal(tenant=one.tenant, entries=(one,)) for one in entries]
        found = await asyncio.gather(*map(store.writer.commit, proposals), return_exceptions=True)
        sizes = [await assert_log_verifies(store, tenant) for tenant in (ACME, GLOBEX)]
        read = await store.evidence.disclosures(ACME, [one.entry_id for one in entries])
        await store.close()
        return [type(one) for one in found], [sizes == [10, 0], len(read) == 10]

    types, is_whole = asyncio.run(both())

    assert types == [Committed, KeyUnsafe] * 10
    assert is_whole == [True, True]


async def used(path: Path) -> None:
    """A database with a value and an approval."""
    store = open_sqlite(path, create=True, vault=vault_beside(path))
    entry = an_entry("e1", run_id=None, disclosures=(a_disclosure(),))
    await store.writer.commit(Proposal(tenant=ACME, entries=(entry,)))
    opening = OpenRun(run=a_run(), windows=())
    await store.writer.commit(Proposal(tenant=ACME, changes=(opening, PutApproval(approval=an_approval()))))
    await store.close()


@pytest.mark.parametrize(
    ("file", "content", "why"),
    [
        ("acme.vault.key", None, "is missing"),
        ("acme.vault.key", bytes(32), "is not the one under which"),
        ("acme.mac.key", None, "is missing, and rows in the database are tagged"),
    ],
)
def test_a_database_is_not_opened_beside_keys_that_are_not_its_own(
    tmp_path: Path, file: str, content: bytes | None, why: str
) -> None:
    path = tmp_path / "leverframe.db"
    asyncio.run(used(path))
    key = tmp_path / "keys" / file
    if content is None:
        key.unlink()
    else:
        key.write_bytes(content)

    with pytest.raises(KeyUnsafe, match=why) as caught:
        reopened(path)

    assert "backup that belongs to this database" in caught.value.next_move
    assert key.exists() is (content is not None)


def reopened(path: Path) -> Store:
    return open_sqlite(path, create=False, vault=vault_beside(path))

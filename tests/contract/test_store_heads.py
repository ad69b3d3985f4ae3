"""Signed heads: never ahead of the log, kept beside the database, and compared when it is opened."""

import asyncio
import json
import sqlite3
import threading
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import pytest

from leverframe.core import merkle
from leverframe.core.notes import SignedHead, open_checkpoint, parse_vkey
from leverframe.domain.errors import EvidenceBroken
from leverframe.domain.evidence import Checkpoint
from leverframe.domain.ids import TenantId
from leverframe.domain.proposals import Committed, OpenRun, Proposal, PutRun
from leverframe.domain.runs import RunState
from leverframe.ports.signing import ProofSource
from leverframe.signing.ed25519 import Ed25519FileSigner
from leverframe.store import Store, open_sqlite
from tests.store_samples import ACME, GLOBEX, a_run, an_entry, new_step
from tests.vaults import vault_beside
from tests.waiting import until

ORIGIN = "leverframe.example/acme"


class Log:
    """A database with a key, opened and closed as a process would."""

    def __init__(self, folder: Path, runner: asyncio.Runner) -> None:
        self.database = folder / "leverframe.db"
        self.head = folder / "leverframe.db.head"
        self.key = folder / "acme.key"
        self.vkey = Ed25519FileSigner.create(self.key, ORIGIN).vkey
        self._runner = runner

    def open(self) -> Store:
        return open_sqlite(
            self.database,
            create=True,
            vault=vault_beside(self.database),
            signers={ACME: Ed25519FileSigner.load(self.key)},
        )

    def write(self, *entry_ids: str) -> bytes | None:
        """Commit each entry alone; returns the note of the last."""

        async def whole() -> bytes | None:
            store = self.open()
            for entry_id in entry_ids:
                entry = an_entry(entry_id, run_id=None)
                outcome = await store.writer.commit(Proposal(tenant=ACME, entries=(entry,)))
                assert isinstance(outcome, Committed)
            # A writer that stops signs what it has flushed.
            await store.writer.close()
            note = await store.evidence.checkpoint(ACME)
            await store.close()
            return note

        return self._runner.run(whole())

    def signed(self, note: bytes | None) -> SignedHead:
        assert note is not None
        return open_checkpoint(note, parse_vkey(self.vkey))

    def forge(self, *statements: str) -> None:
        """What somebody with a SQL shell does."""
        with sqlite3.connect(self.database) as shell:
            for statement in statements:
                shell.execute(statement)
        shell.close()


@pytest.fixture
def log(tmp_path: Path) -> Iterator[Log]:
    with asyncio.Runner() as runner:
        yield Log(tmp_path, runner)


def test_a_parked_or_ended_run_is_covered_by_a_signed_head_when_its_caller_is_answered(log: Log) -> None:
    async def whole() -> list[tuple[int, bytes]]:
        store = log.open()
        found: list[tuple[int, bytes]] = []
        await store.writer.commit(Proposal(tenant=ACME, changes=(OpenRun(run=a_run(), windows=()),)))
        states = [RunState.OPEN, RunState.PARKED, RunState.OPEN, RunState.ENDED]
        for before, after in pairwise(states):
            moved = PutRun(run=a_run(state=after), expect=before)
            await store.writer.commit(Proposal(tenant=ACME, changes=(moved,), entries=(an_entry(f"e{len(found)}"),)))
            head = log.signed(await store.evidence.checkpoint(ACME))
            found.append((head.size, head.root))
            assert head.root == merkle.root(await store.evidence.tree(ACME))
        await store.close()
        return found

    with asyncio.Runner() as runner:
        heads = runner.run(whole())

    assert [size for size, _ in heads] == [1, 2, 3]
    assert len({root for _, root in heads}) == 3


def test_every_entry_is_covered_by_a_signed_head_soon(log: Log) -> None:
    async def signed_size(store: Store) -> int:
        note = await store.evidence.checkpoint(ACME)
        return 0 if note is None else log.signed(note).size

    with asyncio.Runner() as runner:
        store = log.open()
        for n in range(20):
            entry = an_entry(f"e{n}", run_id=None)
            runner.run(store.writer.commit(Proposal(tenant=ACME, entries=(entry,), is_durable=n % 2 == 0)))
        until(lambda: runner.run(signed_size(store)) == 20, what="a head over all 20 entries", within_s=5)
        runner.run(store.close())


def test_the_head_file_holds_the_same_note_and_is_closed_to_others(log: Log) -> None:
    note = log.write("e1", "e2")

    kept = json.loads(log.head.read_text())

    assert kept[ACME]["note"].encode() == note
    assert (kept[ACME]["size"], log.head.stat().st_mode & 0o777) == (2, 0o600)


def test_each_tenant_is_signed_by_its_own_key(log: Log, tmp_path: Path) -> None:
    theirs = Ed25519FileSigner.create(tmp_path / "globex.key", "leverframe.example/globex")

    async def whole() -> tuple[bytes | None, bytes | None]:
        signers = {ACME: Ed25519FileSigner.load(log.key), GLOBEX: theirs}
        store = open_sqlite(log.database, create=True, vault=vault_beside(log.database), signers=signers)
        for tenant in (ACME, GLOBEX, TenantId("unsigned")):
            entry = an_entry(f"e_{tenant}", tenant=tenant, run_id=None)
            await store.writer.commit(Proposal(tenant=tenant, entries=(entry,)))
        await store.writer.close()
        found = await store.evidence.checkpoint(ACME), await store.evidence.checkpoint(GLOBEX)
        assert await store.evidence.checkpoint(TenantId("unsigned")) is None
        await store.close()
        return found

    with asyncio.Runner() as runner:
        ours, other = runner.run(whole())

    assert log.signed(ours).size == 1
    assert other is not None
    assert open_checkpoint(other, parse_vkey(theirs.vkey)).origin == "leverframe.example/globex"
    assert set(json.loads(log.head.read_text())) == {ACME, GLOBEX}


def test_what_a_crash_left_unsigned_is_signed_at_the_next_open(log: Log) -> None:
    log.write("e1")
    before = log.head.read_bytes()
    log.write("e2")
    log.head.write_bytes(before)
    log.forge("DELETE FROM checkpoints")

    assert log.signed(log.write()).size == 2
    assert json.loads(log.head.read_text())[ACME]["size"] == 2


def test_a_head_file_that_the_disk_is_slow_to_replace_holds_up_nobody_who_waits_for_no_flush(
    log: Log, monkeypatch: pytest.MonkeyPatch
) -> None:
    replacing, may_go_on = threading.Event(), threading.Event()
    replace = Path.replace

    def slowly(path: Path, target: Path) -> Path:
        replacing.set()
        assert may_go_on.wait(30)
        return replace(path, target)

    async def put(store: Store, name: str) -> None:
        entry = an_entry(name, run_id=None)
        await store.writer.commit(Proposal(tenant=ACME, entries=(entry,), is_durable=False))

    async def whole() -> None:
        store = log.open()
        await put(store, "e1")
        assert await asyncio.to_thread(replacing.wait, 30)
        try:
            for n in range(20):
                async with asyncio.timeout(5):
                    await put(store, f"f{n}")
        finally:
            may_go_on.set()
            await store.close()

    monkeypatch.setattr(Path, "replace", slowly)
    with asyncio.Runner() as runner:
        runner.run(whole())

    assert json.loads(log.head.read_text())[ACME]["size"] == 21


@pytest.mark.parametrize(("size", "epoch", "kept"), [(9, "", 9), (1, "", 2), (1, "/epoch-2", 1), (9, "/epoch-2", 9)])
def test_a_newer_head_that_another_process_kept_is_not_replaced(log: Log, size: int, epoch: str, kept: int) -> None:
    log.write("e1")
    head = json.loads(log.head.read_text())

    async def whole() -> None:
        store = log.open()
        head[ACME]["size"] = size
        head[ACME]["note"] = head[ACME]["note"].replace(ORIGIN, ORIGIN + epoch, 1)
        head["another"] = head[ACME]
        log.head.write_text(json.dumps(head))
        await store.writer.commit(Proposal(tenant=ACME, entries=(an_entry("e2", run_id=None),)))
        await store.close()

    with asyncio.Runner() as runner:
        runner.run(whole())

    found = json.loads(log.head.read_text())
    assert (found[ACME]["size"], found["another"]["size"]) == (kept, size)


@pytest.mark.parametrize("left", [b"", b"{", b"[]"])
def test_a_head_file_that_a_power_cut_emptied_is_replaced(log: Log, left: bytes) -> None:
    log.write("e1")
    log.head.write_bytes(left)

    log.write("e2")

    assert json.loads(log.head.read_text())[ACME]["size"] == 2


def test_a_log_that_was_cut_does_not_open(log: Log) -> None:
    log.write("e1", "e2", "e3")
    log.forge("DELETE FROM leaves WHERE leaf_index = 2", "DELETE FROM trees")

    with pytest.raises(EvidenceBroken, match="entries 0 to 2 are gone") as caught:
        log.open()

    assert "evidence verify" in caught.value.next_move


@pytest.mark.parametrize(
    "forgery",
    [
        "UPDATE leaves SET leaf_hash = zeroblob(32) WHERE leaf_index = 1",
        "DELETE FROM leaves WHERE leaf_index = 0",
    ],
)
def test_a_log_whose_entries_are_others_does_not_open(log: Log, forgery: str) -> None:
    log.write("e1", "e2", "e3")
    log.forge(forgery)

    with pytest.raises(EvidenceBroken, match=r"not those of its signed head|lost entries"):
        log.open()


def test_a_refused_open_leaves_the_evidence_of_it_as_it_was(log: Log) -> None:
    log.write("e1", "e2")
    before = log.head.read_bytes()
    log.forge("DELETE FROM leaves", "DELETE FROM trees", "DELETE FROM checkpoints")

    for _ in range(2):
        with pytest.raises(EvidenceBroken):
            log.open()

    assert log.head.read_bytes() == before


def test_after_a_signer_refuses_nothing_more_is_written(tmp_path: Path) -> None:
    class Refusing:
        origin = ORIGIN
        vkey = ""

        def head(self) -> SignedHead | None:
            return None

        def in_epoch(self, _epoch: int, /) -> "Refusing":
            return self

        def begin(self, epoch: int, size: int, root: bytes) -> None:
            pass

        def sign(self, checkpoint: Checkpoint, _prove: ProofSource, /) -> bytes:
            raise EvidenceBroken(f"a head of {checkpoint.size} was rolled back")

    async def whole() -> None:
        store = open_sqlite(
            tmp_path / "leverframe.db",
            create=True,
            vault=vault_beside(tmp_path / "leverframe.db"),
            signers={ACME: Refusing()},
        )
        first = await store.writer.commit(Proposal(tenant=ACME, entries=(an_entry("e1", run_id=None),)))
        assert first == Committed(first_index=0)
        with pytest.raises(EvidenceBroken, match="could not be signed") as caught:
            await store.writer.commit(Proposal(tenant=ACME, changes=(new_step("1"),)))
        assert isinstance(caught.value.__cause__, EvidenceBroken)
        assert await store.journal.run(a_run().run_id) is None
        await store.close()

    with asyncio.Runner() as runner:
        runner.run(whole())

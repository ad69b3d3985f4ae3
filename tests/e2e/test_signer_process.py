"""A signer process, asked over its socket and by a store that writes: two OS users where the tests run as root."""

import asyncio
import os
import shutil
import socket
import stat
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from leverframe.core.notes import open_checkpoint, parse_vkey
from leverframe.domain.errors import EvidenceBroken, LeverframeError, SignerUnavailable
from leverframe.domain.proposals import Proposal
from leverframe.store import Store, open_sqlite
from leverframe.store.sqlite import heads
from tests.meta.tree import ROOT
from tests.signers import NOBODY, RunningSigner, running_signer
from tests.store_samples import ACME, an_entry
from tests.vaults import vault_beside
from tests.waiting import until

LOG = "leverframe/acme"


@pytest.fixture
def signer() -> Iterator[RunningSigner]:
    with running_signer() as found:
        yield found


def opened(signer: RunningSigner, folder: Path) -> Store:
    return open_sqlite(
        folder / "leverframe.db",
        create=True,
        vault=vault_beside(folder / "leverframe.db"),
        signers={ACME: signer.signer(LOG)},
    )


def write(signer: RunningSigner, folder: Path, *entry_ids: str) -> bytes | None:
    """What a process does: open, write, close; returns the newest note."""

    async def whole() -> bytes | None:
        store = opened(signer, folder)
        try:
            for entry_id in entry_ids:
                await store.writer.commit(Proposal(tenant=ACME, entries=(an_entry(entry_id, run_id=None),)))
        finally:
            await store.close()
        return await newest(folder)

    async def newest(folder: Path) -> bytes | None:
        store = opened(signer, folder)
        try:
            return await store.evidence.checkpoint(ACME)
        finally:
            await store.close()

    return asyncio.run(whole())


def test_the_key_and_the_last_head_belong_to_another_user(signer: RunningSigner, tmp_path: Path) -> None:
    note = write(signer, tmp_path, "e1", "e2", "e3")

    remote = signer.signer(LOG)
    remembered = remote.head()
    assert note is not None
    assert remembered == open_checkpoint(note, parse_vkey(remote.vkey))
    assert remembered.size == 3
    for kept in signer.state.iterdir():
        assert (kept.stat().st_uid, stat.S_IMODE(kept.stat().st_mode)) == (signer.uid, 0o600)
    assert remote.other_user() == (signer.uid if signer.uid != os.geteuid() else None)


def test_a_log_goes_on_over_many_processes_and_restarts_of_the_signer(signer: RunningSigner, tmp_path: Path) -> None:
    for number in range(3):
        write(signer, tmp_path, *(f"e{number}{n}" for n in range(3)))
        signer.kill()
        signer.start()

    remembered = signer.signer(LOG).head()

    assert remembered is not None
    assert remembered.size == 9


def test_a_rollback_of_the_whole_folder_does_not_open(signer: RunningSigner, tmp_path: Path) -> None:
    folder, backup = tmp_path / "state", tmp_path / "backup"
    folder.mkdir()
    write(signer, folder, "e1", "e2")
    shutil.copytree(folder, backup)
    write(signer, folder, "e3")
    shutil.rmtree(folder)
    shutil.copytree(backup, folder)

    with pytest.raises(EvidenceBroken, match=r"signed head in the signer has 3: entries 2 to 2 are gone") as caught:
        opened(signer, folder)

    assert "leverframe evidence recover --because" in caught.value.next_move


def test_a_log_written_anew_under_the_same_name_does_not_open(signer: RunningSigner, tmp_path: Path) -> None:
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
    write(signer, tmp_path / "one", "e1", "e2")
    asyncio.run(_write_unsigned(tmp_path / "two", "x1", "x2", "x3"))

    with pytest.raises(EvidenceBroken, match="not those of its signed head in the signer"):
        opened(signer, tmp_path / "two")


async def _write_unsigned(folder: Path, *entry_ids: str) -> None:
    store = open_sqlite(folder / "leverframe.db", create=True, vault=vault_beside(folder / "leverframe.db"))
    for entry_id in entry_ids:
        await store.writer.commit(Proposal(tenant=ACME, entries=(an_entry(entry_id, run_id=None),)))
    await store.close()


def test_without_its_signer_a_process_writes_nothing_and_reads_all(signer: RunningSigner, tmp_path: Path) -> None:
    write(signer, tmp_path, "e1")
    signer.stop()

    async def whole() -> tuple[int, str]:
        store = opened(signer, tmp_path)
        try:
            with pytest.raises(SignerUnavailable, match="unsigned") as caught:
                await store.writer.commit(Proposal(tenant=ACME, entries=(an_entry("e2", run_id=None),)))
            return (await store.evidence.tree(ACME)).size, caught.value.next_move
        finally:
            await store.close()

    size, move = asyncio.run(whole())

    assert size == 1
    assert "leverframe signer" in move


_MOST = 400


def test_a_signer_that_went_away_is_waited_for_within_bounds(
    signer: RunningSigner, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(heads, "MAX_UNSIGNED", 4)
    monkeypatch.setattr(heads, "_ASK_AGAIN_S", 0.0)

    async def whole() -> tuple[list[str], int]:
        store, said = opened(signer, tmp_path), list[str]()

        async def attempt(name: str) -> None:
            try:
                await store.writer.commit(Proposal(tenant=ACME, entries=(an_entry(name, run_id=None),)))
                said.append("written")
            except LeverframeError as err:
                said.append(err.slug)

        try:
            await attempt("e0")
            await asyncio.to_thread(until, lambda: _has_signed(signer, 1), what="the first head")
            signer.stop()
            # A head is signed after its entries are answered, so a few more than the bound get through.
            while said[-1] == "written" and len(said) < _MOST:
                await attempt(f"e{len(said)}")
            signer.start()
            await attempt(f"e{len(said)}")
        finally:
            await store.close()
        return said, len([one for one in said if one == "written"])

    said, written = asyncio.run(whole())
    remembered = signer.signer(LOG).head()

    assert said[0] == said[-1] == "written"
    assert said[-2] == "signer-unavailable"
    assert remembered is not None
    assert remembered.size == written


def _has_signed(signer: RunningSigner, size: int) -> bool:
    head = signer.signer(LOG).head()
    return head is not None and head.size >= size


def test_the_socket_answers_the_users_it_was_told_of_and_no_other() -> None:
    with running_signer(allowed=NOBODY - 1) as signer, pytest.raises(SignerUnavailable, match="does not answer"):
        signer.signer(LOG).head()


@pytest.mark.parametrize(
    "sent",
    [
        b"\x00\x00\x00\x00",
        b"\xff\xff\xff\xff" + b"x" * 100,
        b"\x00\x00\x00\x02{}",
        b"\x00\x00\x00\x04\xff\xfe\xfd\xfc",
        b'\x00\x00\x00\x23{"ask":"log","log":"../../etc/pass"}',
        b'\x00\x00\x00\x1a{"ask":"sign","log":"a/b"}',
        b"GET / HTTP/1.1\r\n\r\n",
    ],
)
def test_what_is_no_request_is_hung_up_on_and_the_next_caller_is_served(signer: RunningSigner, sent: bytes) -> None:
    with socket.socket(socket.AF_UNIX) as caller:
        caller.settimeout(10)
        caller.connect(str(signer.socket))
        caller.sendall(sent)
        answer = caller.recv(100)

    assert answer == b"" or b"not-found" in answer
    assert signer.signer(LOG).head() is None


def test_a_second_signer_at_the_same_place_is_refused(signer: RunningSigner) -> None:
    words = [sys.executable, "-m", "tests.signer_user", str(signer.uid), "--socket", str(signer.folder / "other.sock")]
    words += ["--state", str(signer.state), "--allow-uid", "1"]

    done = subprocess.run(words, capture_output=True, text=True, check=False, cwd=ROOT)

    assert done.returncode == 3
    assert "Another signer uses the folder" in done.stderr


@pytest.mark.parametrize("uid", ["", "-1", "root", "99999999999"])
def test_a_user_that_is_no_number_is_refused(tmp_path: Path, uid: str) -> None:
    words = [sys.executable, "-m", "leverframe", "signer", "--socket", str(tmp_path / "s"), "--state", str(tmp_path)]

    done = subprocess.run([*words, f"--allow-uid={uid}"], capture_output=True, text=True, check=False, cwd=ROOT)

    assert done.returncode == 2
    assert "--allow-uid takes the number of a user" in done.stderr

"""Cut databases, swapped keys, heads that run ahead, clocks that jump: each is said plainly, and nothing is lost."""

import json
import shutil
import sqlite3
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from leverframe.core import merkle
from leverframe.domain.evidence import Checkpoint, TreeState
from leverframe.domain.time import from_us
from leverframe.sdk.report import BROKEN
from leverframe.signing.ed25519 import Ed25519FileSigner
from leverframe.testing import FakeClock
from tests.door_desk import open_desk, write_desk
from tests.evidence_project import asked, database, places, tamper, verified
from tests.sampling import sample
from tests.shop_runs import ShopRuns
from tests.typed import Shell


@pytest.fixture
def root(shop_runs: ShopRuns, tmp_path: Path) -> Path:
    return shutil.copytree(shop_runs.root, tmp_path / "desk")


@pytest.fixture
def shell(root: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Shell:
    return Shell(root, capsys, monkeypatch)


def key_file(root: Path) -> Path:
    return root / ".leverframe" / "keys" / "default.log.key"


def test_a_database_cut_at_any_length_is_refused_or_broken_and_left_as_it_is(root: Path, shell: Shell) -> None:
    whole = database(root).read_bytes()
    for size in sample(range(0, len(whole), 1_013), 12):
        database(root).write_bytes(whole[:size])

        told = shell.type("evidence", "verify")

        assert told.code in {1, 3}, (size, told)
        assert "Traceback" not in told.err
        assert told.err.strip() or "BROKEN" in told.out, size
        assert database(root).read_bytes() == whole[:size]


def test_a_database_with_a_page_of_zeros_is_refused_or_broken(root: Path, shell: Shell) -> None:
    whole = database(root).read_bytes()
    pages = range(0, len(whole) - 4_096, 4_096)
    quiet = []
    for start in sample(pages, 12):
        database(root).write_bytes(whole[:start] + bytes(4_096) + whole[start + 4_096 :])

        told = shell.type("evidence", "verify")

        assert "Traceback" not in told.err
        if told.code == 0:
            quiet.append(start)
    # Only pages of tables that are no evidence may be lost in silence: indices, and copies of what budgets hold.
    assert len(quiet) <= len(pages) // 2, quiet


def test_a_database_of_a_later_version_is_not_judged_by_what_this_one_knows(root: Path, shell: Shell) -> None:
    with closing(sqlite3.connect(database(root))) as store:
        store.execute("PRAGMA user_version = 9999")

    told = shell.type("evidence", "verify")

    assert told.code == 3
    assert "has schema 9999" in told.err


@pytest.mark.parametrize("held_by", ["another log", "another key of the same name"])
def test_a_swapped_key_is_named_and_signs_nothing(root: Path, shell: Shell, held_by: str) -> None:
    key_file(root).unlink()
    name = "leverframe/other" if held_by == "another log" else "leverframe/default"
    Ed25519FileSigner.create(key_file(root), name)
    before = asked(root, "SELECT note FROM checkpoints")

    verifying, running = shell.type("evidence", "verify"), shell.type("evidence", "trust", "--out", "trust.json")

    assert (verifying.code, running.code) == (1, 1), (verifying, running)
    assert "signature: " in verifying.out
    assert "verdict: BROKEN" in verifying.out
    assert asked(root, "SELECT note FROM checkpoints") == before


def test_a_head_that_runs_ahead_of_the_log_is_named(root: Path) -> None:
    """As a database that lost its last flush, or was put back, under a head that is newer."""
    leaves = [leaf for (leaf,) in asked(root, "SELECT leaf FROM leaves ORDER BY leaf_index") if isinstance(leaf, bytes)]
    hashes = [merkle.leaf_hash(leaf) for leaf in [*leaves, b"{}", b"{}"]]
    state = merkle.extend(TreeState(), hashes).state
    ahead = Checkpoint(origin="leverframe/default", size=state.size, root=merkle.root(state), at=from_us(0))
    note = Ed25519FileSigner.load(key_file(root)).sign(ahead)
    tamper(root, "UPDATE checkpoints SET note = :note, size = :size", note=note, size=state.size)

    report = verified(root)

    assert report.verdict == BROKEN
    assert f"{len(leaves)} entries are here and do not give the root of the {state.size} that were signed" in places(
        report
    )


def test_entries_of_another_tenant_put_into_a_log_are_named(root: Path) -> None:
    ((leaf,),) = asked(root, "SELECT leaf FROM leaves WHERE leaf_index = 3")
    assert isinstance(leaf, bytes)
    entry = json.loads(leaf) | {"tenant": "another", "entry_id": "ent_another"}
    with closing(sqlite3.connect(database(root))) as db, db:
        ((count,),) = db.execute("SELECT count(*) FROM leaves").fetchall()
        forged = json.dumps(entry, separators=(",", ":")).encode()
        columns = ("default", count, "ent_another", None, None, entry["type"], 0, forged, merkle.leaf_hash(forged))
        db.execute("INSERT INTO leaves VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)", columns)

    report = verified(root)

    assert report.verdict == BROKEN
    assert f"entry {count}" in places(report)
    assert "is of tenant 'another' in the log of 'default'" in places(report)


def test_a_clock_that_was_set_back_is_named_and_nothing_is_lost(tmp_path: Path) -> None:
    write_desk(tmp_path)
    with open_desk(tmp_path, FakeClock(datetime.now(UTC))) as desk:
        run = desk.open()
        for number, jump in enumerate((0, -30, -7_200, 86_400)):
            desk.clock.jump(desk.clock.now() + timedelta(seconds=jump))
            desk.call(run, "set_status", {"order_id": "W00001", "status": f"s{number}"})

    report = verified(tmp_path)

    assert report.verdict == BROKEN
    assert report.checks["clock"].places[0].startswith("entry 8 (call.decided): is at ")
    assert report.checks["tree"].status == report.checks["signature"].status == report.checks["S1"].status == "passed"
    assert asked(tmp_path, "SELECT count(*) FROM steps WHERE state = 'ok'") == [(4,)]

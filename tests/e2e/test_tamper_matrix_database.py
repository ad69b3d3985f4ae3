"""Each kind of tampering, at each place of a log of real runs: `evidence verify` says BROKEN and names the place.

Careless: the rows alone are changed.  Careful: every stored hash is made to fit, which somebody with SQL and without
the key can do.  LONG=1 takes every place of each kind; otherwise the commit draws some.
"""

import re
import shutil
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import pytest

from leverframe.config.project import load_project
from leverframe.core import merkle
from leverframe.domain.evidence import TreeState
from leverframe.runtime.auditing import verify_database
from leverframe.sdk.report import BROKEN, OK, SELF_CONSISTENT, Report
from leverframe.signing.trust import Trust, load_trust
from leverframe.wiring.evidence import open_logs, trust_json
from tests.door_desk import TENANT
from tests.evidence_project import database, places
from tests.sampling import sample
from tests.shop_runs import ShopRuns
from tests.typed import Shell

Row = tuple[object, ...]
PLACES = 8

# Columns of the journal of which the log says nothing.  What they hold grants nothing and shows in no packet: counters
# and clocks of the runner, keyed hashes that find equal requests, copies of budgets that S7 counts again from the log.
UNTOLD = {
    "runs": {"stop_reason", "handoff_queue", "active_us", "waited_us", "subject_digest", "item", "is_recorded_model"},
    # `started_us` of what is sent again after a crash moves on unsaid; to an earlier time it never does.
    "steps": {"step_id", "request_digest", "call_id", "attempts", "once_digest", "started_us"},
    "approval_answers": {"answer_id", "key_id", "reason"},
    "data_keys": {"holder"},
}
# Nor of these while nothing was announced: the name of a tool that there is not is text of an agent.
UNTOLD_BEFORE_INTENDED = {("steps", "name"), ("steps", "idempotency_key")}
TOLD = ("runs", "steps", "approvals", "approval_answers", "leaves", "trees", "checkpoints", "disclosures", "data_keys")


@dataclass(slots=True)
class Copy:
    """A copy of the project, tampered with and put back."""

    root: Path
    clean: bytes

    def execute(self, *statements: str, **params: object) -> list[Row]:
        """SQL of somebody who has the file; returns the rows of the last statement."""
        with closing(sqlite3.connect(database(self.root))) as db, db:
            rows: list[Row] = []
            for statement in statements:
                rows = db.execute(statement, {k: v for k, v in params.items() if f":{k}" in statement}).fetchall()
            return rows

    def leaves(self) -> list[bytes]:
        rows = self.execute("SELECT leaf FROM leaves ORDER BY leaf_index")
        return [leaf for (leaf,) in rows if isinstance(leaf, bytes)]

    def put(self, leaves: list[bytes]) -> None:
        """Store these entries in this order, every hash fitting; columns are those of the same bytes before."""
        known: dict[object, Row] = {
            row[-1]: row for row in self.execute("SELECT entry_id, run_id, run_seq, type, at_us, leaf FROM leaves")
        }
        hashes = [merkle.leaf_hash(leaf) for leaf in leaves]
        state = merkle.extend(TreeState(), hashes).state
        with closing(sqlite3.connect(database(self.root))) as db, db:
            db.execute("DELETE FROM leaves")
            for index, (leaf, digest) in enumerate(zip(leaves, hashes, strict=True)):
                entry_id, run_id, run_seq, kind, at_us, _ = known.get(leaf, (f"ent_{index}", None, None, "x", 0, b""))
                is_again = leaf in leaves[:index]
                columns = (entry_id, None if is_again else run_id, None if is_again else run_seq, kind, at_us)
                db.execute(
                    "INSERT INTO leaves VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)", (TENANT, index, *columns, leaf, digest)
                )
            db.execute("UPDATE trees SET size = ?, frontier = ?", (state.size, b"".join(state.frontier)))

    def verified(self, trust: Trust | None = None) -> Report:
        with open_logs(load_project(self.root)) as logs:
            return verify_database(logs.audit, TENANT, logs.vkeys.get(TENANT, ""), trust_json(trust))

    def broken(self, trust: Trust | None = None) -> str:
        """Where it is broken, after which the database is as it was."""
        report = self.verified(trust)
        assert report.verdict == BROKEN, report.text()
        for suffix in ("-wal", "-shm"):
            Path(f"{database(self.root)}{suffix}").unlink(missing_ok=True)
        database(self.root).write_bytes(self.clean)
        return places(report)


@pytest.fixture
def copy(shop_runs: ShopRuns, tmp_path: Path) -> Copy:
    root = shutil.copytree(shop_runs.root, tmp_path / "desk")
    return Copy(root, database(root).read_bytes())


@pytest.fixture
def shell(copy: Copy, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Shell:
    return Shell(copy.root, capsys, monkeypatch)


def names(said: str, index: int) -> bool:
    """Whether a report names the entry: alone, or as one of a range."""
    ranges = re.findall(r"entries (\d+) to (\d+)", said)
    return re.search(rf"entry {index}\b", said) is not None or any(int(a) <= index <= int(b) for a, b in ranges)


def flipped(raw: bytes) -> bytes:
    """The same with one bit of a letter or digit changed, which leaves JSON readable."""
    at = next(at for at in range(len(raw) // 2, len(raw)) if raw[at : at + 1].isalnum())
    return raw[:at] + bytes([raw[at] ^ 1]) + raw[at + 1 :]


def test_the_project_is_whole_before_anything_is_changed(copy: Copy) -> None:
    report = copy.verified()

    kinds = {kind for (kind,) in copy.execute("SELECT DISTINCT type FROM leaves")}
    states = {state for (state,) in copy.execute("SELECT DISTINCT state FROM steps")}
    assert (report.verdict, places(report)) == (SELF_CONSISTENT, "")
    assert {"approval.consumed", "call.intended", "log.closed", "run.ended"} <= kinds
    assert states == {"ok", "error", "unknown", "denied", "held"}


def test_an_edited_entry_is_named_at_every_place(copy: Copy) -> None:
    leaves = copy.leaves()
    for index in sample(range(len(leaves)), PLACES):
        changed = flipped(leaves[index])
        copy.execute("UPDATE leaves SET leaf = :leaf WHERE leaf_index = :index", leaf=changed, index=index)

        assert names(copy.broken(), index), index


def test_a_deleted_entry_is_named_at_every_place(copy: Copy) -> None:
    for index in sample(range(len(copy.leaves())), PLACES):
        copy.execute("DELETE FROM leaves WHERE leaf_index = :index", index=index)

        assert names(copy.broken(), index), index


def test_entries_in_another_order_are_named_at_every_place(copy: Copy) -> None:
    swap = "UPDATE leaves SET leaf_index = :to WHERE leaf_index = :at"
    for index in sample(range(len(copy.leaves()) - 1), PLACES):
        for at, to in ((index, -1), (index + 1, index), (-1, index + 1)):
            copy.execute(swap, at=at, to=to)

        assert names(copy.broken(), index), index


def test_an_entry_that_stands_again_is_named_at_every_place(copy: Copy) -> None:
    leaves = copy.leaves()
    for index in sample(range(len(leaves)), PLACES):
        copy.put([*leaves, leaves[index]])

        assert names(copy.broken(), len(leaves)), index


def test_a_cut_tail_is_named_at_every_length(copy: Copy) -> None:
    leaves = copy.leaves()
    for left in sample(range(len(leaves)), PLACES):
        copy.put(leaves[:left])

        said = copy.broken()
        assert f"entries {left} to {len(leaves) - 1} were signed and are gone" in said


CAREFUL: dict[str, Callable[[list[bytes], int], list[bytes]]] = {
    "edited": lambda all_, at: [*all_[:at], flipped(all_[at]), *all_[at + 1 :]],
    "deleted": lambda all_, at: [*all_[:at], *all_[at + 1 :]],
    "swapped": lambda all_, at: [*all_[: at - 1], all_[at], all_[at - 1], *all_[at + 1 :]],
    "repeated": lambda all_, at: [*all_[:at], all_[at - 1], *all_[at:]],
}


@pytest.mark.parametrize("kind", CAREFUL)
def test_a_careful_forger_is_found_at_every_place_and_a_head_seen_says_on_which_side(
    copy: Copy, shell: Shell, kind: str
) -> None:
    shell.type("evidence", "trust", "--out", str(copy.root.parent / "trust.json"))
    leaves, trust = copy.leaves(), load_trust(copy.root.parent / "trust.json")
    for index in sample(range(1, len(leaves)), PLACES // 2):
        copy.put(CAREFUL[kind](leaves, index))
        assert trust.head is not None

        said = copy.broken(trust)

        assert f"entries are here and do not give the root of the {len(leaves)} that were signed" in said
        assert "head: the first" in said or "head: entries" in said


def test_every_column_that_the_log_speaks_of_is_held_against_it(copy: Copy) -> None:
    cases = [case for table in TOLD for case in columns(copy, table)]
    for table, name, key in sample(cases, 40):
        ((value,),) = copy.execute(f"SELECT {name} FROM {table} WHERE rowid = :key", key=key)  # noqa: S608 - our names
        with closing(sqlite3.connect(database(copy.root))) as db, db:
            db.execute("PRAGMA foreign_keys = off")
            try:
                # The names of tables and columns are those of our schema.
                db.execute(f"UPDATE {table} SET {name} = ? WHERE rowid = ?", (another(value), key))  # noqa: S608
            except sqlite3.IntegrityError:
                continue  # SQLite itself does not let it be written

        report = copy.verified()

        assert report.verdict == BROKEN, (table, name, key, value)
        assert copy.broken(), (table, name, key)


def columns(copy: Copy, table: str) -> Iterator[tuple[str, str, object]]:
    """Each value of each told column of a table: its column, and the row."""
    keys = [key for (key,) in copy.execute(f"SELECT rowid FROM {table}")]  # noqa: S608 - our names
    for _, name, *_ in copy.execute(f"PRAGMA table_info({table})"):
        if name not in UNTOLD.get(table, ()):
            told = keys
            if (table, name) in UNTOLD_BEFORE_INTENDED:
                told = [key for (key,) in copy.execute("SELECT rowid FROM steps WHERE state NOT IN ('held', 'denied')")]
            yield from ((table, str(name), key) for key in told)


def another(value: object) -> object:
    """A value that is like this one and is not it."""
    if isinstance(value, bytes):
        return value[:-1] + bytes([value[-1] ^ 1]) if value else b"x"
    if isinstance(value, int):
        return value + 1
    return f"{value or ''}x"


@pytest.mark.parametrize(
    ("table", "column", "value"),
    [
        ("runs", "state", "'revived'"),
        ("runs", "outcome", "'fine'"),
        ("runs", "opened_us", str(2**62)),
        ("steps", "state", "'done'"),
        ("approvals", "state", "'waved-through'"),
        ("approvals", "rules", "'['"),
        ("approvals", "requirement", "'{}'"),
        ("approvals", "requirement", "'[]'"),
        ("approvals", "decide_by_us", str(2**62)),
        ("approval_answers", "word", "'yes'"),
        ("leaves", "at_us", str(2**62)),
        ("disclosures", "created_us", str(-(2**62))),
        ("leaves", "leaf", "zeroblob(3)"),
        ("leaves", "leaf", "CAST('[]' AS BLOB)"),
        ("leaves", "leaf", "CAST('{}' AS BLOB)"),
        ("leaves", "leaf_hash", "zeroblob(0)"),
        ("trees", "frontier", "zeroblob(31)"),
        ("trees", "size", "-1"),
        ("checkpoints", "note", "zeroblob(0)"),
        ("checkpoints", "note", "CAST('a' || char(10) || '99999999999999999999' AS BLOB)"),
        ("data_keys", "wrapped", "zeroblob(0)"),
        ("disclosures", "sealed", "zeroblob(0)"),
    ],
)
def test_a_row_that_nobody_can_read_is_named_and_stops_no_check(
    copy: Copy, table: str, column: str, value: str
) -> None:
    copy.execute(f"UPDATE {table} SET {column} = {value}")  # noqa: S608 - the cases are above

    report = copy.verified()

    assert report.verdict == BROKEN
    assert places(report) != ""


@pytest.mark.parametrize("table", ["runs", "steps", "approvals", "disclosures", "data_keys", "checkpoints", "trees"])
def test_every_deleted_row_is_missed(copy: Copy, table: str) -> None:
    keys = [key for (key,) in copy.execute(f"SELECT rowid FROM {table}")]  # noqa: S608 - our names
    for key in sample(keys, PLACES):
        with closing(sqlite3.connect(database(copy.root))) as db, db:
            db.execute(f"DELETE FROM {table} WHERE rowid = ?", (key,))  # noqa: S608 - our names

        assert copy.broken(), key


def test_values_that_change_places_are_named(copy: Copy) -> None:
    rows = copy.execute("SELECT rowid, digest FROM disclosures ORDER BY rowid")
    for (one, digest), (other, _) in sample(list(pairwise(rows)), PLACES):
        ((sealed,),) = copy.execute("SELECT sealed FROM disclosures WHERE rowid = :other", other=other)
        copy.execute("UPDATE disclosures SET sealed = :sealed WHERE rowid = :one", sealed=sealed, one=one)

        assert str(digest) in copy.broken()


def test_a_forged_grant_of_a_waiting_approval_is_named(copy: Copy) -> None:
    ((approval_id,),) = copy.execute("SELECT approval_id FROM approvals WHERE state = 'pending'")
    copy.execute(
        "UPDATE approvals SET state = 'granted', execute_by_us = decide_by_us WHERE state = 'pending'",
        """INSERT INTO approval_answers (approval_id, principal, word, at_us, proof)
             SELECT approval_id, 'person:lena', 'grant', asked_us, 'os-user' FROM approvals WHERE state = 'granted'""",
    )

    said = copy.broken()

    assert f"{approval_id} does not carry the MAC of its row" in said
    assert f"{approval_id} has another state, execute_by, answers in the journal than in the log" in said


def test_an_older_row_put_back_is_named_though_its_mac_holds(copy: Copy) -> None:
    ((used,),) = copy.execute("SELECT approval_id FROM approvals WHERE state = 'consumed'")
    copy.execute("UPDATE approvals SET state = 'granted' WHERE state = 'consumed'")

    assert f"{used} has another state in the journal than in the log (granted, the log says consumed)" in copy.broken()


def test_a_call_that_is_dated_back_behind_a_window_of_a_rule_is_named(copy: Copy) -> None:
    for (step_id,) in sample(copy.execute("SELECT step_id FROM steps"), PLACES):
        copy.execute("UPDATE steps SET started_us = started_us - 3600000000 WHERE step_id = :one", one=step_id)

        assert "another beginning in the journal" in copy.broken()


def test_a_rollback_and_a_fork_of_the_whole_folder_are_seen_with_a_trust_file_and_said_to_be_invisible_without(
    copy: Copy, shell: Shell
) -> None:
    state, older, trust = copy.root / ".leverframe", copy.root.parent / "older", copy.root.parent / "trust.json"
    shutil.copytree(state, older)
    done = open_run(shell)
    shell.type("evidence", "trust", "--out", str(trust))
    put_back(older, state)

    alone, against = shell.type("evidence", "verify"), shell.type("evidence", "verify", "--trust", str(trust))
    open_run(shell, "later")
    forked = shell.type("evidence", "verify", "--trust", str(trust))

    assert done == 0
    assert (alone.code, against.code, forked.code) == (0, 1, 1)
    assert "a log rewritten as a whole looks the same" in " ".join(alone.out.split())
    assert "does not stop  a rollback of the whole folder; any process of this user" in alone.out
    assert "rolled back or cut" in against.out
    assert "forked or rewritten" in forked.out or "rolled back or cut" in forked.out


def open_run(shell: Shell, order: str = "W00001") -> int:
    """One more run of the chain, which its order ends early."""
    return shell.type("run", "errands", "--input", str(shell.write("later.json", f'{{"order_id": "{order}"}}'))).code


def put_back(older: Path, state: Path) -> None:
    shutil.rmtree(state)
    shutil.copytree(older, state)


def test_a_log_written_anew_with_its_own_key_is_seen_with_a_trust_file_and_said_to_be_invisible_without(
    copy: Copy, shell: Shell
) -> None:
    trust = copy.root.parent / "trust.json"
    shell.type("evidence", "trust", "--out", str(trust))
    before = shell.type("evidence", "verify", "--trust", str(trust), "--json").json["verdict"]
    shutil.rmtree(copy.root / ".leverframe")
    open_run(shell)

    alone, against = shell.type("evidence", "verify"), shell.type("evidence", "verify", "--trust", str(trust))

    assert before == OK
    assert (alone.code, against.code) == (0, 1)
    assert alone.out.splitlines()[-1] == f"verdict: {SELF_CONSISTENT}"
    assert "the log vouches for its own key, and a log rewritten as a whole looks the same" in " ".join(
        alone.out.split()
    )
    assert "signature: no signature of the key" in " ".join(against.out.split())


def test_entries_that_the_store_never_wrote_are_named_and_never_signed(copy: Copy, shell: Shell) -> None:
    """Between two heads anybody with SQL could put entries at the end; the next process would sign them."""
    leaves, (noted,) = copy.leaves(), copy.execute("SELECT note FROM checkpoints")
    forged = leaves[-1].replace(b'"log.closed"', b'"heartbeat"').replace(b'"ent_', b'"ent_X')
    copy.put([*leaves, forged])

    report, told = copy.verified(), shell.type("evidence", "trust", "--out", str(copy.root.parent / "trust.json"))

    assert "does not carry its MAC" in places(report)
    assert told.code == 1
    assert "was changed outside of Leverframe" in told.err
    assert copy.execute("SELECT note FROM checkpoints") == [noted]


def test_what_a_crash_left_unsigned_is_signed_by_the_next_process(copy: Copy, shell: Shell) -> None:
    """The same place, and entries that the store did write."""
    shell.type("evidence", "trust", "--out", str(copy.root.parent / "trust.json"))
    older = copy.execute("SELECT size, note FROM checkpoints")
    open_run(shell)
    size, note = older[0]
    copy.execute("UPDATE checkpoints SET size = :size, note = :note", size=size, note=note)
    Path(f"{database(copy.root)}.head").unlink()
    unsigned = copy.verified()

    told = shell.type("evidence", "trust", "--out", str(copy.root.parent / "trust.json"))

    assert (unsigned.verdict, "are not signed yet" in unsigned.about) == (SELF_CONSISTENT, True)
    assert told.code == 0, told.err
    assert copy.verified(load_trust(copy.root.parent / "trust.json")).verdict == OK

"""Whatever is changed in the database, `evidence verify` names the place; what nobody can see, it says so."""

import shutil
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest

from leverframe.core import merkle
from leverframe.domain.evidence import Checkpoint, TreeState
from leverframe.sdk.report import BROKEN, OK, SELF_CONSISTENT
from leverframe.signing.ed25519 import Ed25519FileSigner
from leverframe.signing.trust import load_trust
from tests.evidence_project import (
    asked,
    database,
    edit_leaf,
    finished,
    granted,
    held,
    hostile,
    new_project,
    places,
    tamper,
    verified,
)
from tests.typed import Shell

Change = Callable[[Path], object]


@pytest.fixture(scope="module")
def healthy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project with a finished run, one that waits, and a hostile one."""
    root = new_project(tmp_path_factory.mktemp("healthy") / "desk")
    finished(root)
    held(root)
    hostile(root)
    return root


@pytest.fixture
def root(healthy: Path, tmp_path: Path) -> Path:
    """A copy to be tampered with."""
    return shutil.copytree(healthy, tmp_path / "desk")


def first(root: Path, kind: str) -> int:
    """The index of the first entry of a type."""
    rows = asked(root, "SELECT leaf_index, type FROM leaves ORDER BY leaf_index")
    return next(int(str(index)) for index, one in rows if one == kind)


def rehash(root: Path) -> None:
    """Make every stored hash fit the entries that are there, as a careful forger would."""
    leaves = [leaf for (leaf,) in asked(root, "SELECT leaf FROM leaves ORDER BY leaf_index") if isinstance(leaf, bytes)]
    hashes = [merkle.leaf_hash(leaf) for leaf in leaves]
    for index, digest in enumerate(hashes):
        tamper(root, "UPDATE leaves SET leaf_hash = :digest WHERE leaf_index = :index", digest=digest, index=index)
    state = merkle.extend(TreeState(), hashes).state
    tamper(root, "UPDATE trees SET size = :size, frontier = :all", size=state.size, all=b"".join(state.frontier))


def cut(root: Path, left: int) -> None:
    tamper(root, "DELETE FROM leaves WHERE leaf_index >= :left", left=left)
    rehash(root)


def careful_edit(root: Path) -> None:
    edit_leaf(root, first(root, "call.decided"), b'"allow"', b'"deny"')
    rehash(root)


def reorder(root: Path) -> None:
    for at, to in ((5, -1), (6, 5), (-1, 6)):
        tamper(root, "UPDATE leaves SET leaf_index = :to WHERE leaf_index = :at", at=at, to=to)
    rehash(root)


def replay(root: Path) -> None:
    tamper(
        root,
        """INSERT INTO leaves SELECT tenant, (SELECT max(leaf_index) + 1 FROM leaves), 'ent_again', NULL, NULL, type,
             at_us, leaf, leaf_hash FROM leaves WHERE type = 'call.settled' LIMIT 1""",
    )
    rehash(root)


def forge_approval(root: Path) -> None:
    tamper(root, "UPDATE approvals SET state = 'granted', execute_by_us = decide_by_us WHERE state = 'pending'")


def swap_values(root: Path) -> None:
    """Put the stored bytes of one value in the place of another's."""
    columns = [name for (name,) in asked(root, "SELECT name FROM pragma_table_info('disclosures') WHERE type = 'BLOB'")]
    (one,), (other,) = asked(root, "SELECT rowid FROM disclosures ORDER BY rowid LIMIT 2")
    for name in columns:
        source = f"SELECT {name} FROM disclosures WHERE rowid = :other"  # noqa: S608 - a column of our schema
        query = f"UPDATE disclosures SET {name} = ({source}) WHERE rowid = :one"  # noqa: S608 - as above
        tamper(root, query, one=one, other=other)


def forge_head(root: Path) -> None:
    """A head of what is there now, by a key of the same name."""
    leaves = [leaf for (leaf,) in asked(root, "SELECT leaf FROM leaves ORDER BY leaf_index") if isinstance(leaf, bytes)]
    state = merkle.extend(TreeState(), [merkle.leaf_hash(leaf) for leaf in leaves]).state
    forger = Ed25519FileSigner.create(root.parent / "forged.key", "leverframe/default")
    head = Checkpoint(origin=forger.origin, size=state.size, root=merkle.root(state), at=datetime.now(UTC))
    tamper(root, "UPDATE checkpoints SET note = :note", note=forger.sign(head))


TAMPERINGS: dict[str, tuple[Change, str]] = {
    "an edited entry": (lambda root: edit_leaf(root, 4, b'"allow"', b'"deny"'), "tree: entry 4"),
    "an edited entry with its hashes": (careful_edit, "do not give the root"),
    "a deleted entry": (lambda root: tamper(root, "DELETE FROM leaves WHERE leaf_index = 9"), "entry 9"),
    "entries in another order": (reorder, "entry 5"),
    "a cut tail": (lambda root: cut(root, 30), "were signed and are gone"),
    "an entry that stands again": (replay, "is stored under another entry_id"),
    "a swapped value": (swap_values, "disclosures: "),
    "a deleted value": (
        lambda root: tamper(root, "DELETE FROM disclosures WHERE rowid = (SELECT max(rowid) FROM disclosures)"),
        "neither given nor explained",
    ),
    "another policy text": (
        lambda root: tamper(
            root,
            """UPDATE artifacts SET content = CAST('{}' AS BLOB)
                WHERE sha256 IN (SELECT sha256 FROM release_files WHERE name GLOB 'policy:*')""",
        ),
        "does not have the digest that is its name",
    ),
    "a forged approval": (forge_approval, "S3: "),
    "a grant that lasts longer": (
        lambda root: tamper(root, "UPDATE approvals SET execute_by_us = 2 * execute_by_us WHERE state = 'consumed'"),
        "has another execute_by",
    ),
    "an approval that vanished": (
        lambda root: tamper(root, "DELETE FROM approval_answers", "DELETE FROM approvals WHERE state = 'consumed'"),
        "was asked for in the log and is not in the journal",
    ),
    "a hidden run": (
        lambda root: tamper(root, "UPDATE leaves SET run_id = 'run_0' WHERE type = 'run.ended'"),
        "is stored under another run_id",
    ),
    "a run that was revived": (
        lambda root: tamper(root, "UPDATE runs SET state = 'open', outcome = NULL WHERE outcome = 'success'"),
        "has another end, outcome",
    ),
    "a write that is said to be undone": (
        lambda root: tamper(root, "UPDATE steps SET state = 'error' WHERE name = 'issue_refund' AND state = 'ok'"),
        "is error in the journal, the log says ok",
    ),
    "a stored frontier of another tree": (
        lambda root: tamper(root, "UPDATE trees SET frontier = zeroblob(length(frontier))"),
        "the stored head of the tree is not that",
    ),
    "a stored hash of another entry": (
        lambda root: tamper(root, "UPDATE leaves SET leaf_hash = zeroblob(32) WHERE leaf_index = 3"),
        "entry 3",
    ),
    "a head that somebody else signed": (forge_head, "no signature of the key"),
    "no head at all": (lambda root: tamper(root, "DELETE FROM checkpoints"), "signature: "),
}


def test_a_healthy_project_is_self_consistent_and_with_a_trust_file_ok(root: Path, shell: Shell) -> None:
    without = verified(root)
    shell.type("evidence", "trust", "--out", str(root.parent / "trust.json"))

    with_trust = verified(root, load_trust(root.parent / "trust.json"))

    assert (without.verdict, places(without)) == (SELF_CONSISTENT, "")
    assert (with_trust.verdict, places(with_trust)) == (OK, "")
    assert {check.name for check in with_trust.checks.values() if check.status != "passed"} == {"S8", "S9", "S10"}


@pytest.mark.parametrize("name", TAMPERINGS)
def test_each_tampering_is_found_and_its_place_is_named(root: Path, name: str) -> None:
    change, place = TAMPERINGS[name]
    change(root)

    report = verified(root)

    assert report.verdict == BROKEN
    assert place in places(report)


def test_a_rollback_of_the_whole_folder_is_seen_with_a_trust_file_and_not_without(root: Path, shell: Shell) -> None:
    state, older = root / ".leverframe", root.parent / "older"
    shutil.copytree(state, older)
    _, approval_id = held(root)
    granted(root, approval_id)
    shell.type("evidence", "trust", "--out", str(root.parent / "trust.json"))
    shutil.rmtree(state)
    shutil.copytree(older, state)

    alone, against = verified(root), verified(root, load_trust(root.parent / "trust.json"))

    assert (alone.verdict, places(alone)) == (SELF_CONSISTENT, "")
    assert against.verdict == BROKEN
    assert "rolled back or cut" in places(against)


def test_a_log_rewritten_under_another_key_is_seen_with_a_trust_file(root: Path, shell: Shell) -> None:
    shell.type("evidence", "trust", "--out", str(root.parent / "trust.json"))
    key = root / ".leverframe" / "keys" / "default.log.key"
    key.unlink()
    Ed25519FileSigner.create(key, "leverframe/default")

    report = verified(root, load_trust(root.parent / "trust.json"))
    alone = verified(root)

    assert alone.verdict == BROKEN, "its head is still signed by the old key"
    assert (report.verdict, "head: the head beside the database" in places(report)) == (BROKEN, True)


def test_verify_says_which_entry_and_exits_1(root: Path, shell: Shell) -> None:
    edit_leaf(root, 4, b'"allow"', b'"deny"')

    told = shell.type("evidence", "verify")

    assert told.code == 1
    assert "tree: entry 4 (as logged): was changed or left out" in told.out
    assert told.out.splitlines()[-1] == "verdict: BROKEN"


def test_strict_asks_for_a_trust_file(shell: Shell) -> None:
    loose, strict = shell.type("evidence", "verify"), shell.type("evidence", "verify", "--strict")

    assert (loose.code, strict.code) == (0, 1)
    assert "No trust file" in strict.out


def test_a_trust_file_of_another_log_is_refused(root: Path, shell: Shell) -> None:
    shell.type("evidence", "trust", "--out", str(root.parent / "trust.json"))
    trust = root.parent / "trust.json"
    other = Ed25519FileSigner.create(root.parent / "other.key", "leverframe/other")
    trust.write_text(f'{{"format": "leverframe-trust/1", "origin": "leverframe/other", "vkey": "{other.vkey}"}}')

    told = shell.type("evidence", "verify", "--trust", str(trust))

    assert told.code == 2
    assert "'leverframe/other', which is none of those looked at" in told.err


def test_a_project_in_which_nothing_ran_says_so(tmp_path: Path, shell: Shell) -> None:
    empty = new_project(tmp_path / "empty")

    told = shell.type_anywhere("-C", str(empty), "evidence", "verify")

    assert told.code == 3
    assert "There is no database at" in told.err


def test_what_is_no_database_is_said_plainly(root: Path, shell: Shell) -> None:
    database(root).write_bytes(b"not a database at all" * 1000)

    told = shell.type("evidence", "verify")

    assert told.code == 3
    assert "the file is not a database" in told.err
    assert "`storage.url` of leverframe.yaml" in told.err


@pytest.fixture
def shell(root: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Shell:
    return Shell(root, capsys, monkeypatch)


@pytest.mark.parametrize(
    ("column", "value", "named"),
    [
        ("kind", "'tool'", "kind"),
        ("name", "'openai/gpt-5-nano'", "name"),
        ("cost_microusd", "cost_microusd + 1", "cost"),
        ("input_tokens", "0", "tokens"),
        ("output_tokens", "0", "tokens"),
    ],
)
def test_what_a_model_call_took_and_of_which_model_is_what_its_entries_say(
    root: Path, column: str, value: str, named: str
) -> None:
    tamper(root, f"UPDATE steps SET {column} = {value} WHERE kind = 'model'")  # noqa: S608 - the cases are above

    report = verified(root)

    assert report.verdict == BROKEN
    assert f" has another {named} in the journal than in the log" in places(report)

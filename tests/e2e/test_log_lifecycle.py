"""A log that a backup set back: refused, taken up again openly in a new epoch, and verified over both."""

import asyncio
import json
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from leverframe.config.project import load_project
from leverframe.core.notes import SignedHead, open_checkpoint, parse_vkey
from leverframe.domain.errors import EvidenceBroken, KeyUnsafe
from leverframe.domain.json import Json
from leverframe.runtime.auditing import verify_database
from leverframe.sdk.report import BROKEN, OK, SELF_CONSISTENT, Report
from leverframe.signing.trust import Trust
from leverframe.wiring.assembly import open_assembly
from leverframe.wiring.evidence import open_logs, trust_json
from leverframe.wiring.recovering import recover_logs
from tests.evidence_project import TENANT, asked, database, held, hostile, new_project, places, tamper
from tests.meta.tree import ROOT
from tests.signers import RunningSigner, running_signer

BECAUSE = "the disk died; backup of Monday"


@contextmanager
def _signed_by(root: Path, *, is_separate: bool) -> Iterator[RunningSigner | None]:
    if not is_separate:
        yield None
        return
    with running_signer() as signer:
        project = root / "leverframe.yaml"
        text = project.read_text(encoding="utf-8")
        project.write_text(f'{text}\nevidence: {{signer: "unix:{signer.socket}"}}\n', encoding="utf-8")
        yield signer


@pytest.fixture(params=[False, True], ids=["key-file", "signer"])
def root(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Path]:
    found = new_project(tmp_path / "desk")
    with _signed_by(found, is_separate=request.param):
        yield found


def backed_up(root: Path, to: Path, *, whole_folder: bool) -> None:
    """What a backup holds: the database alone, or all of `.leverframe`."""
    if whole_folder:
        shutil.copytree(root / ".leverframe", to / "folder")
    else:
        shutil.copy(database(root), to / "leverframe.db")


def restored(root: Path, of: Path, *, whole_folder: bool) -> None:
    if whole_folder:
        shutil.rmtree(root / ".leverframe")
        shutil.copytree(of / "folder", root / ".leverframe")
    else:
        for beside in ("-wal", "-shm"):
            database(root).with_name(database(root).name + beside).unlink(missing_ok=True)
        shutil.copy(of / "leverframe.db", database(root))


def opened(root: Path) -> None:
    async def whole() -> None:
        async with open_assembly(load_project(root), create=True):
            pass

    asyncio.run(whole())


def verified(root: Path, trust: Trust | None = None) -> Report:
    with open_logs(load_project(root)) as logs:
        vkey = logs.vkeys.get(TENANT, "")
        return verify_database(logs.audit, TENANT, vkey, trust_json(trust), logs.remembered.get(TENANT))


def trusted(root: Path) -> Trust:
    """What an auditor keeps elsewhere."""

    async def head() -> tuple[str, bytes]:
        async with open_assembly(load_project(root), create=False) as assembly:
            note = await assembly.services.evidence.checkpoint(TENANT)
            assert note is not None
            return assembly.services.signers[TENANT].vkey, note

    vkey, note = asyncio.run(head())
    key = parse_vkey(vkey)
    return Trust(vkey=key, head=open_checkpoint(note, key))


def leaf(root: Path, kind: str) -> dict[str, Json]:
    leaves = [raw for (raw,) in asked(root, "SELECT leaf FROM leaves ORDER BY leaf_index") if isinstance(raw, bytes)]
    found: list[dict[str, Json]] = [json.loads(raw) for raw in leaves]
    return next(one for one in reversed(found) if one["type"] == kind)


def test_a_database_that_is_older_than_its_head_is_refused_with_the_next_move(root: Path, tmp_path: Path) -> None:
    hostile(root)
    backed_up(root, tmp_path, whole_folder=False)
    hostile(root)
    restored(root, tmp_path, whole_folder=False)

    with pytest.raises(EvidenceBroken, match="are gone") as caught:
        opened(root)

    assert "leverframe evidence recover --because" in caught.value.next_move
    assert verified(root).verdict == BROKEN
    assert "cut or rolled back" in places(verified(root))


def test_a_recovery_names_what_was_given_up_and_the_log_goes_on(root: Path, tmp_path: Path) -> None:
    hostile(root)
    waiting, _ = held(root)
    backed_up(root, tmp_path, whole_folder=False)
    hostile(root)
    before = trusted(root)
    restored(root, tmp_path, whole_folder=False)

    (recovered,) = recover_logs(load_project(root), BECAUSE)
    hostile(root)

    assert before.head is not None
    assert (recovered.epoch, recovered.lost.size, recovered.unended) == (2, before.head.size, (waiting,))
    said = leaf(root, "log.recovered")["detail"]
    assert isinstance(said, dict)
    assert said["lost_root"] == before.head.root.hex()
    assert leaf(root, "run.gap")["run_id"] == waiting
    report = verified(root)
    assert report.verdict == SELF_CONSISTENT, places(report)
    assert trusted(root).vkey.name.endswith("/epoch-2")
    assert recover_logs(load_project(root), BECAUSE) == ()


def test_an_auditor_of_the_old_epoch_is_told_what_was_given_up(root: Path, tmp_path: Path) -> None:
    hostile(root)
    early = trusted(root)
    backed_up(root, tmp_path, whole_folder=False)
    hostile(root)
    late = trusted(root)
    restored(root, tmp_path, whole_folder=False)
    recover_logs(load_project(root), BECAUSE)
    hostile(root)

    told = verified(root, late)

    assert verified(root, early).verdict == OK
    assert told.verdict == OK, places(told)
    assert "entries seen before were given up, as entry" in " ".join(told.checks["head"].notes)
    assert late.head is not None
    another = Trust(vkey=late.vkey, head=SignedHead(origin=late.head.origin, size=late.head.size, root=b"x" * 32))
    further = Trust(
        vkey=late.vkey, head=SignedHead(origin=late.head.origin, size=late.head.size + 1, root=late.head.root)
    )
    for trust in (another, further):
        assert verified(root, trust).verdict == BROKEN
        assert "names others" in places(verified(root, trust))


def test_a_second_restore_over_a_recovery_is_refused_and_recovered_in_a_third_epoch(root: Path, tmp_path: Path) -> None:
    hostile(root)
    backed_up(root, tmp_path, whole_folder=False)
    hostile(root)
    restored(root, tmp_path, whole_folder=False)
    recover_logs(load_project(root), BECAUSE)
    hostile(root)
    restored(root, tmp_path, whole_folder=False)

    with pytest.raises(EvidenceBroken, match="in epoch 2"):
        opened(root)
    (recovered,) = recover_logs(load_project(root), BECAUSE)

    assert recovered.epoch == 3
    assert verified(root).verdict == SELF_CONSISTENT, places(verified(root))


def test_a_log_that_is_not_behind_is_not_recovered(root: Path) -> None:
    hostile(root)

    assert recover_logs(load_project(root), BECAUSE) == ()


def test_a_backup_that_was_changed_is_not_gone_on_with(root: Path, tmp_path: Path) -> None:
    hostile(root)
    backed_up(root, tmp_path, whole_folder=False)
    hostile(root)
    restored(root, tmp_path, whole_folder=False)
    tamper(root, "UPDATE leaves SET leaf_hash = zeroblob(32) WHERE leaf_index = 1")

    with pytest.raises(EvidenceBroken, match="not those of their own signed head"):
        recover_logs(load_project(root), BECAUSE)


def test_a_rollback_of_the_whole_folder_is_seen_by_the_signer_and_by_nobody_else(root: Path, tmp_path: Path) -> None:
    has_signer = "signer" in (root / "leverframe.yaml").read_text(encoding="utf-8")
    hostile(root)
    backed_up(root, tmp_path, whole_folder=True)
    hostile(root)
    late = trusted(root)
    restored(root, tmp_path, whole_folder=True)

    words = [sys.executable, "-m", "leverframe", "-C", str(root), "evidence", "verify"]
    done = subprocess.run(words, capture_output=True, text=True, check=False, cwd=ROOT)

    if has_signer:
        assert done.returncode == 1
        assert "the head of the signer" in done.stdout
        with pytest.raises(EvidenceBroken, match="in the signer has"):
            opened(root)
    else:
        assert done.returncode == 0
        assert "does not stop  a rollback of the whole folder" in done.stdout
        assert "looks the same" in done.stdout
        opened(root)
    assert verified(root, late).verdict == BROKEN


def test_a_key_that_was_left_beside_the_database_is_refused_where_there_is_a_signer(tmp_path: Path) -> None:
    root = new_project(tmp_path / "desk")
    hostile(root)

    with _signed_by(root, is_separate=True), pytest.raises(KeyUnsafe, match="still in"):
        opened(root)


def test_the_command_says_what_is_left_and_which_runs_to_look_at(root: Path, tmp_path: Path) -> None:
    waiting, _ = held(root)
    backed_up(root, tmp_path, whole_folder=False)
    hostile(root)
    restored(root, tmp_path, whole_folder=False)
    words = [sys.executable, "-m", "leverframe", "-C", str(root), "evidence", "recover", "--because"]

    empty = subprocess.run([*words, " "], capture_output=True, text=True, check=False, cwd=ROOT)
    done = subprocess.run([*words, BECAUSE], capture_output=True, text=True, check=False, cwd=ROOT)
    again = subprocess.run([*words, BECAUSE], capture_output=True, text=True, check=False, cwd=ROOT)

    assert (empty.returncode, done.returncode, again.returncode) == (2, 0, 1), done.stderr
    assert "it goes on in epoch 2" in done.stdout
    assert waiting in done.stdout
    assert "nothing to recover" in again.stderr


def test_a_trust_file_of_the_old_epoch_is_not_renewed_in_silence(root: Path, tmp_path: Path) -> None:
    hostile(root)
    words = [sys.executable, "-m", "leverframe", "-C", str(root), "evidence", "trust", "--out", str(tmp_path / "trust")]
    subprocess.run(words, capture_output=True, check=True, cwd=ROOT)
    backed_up(root, tmp_path, whole_folder=False)
    hostile(root)
    restored(root, tmp_path, whole_folder=False)
    recover_logs(load_project(root), BECAUSE)

    done = subprocess.run(words, capture_output=True, text=True, check=False, cwd=ROOT)

    assert done.returncode == 1
    assert "a backup was restored since" in done.stderr

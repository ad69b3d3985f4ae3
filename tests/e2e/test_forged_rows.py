"""SQL access forges no approval: the call does not run and the row is named.  Erasing a person leaves every proof."""

import json
import sqlite3
from contextlib import closing
from pathlib import Path
from zipfile import ZipFile

import pytest

from leverframe.domain.approvals import AnswerWord
from leverframe.domain.errors import AuthorityForged
from leverframe.domain.evidence import EntryDraft, EventType, KeptValue
from leverframe.domain.ids import ApprovalId, RunId
from leverframe.domain.proposals import Committed, DestroyKey, Proposal
from leverframe.runtime import answers
from leverframe.runtime.loops.ending import Advanced
from leverframe.sdk.report import BROKEN, SELF_CONSISTENT
from leverframe.sdk.verify import verify
from leverframe.wiring.assembly import Assembly
from tests.evidence_project import TENANT, approver, finished, held, new_project, places, tamper, verified, within
from tests.typed import Shell

GRANT = "UPDATE approvals SET state = 'granted', execute_by_us = asked_us + 86400000000, decided_us = asked_us"
ANSWER = """INSERT INTO approval_answers (approval_id, principal, word, at_us, proof)
            SELECT approval_id, 'os:mallory', 'grant', asked_us, 'os-user' FROM approvals WHERE state = 'granted'"""


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return new_project(tmp_path / "desk")


@pytest.fixture
def shell(root: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Shell:
    return Shell(root, capsys, monkeypatch)


def refunds(root: Path) -> int:
    """How many refunds the shop knows of."""
    with closing(sqlite3.connect(root / "shop.db")) as shop:
        tables = {name for (name,) in shop.execute("SELECT name FROM sqlite_master")}
        return shop.execute("SELECT count(*) FROM refunds").fetchone()[0] if "refunds" in tables else 0


def resume(root: Path, run_id: RunId) -> Advanced:
    async def go_on(assembly: Assembly) -> Advanced:
        return await assembly.runner.resume(run_id)

    return within(root, go_on)


def answered_only(root: Path, approval_id: ApprovalId) -> None:
    """Grant it, and leave the run parked."""

    async def answer(assembly: Assembly) -> None:
        person = approver(assembly)
        await answers.answer(assembly.services, approval_id, person, AnswerWord.GRANT, reason="", proof="os-user")

    within(root, answer)


def save(table: str) -> str:
    """Keep the rows of a table aside."""
    # S608: the names are those of this test.
    return f"CREATE TABLE saved_{table} AS SELECT * FROM {table}"  # noqa: S608


def put_back(table: str) -> tuple[str, str]:
    """The rows of a table as they were saved."""
    # S608: the names are those of this test.
    return f"DELETE FROM {table}", f"INSERT INTO {table} SELECT * FROM saved_{table}"  # noqa: S608


def test_a_call_that_was_granted_with_sql_does_not_run_and_the_row_is_named(root: Path, shell: Shell) -> None:
    run_id, approval_id = held(root)
    tamper(root, GRANT, ANSWER)

    with pytest.raises(AuthorityForged, match=approval_id):
        resume(root, run_id)

    told = shell.type("evidence", "verify")
    assert refunds(root) == 0
    assert told.code == 1
    assert f"{approval_id} does not carry the MAC of its row" in told.out
    assert told.out.splitlines()[-1] == "verdict: BROKEN"


@pytest.mark.parametrize("words", [("approvals", "show"), ("approvals", "grant"), ("approvals", "deny")])
def test_a_person_is_told_and_no_answer_makes_it_good(root: Path, shell: Shell, words: tuple[str, str]) -> None:
    _, approval_id = held(root)
    tamper(root, "UPDATE approvals SET action_digest = 'another'")

    told = shell.type(*words, approval_id)

    assert told.code == 1
    assert f"Approval '{approval_id}' was changed outside of Leverframe" in told.err
    assert told.err.rstrip().endswith("evidence verify")
    assert refunds(root) == 0


def test_a_grant_that_was_used_is_not_used_again_when_its_rows_are_put_back(root: Path) -> None:
    run_id, approval_id = held(root)
    answered_only(root, approval_id)
    tables = ("approvals", "steps", "runs")
    tamper(root, *map(save, tables))
    resume(root, run_id)

    tamper(
        root,
        "PRAGMA foreign_keys = OFF",
        *(statement for table in tables for statement in put_back(table)),
    )
    with pytest.raises(AuthorityForged, match="it is parked, and the log says that it has ended"):
        resume(root, run_id)

    assert refunds(root) == 1
    assert verified(root).verdict == BROKEN


def test_a_healthy_run_goes_on_beside_a_forged_one(root: Path) -> None:
    _, forged = held(root)
    tamper(root, GRANT, ANSWER)

    finished(root)

    report = verified(root)
    assert refunds(root) == 1
    assert report.verdict == BROKEN
    assert [line for line in places(report).splitlines() if "MAC" in line] == [
        f"S3: {forged} does not carry the MAC of its row: something else than Leverframe wrote it"
    ]


def erase(root: Path, run_id: RunId) -> tuple[str, ...]:
    """Erase what is kept of a run's person; returns the digests."""

    async def do(assembly: Assembly) -> tuple[str, ...]:
        services = assembly.services
        run = await services.journal.run(run_id)
        assert run is not None
        values = tuple(
            [
                KeptValue(leaf.entry_id, digest)
                for leaf in await services.evidence.leaves_of_run(TENANT, run_id)
                for digest in await services.evidence.disclosures(TENANT, [leaf.entry_id])
            ]
        )
        digests = tuple(one.digest for one in values)
        entry = EntryDraft(
            entry_id=services.mint.entry_id(),
            at=services.mint.now(),
            type=EventType.DISCLOSURE_ERASED,
            tenant=TENANT,
            detail={"digests": digests},
        )
        change = DestroyKey(tenant=TENANT, values=values, subject_digest=run.subject_digest, run_id=run_id)
        assert isinstance(
            await services.writer.commit(Proposal(tenant=TENANT, changes=(change,), entries=(entry,))), Committed
        )
        return digests

    return within(root, do)


def test_after_an_erasure_every_proof_holds_and_the_values_read_as_erased(root: Path, shell: Shell) -> None:
    erased, kept = finished(root), finished(root)

    digests = erase(root, erased)

    report = verified(root)
    assert len(digests) > 5
    assert (report.verdict, places(report)) == (SELF_CONSISTENT, "")
    told = shell.type("why", erased, "--json")
    assert told.code == 0
    assert json.loads(told.out)["evidence"]["is_verified"] is True
    assert "broken jar" not in told.out
    assert "broken jar" in shell.type("why", kept, "--json").out


def test_a_bundle_of_an_erased_run_says_that_its_values_were_erased(root: Path, shell: Shell) -> None:
    run_id = finished(root)
    erase(root, run_id)
    bundle = root / "bundle.zip"

    told = shell.type("evidence", "export", "--run", run_id, "--out", str(bundle))

    with ZipFile(bundle) as archive:
        files = {name: archive.read(name) for name in archive.namelist()}
    lines = [json.loads(line) for line in files["disclosures.jsonl"].splitlines()]
    assert told.code == 0
    assert {one.get("withheld") for one in lines} == {"erased"}
    assert verify(files, None).verdict == SELF_CONSISTENT

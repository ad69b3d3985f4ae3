"""SQL access moves no run to other rules: it is not gone on with, the row is named, and other runs go on."""

import json
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from leverframe.domain.approvals import AnswerWord
from leverframe.domain.errors import AuthorityForged, EvidenceBroken
from leverframe.domain.ids import ApprovalId, EnvironmentName, PrincipalId, RunId, WorkflowName
from leverframe.domain.json import Json
from leverframe.domain.runs import RunOutcome
from leverframe.runtime import answers
from leverframe.runtime.loops.ending import Advanced, Ended
from leverframe.runtime.sessions import Opening
from leverframe.sdk.report import BROKEN, SELF_CONSISTENT
from leverframe.wiring.assembly import Assembly
from tests.evidence_project import (
    AGENT,
    TENANT,
    approver,
    asked,
    finished,
    granted,
    held,
    new_project,
    places,
    tamper,
    verified,
    within,
)
from tests.typed import Shell


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


def opening(given: dict[str, Json]) -> Opening:
    return Opening(
        tenant=TENANT,
        environment=EnvironmentName("default"),
        initiator=AGENT,
        launcher=PrincipalId("os:someone"),
        input=given,
    )


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


def looser_release(root: Path) -> RunId:
    """A run of a later release of the project, in which more is allowed."""
    path = root / "workflows" / "refund_request.yaml"
    text = path.read_text(encoding="utf-8")
    path.write_text(text.replace("threshold_usd: 50", "threshold_usd: 5000"), encoding="utf-8")

    async def start(assembly: Assembly) -> RunId:
        contract = assembly.project.contracts[WorkflowName("refund_request")]
        given = json.loads((root / "inputs" / "refund_request.json").read_text(encoding="utf-8"))
        return (await assembly.runner.start(contract, opening(given))).run.run_id

    return within(root, start)


def test_a_parked_run_that_was_pointed_at_another_release_is_not_gone_on_with(root: Path, shell: Shell) -> None:
    run_id, approval_id = held(root)
    answered_only(root, approval_id)
    other = looser_release(root)
    done = refunds(root)
    digests = asked(root, "SELECT DISTINCT release_digest FROM runs")
    tamper(
        root,
        """UPDATE runs SET (release_digest, policy_digest) =
             (SELECT release_digest, policy_digest FROM runs WHERE run_id = :other) WHERE run_id = :run""",
        other=other,
        run=run_id,
    )

    with pytest.raises(AuthorityForged, match=run_id):
        resume(root, run_id)

    told = shell.type("evidence", "verify")
    assert len(digests) == 2
    assert refunds(root) == done
    assert told.code == 1
    assert f"{run_id} does not carry the MAC of its row" in told.out
    assert f"{run_id} has another release" in told.out


@pytest.mark.parametrize("words", [("runs", "show"), ("runs", "resume"), ("why",)])
def test_a_person_is_told_and_the_run_stays_as_it_is(root: Path, shell: Shell, words: tuple[str, ...]) -> None:
    run_id, _ = held(root)
    tamper(root, "UPDATE runs SET initiator = 'agent:other'")

    told = shell.type(*words, run_id)

    assert told.code == 1
    assert f"Run '{run_id}' was changed outside of Leverframe" in told.err
    assert refunds(root) == 0


def test_release_files_that_were_exchanged_are_not_the_ones_of_the_pinned_digest(root: Path) -> None:
    run_id, approval_id = held(root)
    answered_only(root, approval_id)
    path = root / "workflows" / "refund_request.yaml"
    path.write_text(path.read_text(encoding="utf-8") + "\n# a later release\n", encoding="utf-8")
    tamper(
        root,
        """UPDATE artifacts
              SET content = CAST(replace(CAST(content AS TEXT), 'threshold_usd: 50', 'threshold_usd: 5000') AS BLOB)""",
    )

    with pytest.raises(EvidenceBroken, match="digest"):
        resume(root, run_id)

    assert refunds(root) == 0


def test_a_raised_limit_of_a_run_is_not_spent(root: Path) -> None:
    run_id, approval_id = held(root)
    answered_only(root, approval_id)
    tamper(
        root, "UPDATE windows SET limit_value = limit_value + 1000, ceiling = ceiling + 1000 WHERE unit = 'tool_calls'"
    )

    ended = resume(root, run_id)

    assert isinstance(ended, Ended)
    assert (ended.run.outcome, ended.run.stop_reason) == (RunOutcome.FAILED, "authority-forged")
    assert "was changed outside of Leverframe" in str(ended.output)
    assert refunds(root) == 0


@pytest.mark.parametrize("unit", ["usd", "tool_calls", "model_calls"])
def test_a_window_that_was_deleted_stops_its_run(root: Path, unit: str) -> None:
    run_id, approval_id = held(root)
    answered_only(root, approval_id)
    tamper(root, "DELETE FROM windows WHERE unit = :unit", unit=unit)

    ended = resume(root, run_id)

    assert isinstance(ended, Ended)
    assert ended.run.outcome is RunOutcome.FAILED
    assert refunds(root) == 0


def test_an_outside_run_takes_no_call_under_a_raised_limit(root: Path) -> None:
    async def ask(assembly: Assembly) -> None:
        contract = assembly.project.contracts[WorkflowName("refund_request")]
        run = await assembly.runner.open_outside(contract, opening({"message": "refund #W2378156"}))
        with assembly.services.claims.claim(run.run_id):
            await run.call_tool("lookup_order", {"order_id": "#W2378156"})
            tamper(root, "UPDATE windows SET limit_value = limit_value + 1 WHERE unit = 'tool_calls'")
            await run.call_tool("lookup_order", {"order_id": "#W2378156"})

    with pytest.raises(AuthorityForged, match="max_tool_calls"):
        within(root, ask)


def test_healthy_runs_go_on_beside_a_forged_one(root: Path) -> None:
    forged, _ = held(root)
    tamper(root, "UPDATE runs SET launcher = 'os:mallory'")

    finished(root)

    report = verified(root)
    assert refunds(root) == 1
    assert report.verdict == BROKEN
    assert [line for line in places(report).splitlines() if "MAC" in line] == [
        f"S6: {forged} does not carry the MAC of its row: something else than Leverframe wrote it"
    ]


def test_a_subject_that_was_changed_before_the_row_was_tagged_is_found_when_the_run_is_taken_up(root: Path) -> None:
    """The subject stands in no entry, so a row of an earlier version is tagged with the one that it has."""
    run_id, approval_id = held(root)
    answered_only(root, approval_id)
    tamper(root, "UPDATE runs SET subject_digest = x'00', tag = NULL")

    with pytest.raises(AuthorityForged, match="its row has another subject than its sealed input"):
        resume(root, run_id)

    assert refunds(root) == 0


def test_a_run_of_an_earlier_version_goes_on(root: Path) -> None:
    run_id, approval_id = held(root)
    tamper(root, "UPDATE runs SET tag = NULL")

    granted(root, approval_id)

    assert (refunds(root), verified(root).verdict) == (1, SELF_CONSISTENT)
    assert asked(root, "SELECT run_id, state FROM runs WHERE tag IS NOT NULL") == [(run_id, "ended")]

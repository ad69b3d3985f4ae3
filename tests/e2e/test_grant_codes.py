"""What `approvals grant` says to a script where the run ended between the person's answer and the call."""

from pathlib import Path

import pytest

from leverframe.cli.commands import approvals
from leverframe.domain.approvals import AnswerWord, Approval
from leverframe.domain.contracts import Person
from leverframe.domain.ids import ApprovalId
from leverframe.domain.runs import RunOutcome
from leverframe.runtime.answers import answer
from leverframe.runtime.closing import RunEnd
from leverframe.runtime.leftovers import finish_run
from leverframe.runtime.services import Services
from leverframe.runtime.sessions import find_run, take_up
from tests.typed import Shell


async def ended_at_once(
    services: Services, approval_id: ApprovalId, person: Person, word: AnswerWord, *, reason: str, proof: str
) -> Approval:
    """The agent ends its run in the moment in which it was answered."""
    answered = await answer(services, approval_id, person, word, reason=reason, proof=proof)
    run = await find_run(services, answered.run_id)
    contract = services.project.contract_in(run.workflow, run.environment)
    assert contract is not None
    await finish_run(await take_up(services, contract, run), RunEnd(outcome=RunOutcome.SUCCESS, output=None))
    return answered


def test_a_grant_in_a_run_that_ended_before_the_call_was_done_exits_with_1(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    shell = Shell(tmp_path / "desk", capsys, monkeypatch)
    shell.init()
    _, approval_id = shell.held()
    monkeypatch.setattr(approvals, "answer", ended_at_once)

    told = shell.type("approvals", "grant", approval_id)

    assert (told.code, "the run ended before the granted call was done" in told.out) == (1, True), told.out
    assert shell.type("approvals", "show", approval_id, "--json").json["state"] == "revoked"

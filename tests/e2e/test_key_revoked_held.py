"""A held call of a key that is revoked before people answer: a grant does not run it, and the log verifies."""

from pathlib import Path

from leverframe.domain.authority import NO_TEAM
from leverframe.domain.ids import EnvironmentName, WorkflowName
from leverframe.domain.records import replace
from leverframe.runtime.keys import Wanted, create_key, revoke_keys
from leverframe.runtime.outcomes import HeldBack, Refused
from tests.door_desk import TENANT, open_desk, write_desk
from tests.evidence_project import verified

WANTED = Wanted(
    tenant=TENANT,
    name="bot",
    team=NO_TEAM,
    workflows=frozenset({WorkflowName("desk")}),
    environments=frozenset({EnvironmentName("default")}),
    may_open_runs=False,
    lives_for=None,
)


def test_what_people_grant_after_a_key_was_revoked_is_denied_and_the_log_verifies(tmp_path: Path) -> None:
    write_desk(tmp_path)
    with open_desk(tmp_path) as desk:
        services, lena = desk.runner.services, desk.person("omar")
        key = desk.do(create_key(services, lena, WANTED, proof="test")).key
        opening = replace(desk.opening("desk", "c_1", {}), initiator=key.principal)
        run = desk.do(desk.runner.open_outside(desk.contract(), opening))
        run.ctx.key = key
        held = desk.call(run, "issue_refund", {"order_id": "W00001", "amount_usd": 80}, step="refund")
        assert isinstance(held, HeldBack)
        desk.do(revoke_keys(services, lena, TENANT, "bot", proof="test"))
        desk.grant(held)

        again = desk.do(desk.runner.reopen_outside(run.run_id))
        outcome = desk.call(again, "issue_refund", {"order_id": "W00001", "amount_usd": 80}, step="refund")

    assert isinstance(outcome, Refused)
    assert [reason.rule for reason in outcome.reasons] == ["key-revoked"]
    report = verified(tmp_path)
    # The log was opened by the clock of this machine, and the desk has one of its own.
    assert [name for name, check in report.checks.items() if check.failed] == ["clock"], report.text()

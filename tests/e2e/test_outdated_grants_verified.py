"""A granted call that is frozen anew, since a fact of it changed or was not read again: the log verifies."""

from pathlib import Path

import pytest

from leverframe.domain.authority import KillScope
from leverframe.domain.json import JsonObject
from leverframe.runtime.outcomes import HeldBack
from tests.door_desk import open_desk, rules, write_desk
from tests.evidence_project import verified
from tests.unit.test_door_kills import kill

ARGS: JsonObject = {"order_id": "W00001", "amount_usd": 60}
MOVED = {
    "kill-switch": "",
    "issue_refund/over-50": "UPDATE orders SET total_usd = '121.00'",
    "own-orders-only": "UPDATE orders SET customer_id = 'c_9'",
}


@pytest.mark.parametrize("rule", MOVED)
def test_a_grant_that_is_outdated_when_its_call_is_decided_anew_breaks_no_log(tmp_path: Path, rule: str) -> None:
    write_desk(tmp_path)
    with open_desk(tmp_path) as desk:
        run = desk.open()
        held = desk.call(run, "issue_refund", ARGS)
        assert isinstance(held, HeldBack)
        desk.grant(held)
        if MOVED[rule]:
            desk.shop(MOVED[rule])
        else:
            kill(desk, KillScope.TOOL, "issue_refund")

        again = desk.call(run, "issue_refund", ARGS)

        assert rules(again) == (rule,)
        assert desk.steps(run.run_id)[held.path].action_digest != desk.approval(held).action_digest
    report = verified(tmp_path)
    # The log was opened by the clock of this machine, and the desk has one of its own.
    assert [name for name, check in report.checks.items() if check.failed] == ["clock"], report.text()

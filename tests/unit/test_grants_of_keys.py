"""A held call of an agent's key that a person grants: whichever process runs it, it is a call of that key."""

import asyncio
from datetime import UTC, datetime
from pathlib import Path

import pytest

from leverframe.domain.approvals import ApprovalState
from leverframe.domain.authority import ApiKey, KillScope, KillSwitch
from leverframe.domain.ids import KeyId, PrincipalId
from leverframe.domain.json import JsonObject
from leverframe.domain.proposals import Proposal, PutKey, PutKill, PutStep
from leverframe.domain.records import replace
from leverframe.domain.runs import RunOutcome, RunState, StepState
from leverframe.runtime.loops.ending import Collected
from leverframe.runtime.outcomes import Answered, HeldBack, Lost
from leverframe.runtime.outside import OutsideRun
from tests.contract.test_store_authority import a_key
from tests.door_desk import PROJECT_FILE, TENANT, Desk, open_desk, rules, said, sent, write_desk

ARGS: JsonObject = {"order_id": "W00001", "amount_usd": 60}
OF_THE_KEY = "budgets:\n  - {tenant: default, key: desk, window: total, max_tool_calls: 9}\n"


def key_of(desk: Desk) -> ApiKey:
    """A key named desk, which every process knows."""
    key = replace(a_key(tenant=TENANT), name="desk", created_at=desk.clock.now(), expires_at=None)
    desk.do(desk.assembly.store.writer.commit(Proposal(tenant=TENANT, changes=(PutKey(key=key),))))
    desk.do(desk.runner.services.authority.reload())
    return key


def opened(desk: Desk, initiator: PrincipalId, opened_with: KeyId | None = None) -> OutsideRun:
    opening = replace(desk.opening("desk", "c_1", {}), initiator=initiator, opened_with=opened_with)
    return desk.do(desk.runner.open_outside(desk.contract(), opening))


def opened_by(desk: Desk, key: ApiKey, person: str) -> OutsideRun:
    """A run of the key's own, or one that it opened on behalf of a person."""
    return opened(desk, PrincipalId(person), key.key_id) if person else opened(desk, key.principal)


def granted(desk: Desk, run: OutsideRun) -> HeldBack:
    held = desk.call(run, "issue_refund", ARGS)
    assert isinstance(held, HeldBack), held
    desk.grant(held)
    return held


@pytest.mark.parametrize(("name", "person"), [("desk", ""), ("oidc_abc", ""), ("desk", "person:ada")])
def test_a_granted_call_does_not_run_once_its_key_is_switched_off(tmp_path: Path, name: str, person: str) -> None:
    write_desk(tmp_path)
    with open_desk(tmp_path) as desk:
        key = key_of(desk)
        run = opened_by(desk, key, person) if name == key.name else opened(desk, PrincipalId(f"key:{name}"))
        held = granted(desk, run)
        kill = KillSwitch(scope=KillScope.KEY, name=name, by=PrincipalId("person:lena"), at=desk.clock.now())
        desk.do(desk.assembly.store.writer.commit(Proposal(tenant=TENANT, changes=(PutKill(kill=kill, is_on=True),))))
        desk.do(desk.runner.services.authority.reload())

        collected = desk.do(desk.runner.resume(run.run_id))

        assert isinstance(collected, Collected)
        assert [rules(outcome) for _, outcome in collected.calls] == [("kill-switch",)]
        assert (desk.effects(), desk.state(held) is ApprovalState.CONSUMED) == ({}, False)


@pytest.mark.parametrize("person", ["", "person:ada"])
@pytest.mark.parametrize("learn", [True, False], ids=["known", "by-another-process"])
@pytest.mark.parametrize("rule", ["key-revoked", "key-expired"])
def test_a_granted_call_does_not_run_once_its_key_is_none_any_more(
    tmp_path: Path, rule: str, *, learn: bool, person: str
) -> None:
    write_desk(tmp_path)
    with open_desk(tmp_path) as desk:
        key = key_of(desk)
        run = opened_by(desk, key, person)
        held = granted(desk, run)
        now = desk.clock.now()
        over = replace(key, revoked_at=now) if rule == "key-revoked" else replace(key, expires_at=now)
        desk.do(desk.assembly.store.writer.commit(Proposal(tenant=TENANT, changes=(PutKey(key=over),))))
        if learn:
            desk.do(desk.runner.services.authority.reload())

        collected = desk.do(desk.runner.resume(run.run_id))

        assert isinstance(collected, Collected)
        assert [(step.state, rules(outcome)) for step, outcome in collected.calls] == [(StepState.DENIED, (rule,))]
        assert (desk.effects(), desk.state(held)) == ({}, ApprovalState.REVOKED)
        again = desk.do(desk.runner.resume(run.run_id))
        assert isinstance(again, Collected)
        assert not again.calls
        assert desk.do(run.end(RunOutcome.FAILED, None)).state is RunState.ENDED


def test_a_granted_call_of_a_key_that_was_rotated_runs_while_the_key_works(tmp_path: Path) -> None:
    write_desk(tmp_path)
    with open_desk(tmp_path) as desk:
        key = key_of(desk)
        run = opened_by(desk, key, "person:ada")
        granted(desk, run)
        overlapping = replace(key, expires_at=datetime(2100, 1, 1, tzinfo=UTC))
        desk.do(desk.assembly.store.writer.commit(Proposal(tenant=TENANT, changes=(PutKey(key=overlapping),))))

        collected = desk.do(desk.runner.resume(run.run_id))

        assert isinstance(collected, Collected)
        assert [isinstance(outcome, Answered) for _, outcome in collected.calls] == [True]


@pytest.mark.parametrize("person", ["", "person:ada"])
def test_a_granted_call_counts_in_the_budgets_of_its_key(tmp_path: Path, person: str) -> None:
    write_desk(tmp_path, project=PROJECT_FILE + OF_THE_KEY)
    with open_desk(tmp_path) as desk:
        run = opened_by(desk, key_of(desk), person)
        granted(desk, run)

        collected = desk.do(desk.runner.resume(run.run_id))

        assert isinstance(collected, Collected)
        assert [isinstance(outcome, Answered) for _, outcome in collected.calls] == [True]
        windows = desk.do(run.ctx.windows(desk.clock.now()))
        assert [one.settled for one in windows if one.window_id != run.ctx.window_id] == [1]


@pytest.mark.parametrize("person", ["", "person:ada"])
@pytest.mark.parametrize("over", ["revoked_at", "expires_at"])
@pytest.mark.parametrize("tool", ["send_voucher", "set_status", "book_courier"])
def test_a_write_that_a_dead_process_announced_is_not_sent_again_for_a_key_that_is_none_any_more(
    tmp_path: Path, tool: str, over: str, person: str
) -> None:
    write_desk(tmp_path)
    with open_desk(tmp_path) as desk:
        key = key_of(desk)
        run = opened_by(desk, key, person)
        done = desk.call(run, tool, {"order_id": "W00001", **({"status": "paid"} if tool == "set_status" else {})})
        desk.shop("DELETE FROM effects")
        left = replace(desk.steps(run.run_id)[done.path], state=StepState.INTENDED, finished_at=None, attempts=0)
        desk.clock.advance(60)
        changes = (
            PutStep(step=left, expect=frozenset(StepState)),
            PutKey(key=replace(key, **{over: desk.clock.now()})),
        )
        desk.do(desk.assembly.store.writer.commit(Proposal(tenant=TENANT, changes=changes)))

        collected = desk.do(desk.runner.resume(run.run_id))

        assert isinstance(collected, Collected)
        ((step, outcome),) = collected.calls
        assert (step.state, isinstance(outcome, Lost), desk.effects()) == (StepState.UNKNOWN, True, {})
        assert "key" in said(outcome)


def test_a_write_that_would_be_sent_again_is_not_once_its_key_was_revoked(tmp_path: Path) -> None:
    write_desk(tmp_path)
    with open_desk(tmp_path) as desk:
        desk.mood("send_voucher", "after:hang", times=2)
        key = key_of(desk)
        run = opened_by(desk, key, "")
        run.ctx.key = key

        async def revoked_while_sending() -> object:
            sending = asyncio.create_task(run.call_tool("send_voucher", {"order_id": "W00001"}))
            await sent(run)
            over = replace(key, revoked_at=desk.clock.now())
            await desk.assembly.store.writer.commit(Proposal(tenant=TENANT, changes=(PutKey(key=over),)))
            await desk.runner.services.authority.reload()
            return await sending

        outcome = desk.do(revoked_while_sending())

        assert isinstance(outcome, Lost)
        assert desk.steps(run.run_id)[outcome.path].attempts == 1

"""A kill switch at the door: the next call is refused by its own rule, what is on its way ends, and it is recorded."""

import asyncio
import json
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from leverframe.domain.approvals import ApprovalState
from leverframe.domain.authority import ApiKey, KillScope, KillSwitch
from leverframe.domain.errors import ApprovalRefused, AuthRefused, NotFound
from leverframe.domain.ids import PrincipalId, TenantId
from leverframe.domain.json import JsonObject
from leverframe.domain.proposals import Proposal, PutKey, PutKill, PutStep
from leverframe.domain.records import replace
from leverframe.domain.runs import RunOutcome, StepState
from leverframe.runtime.amending import check_may_amend
from leverframe.runtime.kills import KillAsk, clear, throw
from leverframe.runtime.loops.ending import Ended
from leverframe.runtime.outcomes import Answered, HeldBack, Lost, Refused
from leverframe.runtime.redeciding import Standing, redecide_all
from leverframe.testing import ScriptedModel, say
from tests.contract.test_store_authority import a_key
from tests.door_desk import TENANT, Desk, open_desk, rules, sent, write_desk
from tests.e2e.test_shared_budgets import WRITER, project

ORDER: JsonObject = {"order_id": "W00001"}
LETTER: JsonObject = {"order_id": "W00002"}
LENA = PrincipalId("person:lena")


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    write_desk(tmp_path)
    with open_desk(tmp_path) as opened:
        yield opened


def asked(scope: KillScope, name: str = "", tenant: TenantId | None = None) -> KillAsk:
    return KillAsk(scope=scope, name=name, tenant=tenant, because="the shop is on fire")


def kill(desk: Desk, scope: KillScope, name: str = "", who: str = "lena") -> KillSwitch:
    return desk.do(throw(desk.runner.services, desk.person(who), asked(scope, name), proof="test"))


def unkill(desk: Desk, scope: KillScope, name: str = "", who: str = "lena") -> KillSwitch:
    return desk.do(clear(desk.runner.services, desk.person(who), asked(scope, name), proof="test"))


def behind_its_back(desk: Desk, scope: KillScope, name: str = "") -> None:
    """Another process throws a switch; this one has not looked since."""
    switch = KillSwitch(scope=scope, name=name, by=LENA, at=desk.clock.now())
    desk.do(desk.assembly.store.writer.commit(Proposal(tenant=TENANT, changes=(PutKill(kill=switch, is_on=True),))))


def put(desk: Desk, key: ApiKey) -> None:
    """Another process makes or changes a key, and this one has looked since."""
    desk.do(desk.assembly.store.writer.commit(Proposal(tenant=TENANT, changes=(PutKey(key=key),))))
    desk.do(desk.runner.services.authority.reload())


def test_a_key_that_was_taken_back_since_it_was_recognised_calls_nothing(desk: Desk) -> None:
    run = desk.open()
    at = desk.clock.now()
    key = a_key(tenant=TENANT, created_at=at, expires_at=at + timedelta(days=36_500))
    put(desk, key)
    run.ctx.key = key
    before = desk.call(run, "set_status", {**ORDER, "status": "paid"})
    put(desk, replace(key, revoked_at=at))

    with pytest.raises(AuthRefused):
        desk.call(run, "set_status", {**LETTER, "status": "paid"})

    assert isinstance(before, Answered)
    assert len(desk.leaves(run.run_id, "call.decided")) == 1


@pytest.mark.parametrize(
    ("scope", "name"),
    [
        (KillScope.EVERYTHING, ""),
        (KillScope.TENANT, "default"),
        (KillScope.WORKFLOW, "desk"),
        (KillScope.TOOL, "set_status"),
    ],
)
def test_a_thrown_switch_refuses_the_next_call_by_its_own_rule(desk: Desk, scope: KillScope, name: str) -> None:
    run = desk.open()
    kill(desk, scope, name)

    outcome = desk.call(run, "set_status", {**ORDER, "status": "paid"})

    assert rules(outcome) == ("kill-switch",)
    assert desk.effects() == {}
    assert desk.leaves(run.run_id, "call.decided")[-1]["rule"] == "kill-switch"


def test_a_switch_of_a_tool_leaves_the_others_alone(desk: Desk) -> None:
    run = desk.open()
    kill(desk, KillScope.TOOL, "set_status")

    assert isinstance(desk.call(run, "peek", ORDER), Answered)
    assert isinstance(desk.call(run, "send_letter", ORDER), Answered)


def test_a_cleared_switch_lets_calls_go_on(desk: Desk) -> None:
    run = desk.open()
    kill(desk, KillScope.EVERYTHING)
    assert isinstance(desk.call(run, "peek", ORDER), Refused)

    unkill(desk, KillScope.EVERYTHING)

    assert isinstance(desk.call(run, "peek", ORDER), Answered)


@pytest.mark.parametrize("tool", ["peek", "set_status"])
def test_a_switch_that_another_process_threw_a_moment_ago_is_seen_in_the_transaction(desk: Desk, tool: str) -> None:
    run = desk.open()
    behind_its_back(desk, KillScope.TOOL, tool)

    outcome = desk.call(run, tool, {**ORDER, **({"status": "paid"} if tool == "set_status" else {})})

    assert rules(outcome) == ("kill-switch",)
    assert desk.effects() == {}
    assert desk.reads() == {}


def test_another_change_of_the_authority_only_makes_a_call_be_decided_again(desk: Desk) -> None:
    run = desk.open()
    behind_its_back(desk, KillScope.TOOL, "send_letter")

    assert isinstance(desk.call(run, "set_status", {**ORDER, "status": "paid"}), Answered)
    assert desk.effects() == {"set_status": 1}


def test_no_fact_is_read_for_a_killed_call(desk: Desk) -> None:
    run = desk.open()
    kill(desk, KillScope.TOOL, "issue_refund")

    desk.call(run, "issue_refund", {**ORDER, "amount_usd": 5})

    assert desk.reads() == {}


def test_a_granted_call_does_not_run_under_a_switch(desk: Desk) -> None:
    run = desk.open()
    args: JsonObject = {**ORDER, "amount_usd": 60}
    held = desk.call(run, "issue_refund", args)
    assert isinstance(held, HeldBack)
    desk.grant(held)
    kill(desk, KillScope.TOOL, "issue_refund")

    assert rules(desk.call(run, "issue_refund", args)) == ("kill-switch",)

    assert desk.effects() == {}
    assert desk.state(held) is not ApprovalState.CONSUMED


def test_a_write_that_is_on_its_way_ends_by_itself(desk: Desk) -> None:
    desk.mood("send_letter", "after:hang")
    run = desk.open()

    async def killed_while_sending() -> object:
        sending = asyncio.create_task(run.call_tool("send_letter", LETTER))
        await sent(run)
        await throw(desk.runner.services, desk.person("lena"), asked(KillScope.EVERYTHING), proof="test")
        return await sending

    outcome = desk.do(killed_while_sending())

    assert isinstance(outcome, Lost)
    assert desk.steps(run.run_id)[outcome.path].state is StepState.UNKNOWN


def test_a_write_that_would_be_sent_again_is_not_once_the_switch_is_thrown(desk: Desk) -> None:
    desk.mood("send_voucher", "after:hang", times=2)
    run = desk.open()

    async def killed_while_sending() -> object:
        sending = asyncio.create_task(run.call_tool("send_voucher", ORDER))
        await sent(run)
        await throw(desk.runner.services, desk.person("lena"), asked(KillScope.TOOL, "send_voucher"), proof="test")
        return await sending

    outcome = desk.do(killed_while_sending())

    assert isinstance(outcome, Lost)
    assert desk.steps(run.run_id)[outcome.path].attempts == 1


def test_what_a_dead_process_left_is_unknown_under_a_switch_and_never_sent_again(desk: Desk) -> None:
    run = desk.open()
    done = desk.call(run, "send_voucher", ORDER)
    assert isinstance(done, Answered)
    step = replace(desk.steps(run.run_id)[done.path], state=StepState.INTENDED, finished_at=None, attempts=0)
    change = PutStep(step=step, expect=frozenset(StepState))
    desk.do(desk.runner.services.writer.commit(Proposal(tenant=TENANT, changes=(change,))))
    desk.clock.advance(60)
    behind_its_back(desk, KillScope.EVERYTHING)

    outcome = desk.call(desk.do(desk.runner.reopen_outside(run.run_id)), "send_voucher", ORDER)

    assert isinstance(outcome, Lost)
    assert "a kill switch stops sending it again" in outcome.message


def test_a_model_call_is_refused_under_a_switch_and_the_run_ends(tmp_path: Path) -> None:
    with ScriptedModel(say("Done."), say("Done.")) as vendor:
        write_desk(tmp_path, project=project("", vendor.url), **{"workflows/writer.yaml": WRITER})
        with open_desk(tmp_path) as desk:
            behind_its_back(desk, KillScope.MODEL, "vendor/gpt-4")
            ended = desk.start("writer", message="Write.")
            assert isinstance(ended, Ended)
            denied = desk.leaves(ended.run.run_id, "model.called")[-1]
            kill(desk, KillScope.TOOL, "peek")
            unkill(desk, KillScope.MODEL, "vendor/gpt-4")
            again = desk.start("writer", message="Write.")

    assert (denied["decision"], denied["rule"]) == ("deny", "kill-switch")
    assert ended.run.outcome is not RunOutcome.SUCCESS
    assert isinstance(again, Ended)
    assert again.run.outcome is RunOutcome.SUCCESS
    assert len(vendor.requests) == 1


def test_a_decision_under_a_switch_is_decided_alike_from_its_record(desk: Desk) -> None:
    run = desk.open()
    kill(desk, KillScope.WORKFLOW, "desk")
    desk.call(run, "issue_refund", {**ORDER, "amount_usd": 5})
    desk.call(run, "peek", ORDER)

    async def all_of_it() -> list[Standing]:
        found = redecide_all(desk.runner.services, desk.runner.releases, TENANT, run.run_id)
        return [one.standing async for one in found]

    assert desk.do(all_of_it()) == [Standing.SAME, Standing.SAME]


def test_who_threw_it_and_why_is_in_the_log_and_the_words_are_sealed(desk: Desk) -> None:
    kill(desk, KillScope.TOOL, "peek")

    stored = desk.do(desk.runner.services.evidence.leaves(TENANT, 0, 50))
    leaf = next(one.leaf for one in stored if b"killswitch.set" in one.leaf)

    assert b'"name":"peek"' in leaf
    assert b'"is_on":true' in leaf
    assert b"person:lena" in leaf
    assert b"on fire" not in leaf


@pytest.mark.parametrize(
    ("scope", "name", "near"),
    [
        (KillScope.TOOL, "set_statos", "set_status"),
        (KillScope.WORKFLOW, "dask", "desk"),
        (KillScope.TENANT, "defalt", "default"),
        (KillScope.KEY, "bot", "none"),
        (KillScope.MODEL, "openai/gpt-5", "none"),
    ],
)
def test_a_name_that_nothing_has_is_refused_since_nothing_would_stop(
    desk: Desk, scope: KillScope, name: str, near: str
) -> None:
    with pytest.raises(NotFound) as caught:
        kill(desk, scope, name)

    assert near in caught.value.next_move


@pytest.mark.parametrize("name", ["vendor/gpt-44", "vendor/", "vendor//gpt-4", "vendor/gpt-4 ", "vendor/ gpt-4"])
def test_a_model_that_no_tier_has_is_no_name_of_a_known_provider(tmp_path: Path, name: str) -> None:
    write_desk(tmp_path, project=project("", "http://127.0.0.1:9"), **{"workflows/writer.yaml": WRITER})
    with open_desk(tmp_path) as desk:
        with pytest.raises(NotFound) as caught:
            kill(desk, KillScope.MODEL, name)
        stopped = [kill(desk, KillScope.MODEL, one).name for one in ("vendor", "vendor/gpt-4")]

    assert "'vendor" in caught.value.next_move
    assert stopped == ["vendor", "vendor/gpt-4"]


def test_where_a_workflow_is_only_watched_any_model_of_a_provider_can_be_stopped(tmp_path: Path) -> None:
    watched = WRITER + "enforce: observe\n"
    write_desk(tmp_path, project=project("", "http://127.0.0.1:9"), **{"workflows/writer.yaml": watched})
    with open_desk(tmp_path) as desk:
        assert kill(desk, KillScope.MODEL, "vendor/org/any:1").name == "vendor/org/any:1"
        with pytest.raises(NotFound):
            kill(desk, KillScope.MODEL, "vendor/")


def test_a_subject_with_a_blank_is_nobody_who_could_be_stopped(desk: Desk) -> None:
    with pytest.raises(NotFound):
        kill(desk, KillScope.KEY, "oidc_a b")


def test_a_switch_that_is_not_on_cannot_be_cleared(desk: Desk) -> None:
    kill(desk, KillScope.TOOL, "peek")

    with pytest.raises(NotFound, match="No such kill switch is on: tool set_status"):
        unkill(desk, KillScope.TOOL, "set_status")


def test_whoever_is_no_approver_may_stop_and_may_not_let_go_on(desk: Desk) -> None:
    kill(desk, KillScope.EVERYTHING, who="paul")

    with pytest.raises(ApprovalRefused, match="is no approver"):
        unkill(desk, KillScope.EVERYTHING, who="paul")


def test_nobody_stops_the_calls_of_a_tenant_that_they_do_not_work_for(tmp_path: Path) -> None:
    people = "people: {lena: {tenants: [acme], roles: [approver]}, omar: {roles: [approver]}}\n"
    write_desk(tmp_path, project=f"{people}tenants: {{acme: {{}}, globex: {{}}}}\n")
    with open_desk(tmp_path) as desk:
        services, lena = desk.runner.services, desk.person("lena")
        with pytest.raises(ApprovalRefused, match="does not work for 'globex'"):
            kill(desk, KillScope.EVERYTHING)
        desk.do(throw(services, lena, asked(KillScope.EVERYTHING, tenant=TenantId("acme")), proof="test"))
        kill(desk, KillScope.TOOL, "peek", who="omar")
        with pytest.raises(ApprovalRefused):
            desk.do(check_may_amend(services, TenantId("globex"), lena, "unkill"))
        told = {
            tenant: sum(
                b"killswitch.set" in one.leaf for one in desk.do(services.evidence.leaves(TenantId(tenant), 0, 50))
            )
            for tenant in ("acme", "globex")
        }

    assert told == {"acme": 2, "globex": 1}


def test_a_tenant_that_shares_a_switch_is_told_after_it_is_thrown_and_before_it_is_cleared(tmp_path: Path) -> None:
    write_desk(tmp_path, project="people: {omar: {roles: [approver]}}\ntenants: {acme: {}, globex: {}}\n")
    with open_desk(tmp_path) as desk:
        services = desk.runner.services
        kill(desk, KillScope.TOOL, "peek", who="omar")
        unkill(desk, KillScope.TOOL, "peek", who="omar")
        told = {
            tenant: [
                (entry["detail"]["is_on"], entry["detail"].get("elsewhere", False), entry["detail"]["generation"])
                for one in desk.do(services.evidence.leaves(TenantId(tenant), 0, 50))
                if (entry := json.loads(one.leaf))["type"] == "killswitch.set"
            ]
            for tenant in ("acme", "globex")
        }

    assert told["acme"] == [(True, False, 1), (False, False, 2)]
    assert told["globex"] == [(True, True, 1), (False, True, 1)]

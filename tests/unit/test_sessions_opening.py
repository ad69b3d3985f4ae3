"""How runs begin and are taken up again: what opens none, what is pinned, whose run it is."""

from dataclasses import replace
from pathlib import Path

import pytest

from leverframe.domain.errors import EvidenceBroken, InputInvalid, NotFound
from leverframe.domain.ids import EnvironmentName, RunId
from leverframe.domain.json import JsonObject
from leverframe.domain.labels import Integrity
from leverframe.domain.runs import RunOutcome, RunState
from leverframe.runtime.loops.ending import Collected
from leverframe.runtime.outcomes import Answered, HeldBack
from tests.door_desk import AGENT, CONTRACT, MARIA, TENANT, open_desk, rules, write_desk

LARGE: JsonObject = {"order_id": "W00001", "amount_usd": 60}


def test_an_input_without_the_subject_of_the_contract_opens_no_run(tmp_path: Path) -> None:
    write_desk(tmp_path)
    with open_desk(tmp_path) as desk, pytest.raises(InputInvalid, match=r"takes its subject from 'input.customer_id'"):
        desk.open(subject="")


def test_a_backend_may_name_the_subject_itself(tmp_path: Path) -> None:
    write_desk(tmp_path)
    with open_desk(tmp_path) as desk:
        opening = replace(desk.opening("desk", "", {}), subject="c_2")

        run = desk.do(desk.runner.open_outside(desk.contract(), opening))

        assert isinstance(desk.call(run, "look_up", {"order_id": "W00003"}), Answered)
        assert rules(desk.call(run, "look_up", {"order_id": "W00001"})) == ("own-orders-only",)


def test_an_environment_that_the_contract_does_not_have_opens_no_run(tmp_path: Path) -> None:
    write_desk(tmp_path)
    with open_desk(tmp_path) as desk:
        opening = replace(desk.opening("desk", "c_1", {}), environment=EnvironmentName("prod"))

        with pytest.raises(InputInvalid, match="no environment 'prod'; it has default"):
            desk.do(desk.runner.open_outside(desk.contract(), opening))


def test_a_run_says_from_its_first_entry_who_opened_it_and_under_what(tmp_path: Path) -> None:
    write_desk(tmp_path)
    with open_desk(tmp_path) as desk:
        run = desk.open(message="hello")

        (started,) = desk.leaves(run.run_id)
        contract = desk.contract()
        assert (started["type"], started["run_seq"], started["actor"]) == ("run.started", 1, AGENT)
        assert started["detail"]["launcher"] == MARIA
        assert (started["policy_digest"], started["release_digest"]) == (
            contract.policy_digest,
            contract.release_digest,
        )
        assert "c_1" not in str(started)
        assert desk.disclosed(run.run_id, run.ctx.run.input_ref)["input"]["message"] == "hello"


def test_what_an_agent_opened_by_itself_is_third_party_also_after_a_restart(tmp_path: Path) -> None:
    write_desk(tmp_path)
    with open_desk(tmp_path) as desk:
        opening = replace(desk.opening("desk", "c_1", {}), opener_integrity=Integrity.THIRD_PARTY)
        run = desk.do(desk.runner.open_outside(desk.contract(), opening))

        reopened = desk.do(desk.runner.reopen_outside(run.run_id))

        for one in (run, reopened):
            assert one.ctx.values.union.integrity is Integrity.THIRD_PARTY


def test_a_resumed_run_that_is_not_there_is_not_found(tmp_path: Path) -> None:
    write_desk(tmp_path)
    with open_desk(tmp_path) as desk, pytest.raises(NotFound, match="run_nobody"):
        desk.do(desk.runner.resume(RunId("run_nobody")))


def test_the_bytes_of_a_release_are_kept_and_a_run_goes_on_under_them(tmp_path: Path) -> None:
    write_desk(tmp_path)
    with open_desk(tmp_path) as desk:
        run = desk.open()
        held = desk.call(run, "issue_refund", LARGE)
        kept = desk.do(desk.runner.services.journal.artifacts(run.ctx.run.release_digest))
        assert kept["workflows/desk.yaml"] == CONTRACT.encode()
    write_desk(tmp_path, CONTRACT.replace("execute_within: 10m", "execute_within: 20m"))
    with open_desk(tmp_path, desk.clock, seed=1) as later:
        later.grant(held)

        advanced = later.do(later.runner.resume(run.run_id))

        assert isinstance(advanced, Collected)
        assert [type(outcome) for _, outcome in advanced.calls] == [Answered]
        assert later.effects() == {"issue_refund": 1}


def test_a_release_whose_kept_bytes_were_changed_is_not_run(tmp_path: Path) -> None:
    write_desk(tmp_path)
    with open_desk(tmp_path) as desk:
        run = desk.open()
        kept = desk.do(desk.runner.services.journal.artifacts(run.ctx.run.release_digest))
        forged = {**kept, "workflows/desk.yaml": kept["workflows/desk.yaml"].replace(b"over", b"0ver") + b"\n"}

        with pytest.raises(EvidenceBroken, match="do not give its digest"):
            desk.runner.releases.contract(
                run.ctx.run.workflow, run.ctx.run.environment, run.ctx.run.release_digest, forged
            )


def test_the_end_says_what_was_used_and_how_long_people_were_waited_for(tmp_path: Path) -> None:
    write_desk(tmp_path)
    with open_desk(tmp_path) as desk:
        run = desk.open()
        desk.clock.advance(2)
        held = desk.call(run, "issue_refund", LARGE)
        assert isinstance(held, HeldBack)
        desk.clock.advance(60)

        ended = desk.do(run.end(RunOutcome.SUCCESS, {"said": "bye"}))

        assert (ended.state, ended.outcome) == (RunState.ENDED, RunOutcome.SUCCESS)
        assert (ended.active_us, ended.waited_us) == (2_000_000, 60_000_000)
        leaf = desk.leaves(run.run_id, "run.ended")[0]
        assert leaf["detail"]["total_tool_calls"] == 1
        assert leaf["detail"]["limit_tool_calls"] == 40
        assert leaf["cost_microusd"] == 1_000
        assert leaf["tenant"] == TENANT

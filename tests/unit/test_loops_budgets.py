"""Every limit of a run stops it by its declared fallback, with the limit's name, and never before it is used up."""

from pathlib import Path

import pytest

from leverframe.domain.approvals import ApprovalState
from leverframe.domain.budgets import BudgetUnit
from leverframe.domain.json import JsonObject
from leverframe.domain.proposals import Proposal, PutStep
from leverframe.domain.records import replace
from leverframe.domain.runs import RunOutcome, StepState
from leverframe.runtime.loops.ending import Ended, Parked
from leverframe.runtime.outcomes import Answered, Stopped
from leverframe.testing import ScriptedModel, say, use_tool
from tests.door_desk import CONTRACT, PROJECT_FILE, open_desk, said, write_desk

FALLBACK = "fallback: {handoff: 'queue:tier2', say: A colleague takes this over.}\n"


def contract(budget: str, fallback: str = FALLBACK) -> str:
    return CONTRACT.replace("{max_tool_calls: 40}", f"{{{budget}}}") + fallback


def project(url: str) -> str:
    provider = f"providers: {{v: {{wire: openai, url: '{url}', private: allowed}}}}"
    return f"{PROJECT_FILE}{provider}\nmodels: {{fast: [v/gpt-4o-mini]}}\n"


@pytest.mark.parametrize(
    ("budget", "limit", "unit", "settled"),
    [
        ("max_model_calls: 2", "max_model_calls 2", BudgetUnit.MODEL_CALLS, 2),
        ("max_tool_calls: 2", "max_tool_calls 2", BudgetUnit.TOOL_CALLS, 2),
        ("max_steps: 5", "max_steps 5", BudgetUnit.STEPS, 5),
        ("max_tool_calls: 0", "max_tool_calls 0", BudgetUnit.TOOL_CALLS, 0),
        ("max_model_calls: 0", "max_model_calls 0", BudgetUnit.MODEL_CALLS, 0),
        # Ten input and five output tokens an answer; each call sets its worst case aside before it is sent.
        ("max_output_tokens: 20", "max_output_tokens 20", BudgetUnit.OUTPUT_TOKENS, 5),
        ("max_input_tokens: 20", "max_input_tokens 20", BudgetUnit.INPUT_TOKENS, 0),
        ("max_usd: 0.000001", "max_usd 0.000001", BudgetUnit.USD, 0),
    ],
)
@pytest.mark.parametrize("fallback", [FALLBACK, ""])
def test_a_limit_stops_the_loop_by_its_fallback(
    tmp_path: Path, budget: str, limit: str, unit: BudgetUnit, *, settled: int, fallback: str
) -> None:
    outcome = RunOutcome.HANDOFF if fallback else RunOutcome.STOPPED
    with ScriptedModel(use_tool("peek", {"order_id": "W00001"})) as model:
        write_desk(tmp_path, contract(budget, fallback), project=project(model.url))
        with open_desk(tmp_path) as desk:
            ended = desk.start()

            assert isinstance(ended, Ended)
            assert (ended.run.outcome, ended.run.stop_reason) == (outcome, limit)
            assert ended.run.handoff_queue == ("tier2" if fallback else "")
            windows = desk.windows(ended.run.run_id)
            assert windows[unit].settled == settled
            assert all(one.settled <= one.limit and one.reserved == 0 for one in windows.values())
            leaf = desk.leaves(ended.run.run_id, "run.ended")[0]
            assert (leaf["outcome"], leaf["detail"]["stop_reason"]) == (outcome.value, limit.replace(" ", "="))


def test_an_answer_is_clamped_to_what_the_tokens_and_the_money_afford(tmp_path: Path) -> None:
    with ScriptedModel(say("Short.")) as model:
        write_desk(tmp_path, contract("max_output_tokens: 100"), project=project(model.url))
        with open_desk(tmp_path) as desk:
            desk.start()

        assert model.requests[0].get("max_tokens", model.requests[0].get("max_completion_tokens")) == 100


def test_a_limit_of_each_step_holds_also_below_what_is_useful(tmp_path: Path) -> None:
    with ScriptedModel(say("Short.")) as model:
        write_desk(tmp_path, contract("per_step: {max_output_tokens: 7}"), project=project(model.url))
        with open_desk(tmp_path) as desk:
            desk.start()

        assert model.requests[0].get("max_tokens", model.requests[0].get("max_completion_tokens")) == 7


@pytest.mark.parametrize("limit", ["0.001", "0.0005", "0.00042", *(f"0.000{micro}" for micro in range(345, 420, 9))])
def test_what_a_call_may_cost_at_most_is_within_the_money_that_is_left(tmp_path: Path, limit: str) -> None:
    with ScriptedModel(say("Short.")) as model:
        write_desk(tmp_path, contract(f"max_usd: {limit}"), project=project(model.url))
        with open_desk(tmp_path) as desk:
            ended = desk.start()

            assert isinstance(ended, Ended)
            assert ended.run.outcome is RunOutcome.SUCCESS
            (called,) = desk.leaves(ended.run.run_id, "model.called")
            (usd,) = [one for one in called["detail"]["reserved"] if "/usd=" in one]
            reserved, _, bound = usd.rpartition("=")[2].partition("/")
            assert int(reserved) <= int(bound)


def test_the_wall_clock_stops_the_loop_and_waiting_for_people_does_not_count(tmp_path: Path) -> None:
    refund = use_tool("issue_refund", {"order_id": "W00001", "amount_usd": 60})
    with ScriptedModel(refund, use_tool("peek", {"order_id": "W00001"})) as model:
        write_desk(tmp_path, contract("max_wall_s: 100"), project=project(model.url))
        with open_desk(tmp_path) as desk:
            parked = desk.start()
            assert isinstance(parked, Parked)
            assert parked.approval_id is not None
            desk.clock.advance(20 * 60)
            desk.grant(parked.approval_id)
            ended = desk.do(desk.runner.resume(parked.run.run_id))

            assert desk.effects() == {"issue_refund": 1}
            # The clock stands still in this test, so the loop ends by its steps.
            assert isinstance(ended, Ended)
            assert ended.run.stop_reason == "max_steps 50"
            assert ended.run.active_us == 0
            assert ended.run.waited_us == 20 * 60 * 1_000_000


def test_an_outside_run_that_waits_for_people_does_not_use_up_its_wall_clock(tmp_path: Path) -> None:
    write_desk(tmp_path, contract("max_wall_s: 100"))
    with open_desk(tmp_path) as desk:
        run = desk.open()
        args: JsonObject = {"order_id": "W00001", "amount_usd": 60}
        held = desk.call(run, "issue_refund", args)
        desk.clock.advance(20 * 60)
        desk.grant(held)

        assert isinstance(desk.call(run, "issue_refund", args), Answered)

        desk.clock.advance(101)
        stopped = desk.call(run, "issue_refund", {"order_id": "W00002", "amount_usd": 1})
        assert isinstance(stopped, Stopped)
        assert stopped.limit == "max_wall_s 100"
        assert "max_wall_s" in said(stopped)
        assert desk.effects() == {"issue_refund": 1}


def test_the_total_time_counts_waiting_for_people(tmp_path: Path) -> None:
    refund = use_tool("issue_refund", {"order_id": "W00001", "amount_usd": 60})
    with ScriptedModel(refund, say("Done.")) as model:
        write_desk(tmp_path, contract("max_total_s: 600"), project=project(model.url))
        with open_desk(tmp_path) as desk:
            parked = desk.start()
            assert isinstance(parked, Parked)
            assert parked.approval_id is not None
            desk.clock.advance(599)
            desk.grant(parked.approval_id)
            desk.clock.advance(2)

            ended = desk.do(desk.runner.resume(parked.run.run_id))

            assert isinstance(ended, Ended)
            assert (ended.run.outcome, ended.run.stop_reason) == (RunOutcome.HANDOFF, "max_total_s 600")
            assert desk.effects() == {}
            assert desk.approval(parked.approval_id).state is ApprovalState.REVOKED
            assert len(model.requests) == 1


def test_a_write_that_a_dead_process_left_is_settled_before_the_total_time_ends_the_run(tmp_path: Path) -> None:
    refund = use_tool("issue_refund", {"order_id": "W00001", "amount_usd": 60})
    with ScriptedModel(refund, say("Done.")) as model:
        write_desk(tmp_path, contract("max_total_s: 600"), project=project(model.url))
        with open_desk(tmp_path) as desk:
            parked = desk.start()
            assert isinstance(parked, Parked)
            step = replace(desk.steps(parked.run.run_id)["0.0"], state=StepState.INTENDED)
            change = PutStep(step=step, expect=frozenset(StepState))
            desk.do(desk.runner.services.writer.commit(Proposal(tenant=parked.run.tenant, changes=(change,))))
            desk.clock.advance(601)

            ended = desk.do(desk.runner.resume(parked.run.run_id))

            assert isinstance(ended, Ended)
            assert ended.run.stop_reason == "max_total_s 600"
            assert desk.effects() == {"issue_refund": 1}
            assert desk.steps(parked.run.run_id)["0.0"].state is StepState.OK


def test_a_refusal_for_want_of_budget_is_told_again_as_it_was(tmp_path: Path) -> None:
    write_desk(tmp_path, contract("max_tool_calls: 0"))
    with open_desk(tmp_path) as desk:
        run = desk.open()
        first = desk.call(run, "peek", {"order_id": "W00001"}, step="one")
        reopened = desk.do(desk.runner.reopen_outside(run.run_id))

        again = desk.call(reopened, "peek", {"order_id": "W00001"}, step="one")

        assert isinstance(first, Stopped)
        assert again == first

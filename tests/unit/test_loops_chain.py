"""Kind `chain`: a fixed list of steps; a parse, check or schema that fails ends the run by its fallback."""

from pathlib import Path

import pytest

from leverframe.domain.budgets import BudgetUnit
from leverframe.domain.errors import InputInvalid
from leverframe.domain.json import Json
from leverframe.domain.proposals import Proposal, PutStep
from leverframe.domain.records import replace
from leverframe.domain.runs import RunOutcome, RunState, StepKind, StepState
from leverframe.runtime.loops.ending import Advanced, Busy, Ended, Parked
from leverframe.testing import ScriptedModel, say
from leverframe.testing.scripted_model import Line
from tests.door_desk import PROJECT_FILE, Desk, open_desk, write_desk

TRIAGE = """\
workflow: desk
kind: chain
input: {type: object, required: [message], properties: {message: {type: string}, customer_id: {type: string}}}
subject: input.customer_id
intent: input.message
fallback: {handoff: "queue:tier2", say: A colleague looks at it.}
models: {default: fast}
steps:
  - parse: {regex: "W[0-9]{5}", in: input.message, as: found}
  - model: {prompt: prompts/triage.md, output: schemas/triage.json, as: triage}
  - check: {python: "checks.py:is_five_digits", of: [triage.order_id]}
  - tool: {name: look_up, args: {order_id: triage.order_id}, as: order}
policy: {allow_tools: [look_up]}
"""
SCHEMA = '{"type": "object", "required": ["order_id"], "properties": {"order_id": {"type": "string"}}}'
WRITES = """\
workflow: desk
kind: chain
input: {type: object, required: [order_id], properties: {order_id: {type: string}, customer_id: {type: string}}}
fallback: {handoff: "queue:tier2", say: A colleague looks at it.}
steps:
  - tool: {name: set_status, args: {order_id: input.order_id, status: input.order_id}, as: status}
  - tool: {name: send_letter, args: {order_id: input.order_id}, as: letter}
policy: {allow_tools: [set_status, send_letter]}
"""


def triaged(folder: Path, *lines: Line, contract: str = TRIAGE, message: str = "cancel W00001 please") -> Ended:
    with ScriptedModel(*lines) as model:
        write_triage(folder, model, contract)
        with open_desk(folder) as desk:
            return ended(desk.start(message=message))


def write_triage(folder: Path, model: ScriptedModel, contract: str = TRIAGE) -> None:
    provider = f"providers: {{v: {{wire: openai, url: '{model.url}', private: allowed}}}}\n"
    files = {"prompts/triage.md": "Which order?", "schemas/triage.json": SCHEMA}
    write_desk(folder, contract, project=f"{PROJECT_FILE}{provider}models: {{fast: [v/gpt-4o-mini]}}\n", **files)


def ended(advanced: Advanced) -> Ended:
    assert isinstance(advanced, Ended), advanced
    return advanced


def test_each_step_hands_its_value_to_the_next_and_the_last_is_the_output(tmp_path: Path) -> None:
    done = triaged(tmp_path, say('{"order_id": "W00001"}'))

    assert done.run.outcome is RunOutcome.SUCCESS
    assert isinstance(done.output, dict)
    assert done.output["customer_id"] == "c_1"


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        ("W00001", "invalid_output triage workflows/desk.yaml:10"),
        ('{"order": "W00001"}', "invalid_output triage workflows/desk.yaml:10"),
        ('{"order_id": 7}', "invalid_output triage workflows/desk.yaml:10"),
        ('{"order_id": "#W1"}', "invalid_output is_five_digits workflows/desk.yaml:11"),
    ],
)
def test_an_answer_of_the_wrong_type_or_a_check_that_says_no_is_invalid_output(
    tmp_path: Path, answer: str, reason: str
) -> None:
    done = triaged(tmp_path, say(answer))

    assert (done.run.outcome, done.run.stop_reason, done.run.handoff_queue) == (RunOutcome.HANDOFF, reason, "tier2")


def test_without_a_fallback_the_run_is_stopped(tmp_path: Path) -> None:
    bare = TRIAGE.replace('fallback: {handoff: "queue:tier2", say: A colleague looks at it.}\n', "")

    assert triaged(tmp_path, say("nothing"), contract=bare).run.outcome is RunOutcome.STOPPED


@pytest.mark.parametrize(("message", "found"), [("cancel W00001 and W00002", "W00001"), ("cancel it", None)])
def test_a_parse_takes_the_first_match_or_nothing_and_the_run_goes_on(
    tmp_path: Path, message: str, found: Json
) -> None:
    only = TRIAGE.split("  - model:", maxsplit=1)[0].replace("models: {default: fast}\n", "")

    done = triaged(tmp_path, say(""), contract=only, message=message)

    assert (done.run.outcome, done.output) == (RunOutcome.SUCCESS, found)


def test_a_refused_tool_ends_the_run_by_its_fallback(tmp_path: Path) -> None:
    done = triaged(tmp_path, say('{"order_id": "W99999"}'))

    assert (done.run.outcome, done.run.stop_reason) == (RunOutcome.HANDOFF, "refused look_up")
    assert "no order" in str(done.output)


def test_an_output_that_breaks_the_schema_of_the_contract_is_invalid(tmp_path: Path) -> None:
    typed = TRIAGE + "output: {type: object, required: [refund]}\n"

    done = triaged(tmp_path, say('{"order_id": "W00001"}'), contract=typed)

    assert (done.run.outcome, done.run.stop_reason) == (RunOutcome.HANDOFF, "invalid_output")


def test_an_input_off_its_schema_opens_no_run(tmp_path: Path) -> None:
    write_desk(tmp_path, WRITES)
    with open_desk(tmp_path) as desk, pytest.raises(InputInvalid, match="'order_id' is missing"):
        desk.start()


def test_a_write_that_nobody_can_tell_of_parks_the_chain_and_is_never_repeated(tmp_path: Path) -> None:
    write_desk(tmp_path, WRITES)
    with open_desk(tmp_path) as desk:
        desk.mood("send_letter", "after:raise")

        parked = desk.start(order_id="W00001")
        again = desk.do(desk.runner.resume(parked.run.run_id))

        assert isinstance(parked, Parked)
        assert isinstance(again, Parked)
        assert desk.run_row(parked.run.run_id).state is RunState.PARKED
        assert desk.effects() == {"set_status": 1, "send_letter": 1}


def test_a_loop_that_asks_for_something_else_than_it_recorded_is_stopped_and_not_guessed_at(tmp_path: Path) -> None:
    write_desk(tmp_path, WRITES)
    with open_desk(tmp_path) as desk:
        desk.mood("send_letter", "after:raise")
        parked = desk.start(order_id="W00001")
        change_the_recorded_request(desk, parked, "0")

        done = ended(desk.do(desk.runner.resume(parked.run.run_id)))

        assert (done.run.outcome, done.run.stop_reason) == (RunOutcome.FAILED, "nondeterministic-run")
        assert desk.effects() == {"set_status": 1, "send_letter": 1}


def test_a_model_that_is_asked_something_else_than_it_recorded_stops_the_run(tmp_path: Path) -> None:
    with ScriptedModel(say('{"order_id": "W00001"}')) as model:
        held = TRIAGE + "approval: {required_for: [{tool: look_up}]}\n"
        write_triage(tmp_path, model, held)
        with open_desk(tmp_path) as desk:
            parked = desk.start(message="cancel W00001")
            change_the_recorded_request(desk, parked, "1")

            done = ended(desk.do(desk.runner.resume(parked.run.run_id)))

            assert done.run.stop_reason == "nondeterministic-run"
            assert len(model.requests) == 1


def change_the_recorded_request(desk: Desk, advanced: Advanced, path: str) -> None:
    step = desk.steps(advanced.run.run_id)[path]
    other = PutStep(step=replace(step, request_digest=b"another request"), expect=frozenset(StepState))
    desk.do(desk.runner.services.writer.commit(Proposal(tenant=advanced.run.tenant, changes=(other,))))


def test_a_write_that_a_dead_process_left_is_unknown_where_the_run_cannot_go_on(tmp_path: Path) -> None:
    write_desk(tmp_path, WRITES)
    with open_desk(tmp_path) as desk:
        desk.mood("send_letter", "after:raise")
        parked = desk.start(order_id="W00001")
        letter = desk.steps(parked.run.run_id)["1"]
        sent = PutStep(step=replace(letter, state=StepState.INTENDED), expect=frozenset(StepState))
        desk.do(desk.runner.services.writer.commit(Proposal(tenant=parked.run.tenant, changes=(sent,))))
        change_the_recorded_request(desk, parked, "0")

        done = ended(desk.do(desk.runner.resume(parked.run.run_id)))

        assert done.run.outcome is RunOutcome.FAILED
        assert desk.steps(parked.run.run_id)["1"].state is StepState.UNKNOWN
        assert all(window.reserved == 0 for window in desk.windows(parked.run.run_id).values())


def test_a_model_call_that_a_dead_process_left_costs_its_bound_and_is_asked_anew_once(tmp_path: Path) -> None:
    with ScriptedModel(say('{"order_id": "W00001"}')) as model:
        write_triage(
            tmp_path, model, TRIAGE + "approval: {required_for: [{tool: look_up}]}\nbudget: {max_model_calls: 1}\n"
        )
        with open_desk(tmp_path) as desk:
            parked = desk.start(message="cancel W00001")
            run_id = parked.run.run_id
            step = desk.steps(run_id)["1"]
            before = desk.windows(run_id)[BudgetUnit.USD].settled
            left = replace(step, state=StepState.STARTED, finished_at=None)
            change = PutStep(step=left, expect=frozenset(StepState))
            desk.do(desk.runner.services.writer.commit(Proposal(tenant=parked.run.tenant, changes=(change,))))

            again = desk.do(desk.runner.resume(run_id))

            assert isinstance(again, Parked)
            assert len(model.requests) == 2
            windows = desk.windows(run_id)
            assert windows[BudgetUnit.MODEL_CALLS].settled == 1
            assert windows[BudgetUnit.USD].settled == 2 * before
            assert [leaf["outcome"] for leaf in desk.leaves(run_id, "model.answered")] == ["ok", "unknown", "ok"]


def test_a_run_that_someone_advances_is_left_to_them(tmp_path: Path) -> None:
    write_desk(tmp_path, WRITES)
    with open_desk(tmp_path) as desk:
        desk.mood("send_letter", "after:raise")
        parked = desk.start(order_id="W00001")
        with desk.runner.services.claims.claim(parked.run.run_id) as is_ours:
            busy = desk.do(desk.runner.resume(parked.run.run_id))

        assert is_ours
        assert isinstance(busy, Busy)


def test_an_ended_run_stays_ended(tmp_path: Path) -> None:
    write_desk(tmp_path, WRITES)
    with open_desk(tmp_path) as desk:
        done = ended(desk.start(order_id="W00001"))
        entries = len(desk.leaves(done.run.run_id))

        again = ended(desk.do(desk.runner.resume(done.run.run_id)))

        assert again.run.outcome is RunOutcome.SUCCESS
        assert len(desk.leaves(done.run.run_id)) == entries
        assert {step.kind for step in desk.steps(done.run.run_id).values()} == {StepKind.TOOL}

"""Kind `agent`: model and tools in a loop, until the model is done or something stops it."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import pytest

from leverframe.domain.budgets import BudgetUnit
from leverframe.domain.ids import StepPath
from leverframe.domain.json import JsonObject
from leverframe.domain.runs import RunOutcome, RunState, StepKind, StepState
from leverframe.runtime.loops.ending import Advanced, Ended, Parked
from leverframe.runtime.outcomes import HeldBack
from leverframe.testing import ScriptedModel, say, stumble, use_tool
from leverframe.testing.scripted_model import Line
from tests.door_desk import CONTRACT, PROJECT_FILE, Desk, open_desk, write_desk

AGENT_CONTRACT = CONTRACT + "fallback: {handoff: 'queue:tier2', say: A colleague takes this over.}\n"
LOOK: JsonObject = {"order_id": "W00001"}
SMALL: JsonObject = {"order_id": "W00001", "amount_usd": 20}
LARGE: JsonObject = {"order_id": "W00001", "amount_usd": 60}


def project(*urls: str, model: str = "gpt-4o-mini") -> str:
    """A project whose tier asks these vendors in order."""
    providers = "".join(f"  v{n}: {{wire: openai, url: '{url}', private: allowed}}\n" for n, url in enumerate(urls))
    tier = ", ".join(f"v{n}/{model}" for n in range(len(urls)))
    return f"{PROJECT_FILE}providers:\n{providers}models: {{fast: [{tier}]}}\n"


@contextmanager
def playing(
    folder: Path, *lines: Line, contract: str = AGENT_CONTRACT, files: Mapping[str, str] | None = None
) -> Iterator[tuple[Desk, ScriptedModel]]:
    with ScriptedModel(*lines) as model:
        write_desk(folder, contract, project=project(model.url), **(files or {}))
        with open_desk(folder) as desk:
            yield desk, model


def budget(text: str) -> str:
    return AGENT_CONTRACT.replace("budget: {max_tool_calls: 40}", f"budget: {{{text}}}")


def held(advanced: Advanced) -> HeldBack:
    """The call that a run waits for."""
    assert isinstance(advanced, Parked), advanced
    assert advanced.approval_id is not None
    return HeldBack(path=StepPath(""), approval_id=advanced.approval_id, reasons=(), message="")


def tool_answers(model: ScriptedModel) -> list[str]:
    """What the model was told of its tool calls, in its last request."""
    messages = model.requests[-1]["messages"]
    assert isinstance(messages, list)
    return [str(one["content"]) for one in messages if isinstance(one, dict) and one["role"] == "tool"]


def ended(advanced: Advanced) -> Ended:
    assert isinstance(advanced, Ended), advanced
    return advanced


def test_the_model_asks_for_tools_and_its_last_words_are_the_output(tmp_path: Path) -> None:
    with playing(tmp_path, use_tool("look_up", LOOK), use_tool("issue_refund", SMALL), say("Done.")) as (desk, model):
        done = ended(desk.start(message="refund W00001"))

        assert (done.run.outcome, done.output) == (RunOutcome.SUCCESS, "Done.")
        assert desk.effects() == {"issue_refund": 1}
        assert [step.path for step in desk.steps(done.run.run_id).values() if step.kind is not StepKind.FACT] == [
            "0",
            "0.0",
            "1",
            "1.0",
            "2",
        ]
        assert '"order_id":"W00001"' in tool_answers(model)[0]


def test_several_tools_of_one_answer_are_asked_in_order_and_each_is_answered(tmp_path: Path) -> None:
    calls = (
        ("look_up", '{"order_id":"W00001"}'),
        ("no_such_tool", "{}"),
        ("issue_refund", '{"order_id":"W00001","amount_usd":20}'),
    )
    with playing(tmp_path, Line(tool_calls=calls), say("Done.")) as (desk, model):
        done = ended(desk.start())

        assert done.run.outcome is RunOutcome.SUCCESS
        states = {path: step.state for path, step in desk.steps(done.run.run_id).items() if path.count(".") == 1}
        assert (states["0.0"], states["0.1"], states["0.2"]) == (StepState.OK, StepState.DENIED, StepState.OK)
        answers = tool_answers(model)
        assert len(answers) == 3
        assert "unknown-tool" in answers[1]


@pytest.mark.parametrize("written", ["", "not json", "[1]", '{"order_id": 5}', '{"a":1,"a":2}'])
def test_arguments_that_a_model_wrote_wrong_are_told_to_it_and_nothing_runs(tmp_path: Path, written: str) -> None:
    with playing(tmp_path, use_tool("issue_refund", written), say("I give up.")) as (desk, model):
        done = ended(desk.start())

        assert done.run.outcome is RunOutcome.SUCCESS
        assert desk.effects() == {}
        assert "invalid-arguments" in str(model.requests[-1])


def test_a_held_call_parks_the_run_and_the_grant_lets_it_go_on_to_the_end(tmp_path: Path) -> None:
    with playing(tmp_path, use_tool("issue_refund", LARGE), say("Refunded.")) as (desk, model):
        parked = desk.start()
        assert isinstance(parked, Parked)
        assert desk.run_row(parked.run.run_id).state is RunState.PARKED
        still = desk.do(desk.runner.resume(parked.run.run_id))
        assert isinstance(still, Parked)

        desk.grant(held(parked))
        done = ended(desk.do(desk.runner.resume(parked.run.run_id)))

        assert (done.run.outcome, done.output) == (RunOutcome.SUCCESS, "Refunded.")
        assert desk.effects() == {"issue_refund": 1}
        assert len(model.requests) == 2


def test_a_denied_call_never_runs_and_the_model_is_told(tmp_path: Path) -> None:
    with playing(tmp_path, use_tool("issue_refund", LARGE), say("Then not.")) as (desk, model):
        parked = desk.start()
        assert isinstance(parked, Parked)
        desk.deny(held(parked), reason="too much")

        done = ended(desk.do(desk.runner.resume(parked.run.run_id)))

        assert done.output == "Then not."
        assert "too much" in str(model.requests[-1])
        assert desk.effects() == {}


def test_nobody_answers_and_the_run_goes_on_with_a_denial(tmp_path: Path) -> None:
    with playing(tmp_path, use_tool("issue_refund", LARGE), say("Nobody answered.")) as (desk, model):
        parked = desk.start()
        desk.clock.advance(30 * 60)

        done = ended(desk.do(desk.runner.resume(parked.run.run_id)))

        assert done.run.outcome is RunOutcome.SUCCESS
        assert "approval-expired" in str(model.requests[-1])
        assert desk.effects() == {}


def test_a_write_of_which_nobody_knows_parks_the_run(tmp_path: Path) -> None:
    with playing(tmp_path, use_tool("send_letter", LOOK), say("Sent.")) as (desk, model):
        desk.mood("send_letter", "after:raise")

        parked = desk.start()
        again = desk.do(desk.runner.resume(parked.run.run_id))

        assert isinstance(parked, Parked)
        assert isinstance(again, Parked)
        assert (parked.approval_id, again.run.stop_reason) == (None, "effect-unknown")
        assert desk.effects() == {"send_letter": 1}
        assert len(model.requests) == 1


@pytest.mark.parametrize(("said", "complaint"), [("no json", "not JSON"), ('{"kind": 5}', "breaks `output:`")])
def test_an_output_that_breaks_its_schema_ends_by_the_fallback(tmp_path: Path, said: str, complaint: str) -> None:
    contract = AGENT_CONTRACT + "output: {type: object, required: [kind], properties: {kind: {type: string}}}\n"
    with playing(tmp_path, say(said), contract=contract) as (desk, _):
        done = ended(desk.start())

        assert (done.run.outcome, done.run.stop_reason) == (RunOutcome.HANDOFF, "invalid_output")
        assert done.run.handoff_queue == "tier2"
        assert complaint in str(done.output)


def test_an_output_that_fits_its_schema_is_typed(tmp_path: Path) -> None:
    contract = AGENT_CONTRACT + "output: {type: object, required: [kind]}\n"
    with playing(tmp_path, say('{"kind": "refund"}'), contract=contract) as (desk, _):
        assert ended(desk.start()).output == {"kind": "refund"}


def test_a_model_that_fails_hands_over_to_the_next_of_its_tier_and_counts_once(tmp_path: Path) -> None:
    with ScriptedModel(stumble(500)) as broken, ScriptedModel(say("From the second.")) as second:
        write_desk(tmp_path, budget("max_model_calls: 1"), project=project(broken.url, second.url))
        with open_desk(tmp_path) as desk:
            done = ended(desk.start())

            assert done.output == "From the second."
            windows = desk.windows(done.run.run_id)
            assert windows[BudgetUnit.MODEL_CALLS].settled == windows[BudgetUnit.STEPS].settled == 1


def test_a_limit_of_the_next_model_of_a_tier_counts_a_call_that_is_handed_over_to_it(tmp_path: Path) -> None:
    shared = "budgets: [{tenant: default, model: v1, window: total, max_model_calls: 1}]\n"
    with ScriptedModel(stumble(500)) as broken, ScriptedModel(say("From the second.")) as second:
        write_desk(tmp_path, AGENT_CONTRACT, project=project(broken.url, second.url) + shared)
        with open_desk(tmp_path) as desk:
            first, next_one = ended(desk.start()), ended(desk.start())

            assert first.output == "From the second."
            assert next_one.run.outcome is RunOutcome.HANDOFF
            assert len(second.requests) == 1


def test_no_model_answers_and_the_run_ends_by_its_fallback(tmp_path: Path) -> None:
    with playing(tmp_path, stumble(500)) as (desk, _):
        done = ended(desk.start())

        assert (done.run.outcome, done.run.stop_reason) == (RunOutcome.HANDOFF, "model-5xx")
        assert all(window.reserved == 0 for window in desk.windows(done.run.run_id).values())


def test_a_model_without_a_price_is_refused_before_anything_is_sent(tmp_path: Path) -> None:
    providers = "providers: {v0: {wire: openai, url: 'https://models.example.com/v1'}}\nmodels: {fast: [v0/nobody-1]}\n"
    write_desk(tmp_path, AGENT_CONTRACT, project=PROJECT_FILE + providers)
    with open_desk(tmp_path) as desk:
        done = ended(desk.start())

        assert (done.run.outcome, done.run.stop_reason) == (RunOutcome.FAILED, "model-unpriced")
        assert "unpriced" in str(done.output)
        assert desk.windows(done.run.run_id)[BudgetUnit.USD].settled == 0


def test_a_resumed_run_takes_recorded_answers_from_its_journal(tmp_path: Path) -> None:
    with playing(tmp_path, use_tool("look_up", LOOK), use_tool("issue_refund", LARGE), say("Done.")) as (desk, model):
        parked = desk.start()
        assert isinstance(parked, Parked)
        asked, reads = len(model.requests), desk.reads()["look_up"]

        desk.do(desk.runner.resume(parked.run.run_id))

        assert len(model.requests) == asked == 2
        assert desk.reads()["look_up"] == reads

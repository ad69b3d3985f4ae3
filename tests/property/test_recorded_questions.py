"""A question that is recorded and read back decides alike, whatever it holds (invariant I9)."""

from dataclasses import replace

from hypothesis import assume, given, settings
from hypothesis import strategies as st

from leverframe.core.canonical import decode, encode
from leverframe.core.policy import Asker, CompiledPolicy, ModelQuestion, Question, decide, needed_history
from leverframe.core.policy.recorded import (
    NotRecordedError,
    model_question_json,
    question_json,
    reason_json,
    recorded_model_question,
    recorded_question,
)
from leverframe.domain.budgets import BudgetUnit
from leverframe.domain.errors import JsonInvalid
from leverframe.domain.json import Json, JsonObject
from leverframe.domain.policy import Decision, Fact, Known
from tests.policy_samples import RUN, window
from tests.property.policy_strategies import KILL, policies, questions


def as_the_door_asks(question: Question, policy: CompiledPolicy) -> Question:
    """The door looks every query up that the conditions ask, and none for its own reads or off schema."""
    is_decided_early = question.spec is None or question.closed is not None or bool(question.schema_error)
    is_asking = not is_decided_early and question.asker is not Asker.DOOR
    queries = needed_history(policy, question.tool, question.args, question.facts, question.run) if is_asking else ()
    return replace(question, history={query: question.history.get(query) for query in queries})


def as_the_door_records(question: Question) -> JsonObject:
    """The disclosure of a decision, as it is read back from its bytes."""
    envelope: Json = None
    if question.spec is not None:
        envelope = {"args": question.args, "facts": {name: _fact(fact) for name, fact in question.facts.items()}}
    recorded: dict[str, Json] = {
        "tool": question.tool,
        "envelope": envelope,
        "args": question.args if envelope is None else None,
        **question_json(question),
    }
    try:
        value = decode(encode(recorded))
    except JsonInvalid:
        value = None
    # What is no JSON never comes through the door.
    assume(isinstance(value, dict))
    assert isinstance(value, dict)
    return value


def _fact(fact: Fact) -> Json:
    # A fact of a hostile test may be anything; one that is no JSON is assumed away with the rest.
    return {"value": fact.value} if isinstance(fact, Known) else {"unreadable": fact.why}  # type: ignore[dict-item]


def told(decision: Decision) -> list[Json]:
    return [type(decision).__name__, *(reason_json(one) for one in decision.reasons)]


@settings(max_examples=200)
@given(st.data())
def test_a_recorded_question_decides_alike(data: st.DataObject) -> None:
    policy, _ = data.draw(policies())
    question = as_the_door_asks(data.draw(questions(policy)), policy)

    again = recorded_question(as_the_door_records(question), question.run, question.spec, policy)

    assert told(decide(again, policy)) == told(decide(question, policy))


@given(st.data())
def test_a_record_without_one_of_its_inputs_is_never_guessed(data: st.DataObject) -> None:
    policy, _ = data.draw(policies())
    question = as_the_door_asks(data.draw(questions(policy)), policy)
    recorded = as_the_door_records(question)
    missing = data.draw(st.sampled_from(sorted(recorded.keys() - {"args", "fact_labels", "envelope"})))

    cut = {name: value for name, value in recorded.items() if name != missing}

    try:
        recorded_question(cut, question.run, question.spec, policy)
    except NotRecordedError:
        return
    raise AssertionError(missing)


@given(st.integers(0, 5), st.integers(0, 5), st.integers(0, 10))
def test_a_recorded_model_question_is_the_same(settled: int, reserved: int, asked: int) -> None:
    question = ModelQuestion(
        model="openai/gpt-5-mini",
        run=RUN,
        windows=(window(BudgetUnit.MODEL_CALLS, 8, settled=settled, reserved=reserved),),
        cost={BudgetUnit.MODEL_CALLS: asked},
        killed=KILL if settled == asked else None,
    )

    value = decode(encode(model_question_json(question)))

    assert isinstance(value, dict)
    assert recorded_model_question(value, RUN) == question

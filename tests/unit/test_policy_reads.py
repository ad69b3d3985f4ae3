"""What a decision asks the door to read: facts, history, labels, and the door's own reads."""

from decimal import Decimal

import pytest

from leverframe.core.policy import (
    Asker,
    CompiledPolicy,
    ModelQuestion,
    decide,
    history_still_allows,
    needed_facts,
    needed_history,
    once_per_values,
)
from leverframe.domain.budgets import BudgetUnit
from leverframe.domain.conditions import HistoryQuery
from leverframe.domain.contracts import FactSpec, PythonFact, ToolFact
from leverframe.domain.ids import ToolName
from leverframe.domain.labels import UNTRACED
from leverframe.domain.policy import Allow, Decision, Deny, Hold, Then, Unreadable
from leverframe.domain.records import replace
from leverframe.domain.tools import EffectClass, OncePer, PythonOrigin, Reconcile
from tests.policy_samples import (
    DRAFT,
    LOOKUP,
    REFUND,
    REFUND_SPEC,
    RUN,
    TOOLS,
    USER,
    ask,
    at,
    known,
    policy,
    refund,
    row,
    rule,
    tool,
    window,
)

ONCE = replace(REFUND_SPEC, once_per=OncePer(keys=("order_id", "facts.order.payment"), within_s=86_400))
ONE_CALL = {BudgetUnit.TOOL_CALLS: 1, BudgetUnit.STEPS: 1, BudgetUnit.USD: 2_000}


def rules(decision: Decision) -> list[str]:
    return [reason.rule for reason in decision.reasons]


def test_a_business_act_is_named_by_arguments_and_facts_in_one_spelling() -> None:
    facts = {"order": known({"payment": Decimal("50.00")})}

    values = once_per_values(ONCE, {"order_id": " #W1 "}, facts)

    assert values == {"order_id": "#W1", "facts.order.payment": 50}


def test_an_act_whose_fact_is_not_known_has_no_name() -> None:
    assert once_per_values(ONCE, {"order_id": "#W1"}, {"order": Unreadable(why="timeout")}) is None
    assert once_per_values(ONCE, {"order_id": "#W1"}, {}) is None
    assert once_per_values(REFUND_SPEC, {"order_id": "#W1"}, {}) is None


def test_an_absent_argument_is_a_part_of_the_act_as_well() -> None:
    spec = replace(REFUND_SPEC, once_per=OncePer(keys=("order_id", "note"), within_s=60))

    assert once_per_values(spec, {"order_id": "#W1"}, {}) == {"order_id": "#W1", "note": None}


FACTS: dict[str, FactSpec] = {
    "order": ToolFact(name="order", tool=LOOKUP, args={"order_id": "args.order_id"}, source=at(20)),
    "value": PythonFact(
        name="value", function=PythonOrigin(file="facts.py", function="value"), of=("facts.order",), source=at(21)
    ),
    "unused": ToolFact(name="unused", tool=LOOKUP, args={}, source=at(22)),
}


def test_the_door_reads_only_the_facts_that_the_tool_needs_each_after_what_it_rests_on() -> None:
    spec = replace(REFUND_SPEC, amount_fact="facts.value")
    compiled = policy(
        rule("drafts", Then.DENY, "facts.unused.x == 1", tools=(DRAFT,)),
        rows=(row(),),
        tools={**TOOLS, REFUND: spec},
        facts=FACTS,
    )

    assert needed_facts(compiled, REFUND) == ("order", "value")
    assert needed_facts(compiled, DRAFT) == ("unused",)
    assert needed_facts(compiled, LOOKUP) == ()


def test_facts_are_needed_for_once_per_and_for_labels_too() -> None:
    spec = replace(ONCE, amount_fact="facts.value")
    compiled = policy(
        rule("trusted", Then.HOLD, 'integrity(facts.unused) < "user"'), tools={**TOOLS, REFUND: spec}, facts=FACTS
    )

    assert needed_facts(compiled, REFUND) == ("order", "unused")


def test_facts_that_rest_on_each_other_in_a_circle_are_refused() -> None:
    function = PythonOrigin(file="facts.py", function="f")
    circle = {
        name: PythonFact(name=name, function=function, of=(f"facts.{other}",), source=at(20))
        for name, other in (("a", "b"), ("b", "a"))
    }

    with pytest.raises(ValueError, match="a -> b -> a"):
        policy(rule("r", Then.DENY, "facts.a == 1"), facts=circle)


VELOCITY = 'history.sum("issue_refund", "amount_usd", "24h", "subject") + args.amount_usd > 200'
QUERY = HistoryQuery(kind="sum", tool="issue_refund", window_s=86_400, scope="subject", arg="amount_usd")


def test_history_is_asked_for_once_and_decides() -> None:
    compiled = policy(rule("velocity", Then.HOLD, VELOCITY), rule("velocity-2", Then.HOLD, VELOCITY))
    question = refund(60)

    asked = needed_history(compiled, REFUND, question.args, {}, RUN)

    assert asked == (QUERY,)
    assert isinstance(decide(replace(question, history={QUERY: 140}), compiled), Allow)
    assert isinstance(decide(replace(question, history={QUERY: Decimal("140.01")}), compiled), Hold)
    assert isinstance(decide(question, compiled), Hold)
    assert needed_history(compiled, LOOKUP, {}, {}, RUN) == ()


def test_the_guard_asks_the_new_history() -> None:
    compiled = policy(rule("velocity", Then.HOLD, VELOCITY))
    question = replace(refund(60), history={QUERY: 0})

    assert history_still_allows(question, compiled, {QUERY: 140})
    assert not history_still_allows(question, compiled, {QUERY: 141})
    assert not history_still_allows(question, compiled, {})


def test_rules_read_the_labels_of_arguments_and_facts() -> None:
    compiled = policy(
        rule("untraced", Then.HOLD, 'integrity(args.order_id) < "tenant-record"'),
        rule("foreign-fact", Then.DENY, 'integrity(facts.order) == "third-party"'),
    )
    question = replace(refund(), facts={"order": known({})})

    assert isinstance(decide(replace(question, arg_labels={"order_id": USER}), compiled), Allow)
    assert isinstance(decide(replace(question, arg_labels={"order_id": UNTRACED}), compiled), Hold)
    foreign = replace(question, arg_labels={"order_id": USER}, facts={"order": known({}, UNTRACED)})
    assert isinstance(decide(foreign, compiled), Deny)


def own_reads_policy() -> CompiledPolicy:
    spec = replace(REFUND_SPEC, reconcile=Reconcile(tool=DRAFT))
    tools = {**TOOLS, REFUND: spec, DRAFT: tool(DRAFT, EffectClass.IDEMPOTENT)}
    return policy(
        rule("never", Then.DENY, tools=(LOOKUP,)), allow=(REFUND,), tools=tools, facts={"order": FACTS["order"]}
    )


def test_the_doors_own_read_stands_outside_the_agents_rules_and_counts() -> None:
    windows = (window(BudgetUnit.TOOL_CALLS, 1, settled=1), window(BudgetUnit.USD, 2_000))
    question = replace(ask(LOOKUP), asker=Asker.DOOR, windows=windows, cost=ONE_CALL)

    decision = decide(question, own_reads_policy())

    assert isinstance(decision, Allow)
    assert rules(decision) == ["own-read"]
    assert [(part.unit, part.amount) for part in decision.reserves] == [("usd", 2_000)]


@pytest.mark.parametrize("name", [REFUND, DRAFT])
def test_the_door_reads_nothing_that_is_undeclared_or_writes(name: ToolName) -> None:
    question = replace(ask(name), asker=Asker.DOOR)

    assert rules(decide(question, own_reads_policy())) == ["not-an-own-read"]


def test_the_doors_own_read_is_bounded_by_money() -> None:
    question = replace(ask(LOOKUP), asker=Asker.DOOR, windows=(window(BudgetUnit.USD, 1_999),), cost=ONE_CALL)

    decision = decide(question, own_reads_policy())

    assert isinstance(decision, Deny)
    assert decision.stops_run


@pytest.mark.parametrize(("cost", "stops"), [({BudgetUnit.USD: 0}, ""), (ONE_CALL, "max_steps 3")])
def test_a_denied_call_stops_a_run_without_steps_only_where_it_counts_as_one(
    cost: dict[BudgetUnit, int], stops: str
) -> None:
    """The door's own read, and a granted call that is asked again, are no step of the agent's."""
    full = (window(BudgetUnit.STEPS, 3, settled=3, key="max_steps"),)
    question = replace(ask(DRAFT), windows=full, cost=cost)

    decision = decide(question, own_reads_policy())

    assert isinstance(decision, Deny)
    assert decision.stops_run == stops


def test_a_model_call_is_bounded_by_the_contract_and_its_budgets() -> None:
    cost = {BudgetUnit.MODEL_CALLS: 1, BudgetUnit.OUTPUT_TOKENS: 300}
    windows = (window(BudgetUnit.MODEL_CALLS, 8), window(BudgetUnit.OUTPUT_TOKENS, 300))
    question = ModelQuestion(model="local/smollm2", run=RUN, windows=windows, cost=cost)

    allowed = decide(question, policy())
    over = decide(replace(question, cost={**cost, BudgetUnit.OUTPUT_TOKENS: 301}), policy())

    assert isinstance(allowed, Allow)
    assert [(part.unit, part.amount) for part in allowed.reserves] == [("model_calls", 1), ("output_tokens", 300)]
    assert isinstance(over, Deny)
    assert over.stops_run == "max_output_tokens 300"
    assert rules(decide(question, policy(has_models=False))) == ["no-models"]

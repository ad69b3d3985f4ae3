"""What the sentences of "Meaning, where it matters" (docs/reference/contract.md) come to, one by one."""

from dataclasses import replace
from decimal import Decimal

import pytest

from leverframe.core.policy import GrantedApproval, decide
from leverframe.core.policy.compiled import CompiledPolicy
from leverframe.domain.ids import ApprovalId, RuleId, ToolName
from leverframe.domain.policy import Allow, Decision, Deny, Fact, Hold, Then, Unreadable
from leverframe.domain.tools import ArgRole, ArgSpec, EffectClass
from tests.policy_samples import (
    DRAFT,
    LOOKUP,
    REFUND,
    REFUND_SPEC,
    TOOLS,
    ask,
    known,
    policy,
    refund,
    row,
    rule,
    seed_policy,
    tool,
)


def word(decision: Decision) -> str:
    return type(decision).__name__.lower()


def rules(decision: Decision) -> list[str]:
    return [reason.rule for reason in decision.reasons]


@pytest.mark.parametrize(
    ("name", "expected", "by"),
    [
        (LOOKUP, "allow", "allow_tools"),
        (DRAFT, "allow", "allow_tools"),
        (REFUND, "hold", "issue_refund/approval"),
        (ToolName("delete_customer"), "deny", "unknown-tool"),
    ],
)
def test_the_seed_contract_allows_two_tools_and_holds_the_denied_one(name: ToolName, expected: str, by: str) -> None:
    decision = decide(ask(name), seed_policy())

    assert (word(decision), rules(decision)) == (expected, [by])


@pytest.mark.parametrize("amount", [0, 1, Decimal("49.99"), 50, 10**30, "fifty", None])
def test_a_threshold_on_a_denied_tool_changes_nothing(amount: object) -> None:
    assert isinstance(decide(refund(amount), seed_policy()), Hold)


@pytest.mark.parametrize("allow", [(LOOKUP, DRAFT), (LOOKUP, DRAFT, REFUND)])
def test_a_denied_tool_with_a_row_is_held_also_where_allow_tools_names_it(allow: tuple[ToolName, ...]) -> None:
    compiled = policy(allow=allow, deny=(REFUND,), rows=(row(),))

    assert isinstance(decide(refund(1), compiled), Hold)


def test_a_denied_tool_without_a_row_never_runs() -> None:
    decision = decide(refund(), policy(deny=(REFUND,)))

    assert isinstance(decision, Deny)
    assert str(decision.reasons[0].source) == "workflows/refund_request.yaml:11"


def test_a_hold_rule_does_not_count_as_a_row() -> None:
    decision = decide(refund(), policy(rule("ask-first", Then.HOLD), deny=(REFUND,)))

    assert rules(decision) == ["deny_tools"]


def test_a_row_alone_makes_nothing_callable() -> None:
    decision = decide(refund(), policy(allow=(LOOKUP,), rows=(row(),)))

    assert (word(decision), rules(decision)) == ("deny", ["not-allowed"])


@pytest.mark.parametrize(
    ("amount", "expected"),
    [
        (Decimal("49.99"), "allow"),
        (Decimal("49.999999999999999999999999999999999999"), "allow"),
        (49, "allow"),
        (50, "hold"),
        (Decimal("50.00"), "hold"),
        (Decimal("50.01"), "hold"),
        (10**400, "hold"),
        (Decimal("1E+999999"), "hold"),
        (Decimal("1E-999999"), "allow"),
    ],
)
def test_a_tool_with_a_threshold_runs_below_it_and_is_held_at_or_above_it(amount: object, expected: str) -> None:
    assert word(decide(refund(amount), seed_policy(allow_refund=True))) == expected


@pytest.mark.parametrize("amount", [None, "40", True, [40], {"usd": 40}, Decimal("NaN"), Decimal("sNaN"), 0.5])
def test_an_amount_that_is_no_number_is_held_as_unknown(amount: object) -> None:
    decision = decide(refund(amount), seed_policy(allow_refund=True))

    assert isinstance(decision, Hold)
    assert decision.reasons[0].is_unknown


def test_an_absent_amount_is_held_as_unknown() -> None:
    decision = decide(ask(REFUND, order_id="#W0000001"), seed_policy(allow_refund=True))

    assert isinstance(decision, Hold)
    assert "args.amount_usd is not there" in decision.reasons[0].text


def priced(**arg: str) -> CompiledPolicy:
    spec = replace(REFUND_SPEC, args={"amount_usd": ArgSpec(role=ArgRole.AMOUNT, **arg)})  # type: ignore[arg-type]  # text fields only
    return policy(rows=(row(),), tools={**TOOLS, REFUND: spec})


@pytest.mark.parametrize("amount", [1, 50, Decimal("10000.00")])
def test_another_currency_is_held_and_never_compared(amount: object) -> None:
    decision = decide(refund(amount), priced(currency="EUR"))

    assert isinstance(decision, Hold)
    assert decision.reasons[0].is_unknown
    assert "EUR" in decision.reasons[0].text


@pytest.mark.parametrize(
    ("amount", "expected"), [(4999, "allow"), (Decimal("4999.99"), "allow"), (5000, "hold"), (5001, "hold")]
)
def test_a_minor_unit_counts_cents(amount: object, expected: str) -> None:
    assert word(decide(refund(amount), priced(unit="minor"))) == expected


@pytest.mark.parametrize(
    ("facts", "expected"),
    [
        ({"value": known(Decimal("49.99"))}, "allow"),
        ({"value": known(50)}, "hold"),
        ({"value": known("50")}, "hold"),
        ({"value": Unreadable(why="the shop is down")}, "hold"),
        ({}, "hold"),
    ],
)
def test_a_threshold_reads_the_fact_that_the_spec_names(facts: dict[str, Fact], expected: str) -> None:
    spec = tool(REFUND, EffectClass.RECONCILABLE, amount_fact="facts.value")
    compiled = policy(rows=(row(),), tools={**TOOLS, REFUND: spec})

    decision = decide(replace(ask(REFUND, spec), facts=facts), compiled)

    assert word(decision) == expected


def test_a_tool_without_any_amount_is_held_whatever_the_threshold() -> None:
    compiled = policy(rows=(row("1000000"),), tools={**TOOLS, REFUND: tool(REFUND, EffectClass.KEYED)})

    assert isinstance(decide(refund(1), compiled), Hold)


@pytest.mark.parametrize(
    ("thens", "expected"),
    [
        ((Then.DENY, Then.HOLD, Then.ALLOW), "deny"),
        ((Then.HOLD, Then.ALLOW), "hold"),
        ((Then.ALLOW,), "allow"),
        ((), "allow"),
    ],
)
def test_deny_beats_hold_beats_allow(thens: tuple[Then, ...], expected: str) -> None:
    every = [rule(f"r-{then.value}", then, "args.amount_usd > 1") for then in thens]

    assert word(decide(refund(), policy(*every))) == expected


def test_allow_rules_only_select_within_allow_tools() -> None:
    small = rule("small", Then.ALLOW, "args.amount_usd < 10")

    assert word(decide(refund(5), policy(small))) == "allow"
    assert rules(decide(refund(15), policy(small))) == ["no-allow-rule"]
    assert rules(decide(refund(5), policy(small, allow=(LOOKUP,)))) == ["not-allowed"]
    assert word(decide(ask(LOOKUP), policy(small))) == "allow"


def test_a_hold_beats_the_default_and_its_grant_stands_in_for_the_allow_rule() -> None:
    compiled = policy(
        rule("small", Then.ALLOW, "args.amount_usd < 10"), rule("large", Then.HOLD, "args.amount_usd > 100")
    )

    held = decide(refund(200), compiled)
    assert rules(held) == ["large", "no-allow-rule"]

    granted = GrantedApproval(approval_id=ApprovalId("apr_1"), rules=frozenset(reason.rule for reason in held.reasons))
    assert isinstance(decide(replace(refund(200), granted=granted), compiled), Allow)
    assert word(decide(refund(50), compiled)) == "deny"


UNKNOWN = "facts.order.customer_id != run.subject"


@pytest.mark.parametrize(
    ("then", "expected", "by"),
    [(Then.DENY, "deny", "r"), (Then.HOLD, "hold", "r"), (Then.ALLOW, "deny", "no-allow-rule")],
)
def test_unknown_never_allows_and_always_denies_or_holds(then: Then, expected: str, by: str) -> None:
    decision = decide(refund(), policy(rule("r", then, UNKNOWN)))

    assert (word(decision), rules(decision)) == (expected, [by])


def test_a_run_may_touch_only_its_own_customers_orders() -> None:
    own = replace(rule("own-orders-only", Then.DENY, UNKNOWN), reason="A run may touch only its own customer's orders.")

    foreign = decide(replace(refund(), facts={"order": known({"customer_id": "c_2"})}), policy(own))
    mine = decide(replace(refund(), facts={"order": known({"customer_id": "c_1"})}), policy(own))

    assert foreign.reasons[0].text == (
        "A run may touch only its own customer's orders: facts.order.customer_id is 'c_2', run.subject is 'c_1'"
    )
    assert str(foreign.reasons[0].source) == "workflows/refund_request.yaml:31"
    assert isinstance(mine, Allow)


def test_a_fact_that_could_not_be_read_says_why() -> None:
    question = replace(refund(), facts={"order": Unreadable(why="lookup_order timed out")})

    decision = decide(question, policy(rule("own", Then.DENY, UNKNOWN)))

    assert decision.reasons[0].is_unknown
    assert "facts.order could not be read (lookup_order timed out)" in decision.reasons[0].text


def test_a_run_without_a_subject_does_not_own_anything() -> None:
    question = replace(refund(), facts={"order": known({"customer_id": "c_1"})})
    question = replace(question, run=replace(question.run, subject=None))

    assert isinstance(decide(question, policy(rule("own", Then.DENY, UNKNOWN))), Deny)


@pytest.mark.parametrize(
    ("rule_tools", "effects", "expected"),
    [
        ((), {"keyed"}, "deny"),
        ((), {"read"}, "allow"),
        ((REFUND,), {"read"}, "allow"),
        ((REFUND,), {"keyed", "read"}, "deny"),
        ((), set(), "deny"),
    ],
)
def test_a_rule_speaks_about_the_tools_and_effects_that_it_names(
    rule_tools: tuple[ToolName, ...], effects: set[str], expected: str
) -> None:
    each = replace(rule("r", Then.DENY, tools=rule_tools), effects=frozenset(effects))

    assert word(decide(refund(), policy(each))) == expected


def test_the_ignored_threshold_is_kept_with_its_line() -> None:
    (held,) = (test.rule for test in seed_policy().plans[REFUND].holds.tests)

    assert held.id == RuleId("issue_refund/approval")
    assert held.ignored is not None
    assert str(held.ignored.source) == "workflows/refund_request.yaml:14"
    assert "move issue_refund to allow_tools to let amounts below 50 through" in held.ignored.text

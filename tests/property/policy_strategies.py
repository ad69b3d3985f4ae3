"""Random policies, and questions that are hostile to them."""

from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any, TypeVar

from hypothesis import strategies as st

from leverframe.core.policy import (
    Asker,
    CompiledPolicy,
    GrantedApproval,
    Question,
    StickyDenial,
    compile_policy,
    needed_history,
)
from leverframe.domain.authority import KillScope, KillSwitch
from leverframe.domain.budgets import BudgetUnit, Window
from leverframe.domain.conditions import (
    And,
    Compare,
    CompareOp,
    Expr,
    In,
    Items,
    Level,
    Not,
    Number,
    Or,
    Path,
    StartsWith,
    Text,
)
from leverframe.domain.contracts import Provenance, ProvenanceRule, ProvenanceRules, ToolFact
from leverframe.domain.ids import ApprovalId, EnvironmentName, PrincipalId, RuleId, ToolName
from leverframe.domain.labels import Integrity
from leverframe.domain.pins import DRIFTED, Closed
from leverframe.domain.policy import ApprovalRequirement, Known, Rule, SourceRef, Then, Unreadable
from leverframe.domain.tools import ArgRole, ArgSpec, EffectClass, OncePer, ToolSpec
from tests.policy_samples import RUN, at, tool, window
from tests.property.condition_strategies import ANSWERS, CONDITIONS, HOSTILE, KEYS, LABELS, LEVEL_WORDS, VALUES
from tests.property.slow_policy import SlowPolicy

T = TypeVar("T")

NAMES = [ToolName(name) for name in ("refund", "read", "mail")]
OTHER = ToolName("not-in-the-contract")
FACT_NAMES = ["a", "b", "c"]
LIMITS = st.sampled_from([Decimal(0), Decimal("0.01"), Decimal(50), Decimal("49.99"), Decimal("1E+20")])
AMOUNTS = st.one_of(
    HOSTILE, st.sampled_from([0, 49, 50, 51, 4999, 5000, Decimal("49.99"), Decimal("50.00"), "50", "a", "ab", "abc"])
)


def often(first: T, *others: T) -> st.SearchStrategy[T]:
    """The first of these eight times as often as all others, so that most calls come as far as the rules."""
    return st.integers(0, 8).flatmap(lambda roll: st.sampled_from(others) if roll == 5 else st.just(first))


# Conditions that are often true or false, beside the wild ones that are mostly unknown.
TAME: st.SearchStrategy[Expr] = st.one_of(
    st.builds(
        lambda op, number: Compare(op=op, left=Path(root="args", keys=("amount",)), right=Number(value=number)),
        st.sampled_from(["<", ">=", "==", "!="]),
        st.sampled_from([0, 50, Decimal("49.99")]),
    ),
    st.builds(
        lambda op, word: Compare(op=op, left=Path(root="run", keys=("subject",)), right=Text(value=word)),
        st.sampled_from(["==", "!="]),
        st.sampled_from(["c_1", "c_2"]),
    ),
    st.builds(
        lambda name, word: Compare(
            op=">=", left=Level(kind="integrity", path=Path(root="args", keys=name)), right=Text(value=word)
        ),
        st.sampled_from([("amount",), ("a",), ("a", "b")]),
        LEVEL_WORDS,
    ),
)
# Conditions that a table can look up, on few fields: many rules meet in one table.
FIELDS = st.sampled_from([Path(root="args", keys=(name,)) for name in ("amount", "amount", "amount", "a")])
EQUAL_OPS: tuple[CompareOp, ...] = ("==", "!=")
ORDER_OPS: tuple[CompareOp, ...] = ("<", "<=", ">", ">=")
TABLE_WORDS = st.sampled_from(["", "a", "ab", "b", "50"])
TABLE_NUMBERS = st.sampled_from([-1, 0, 50, Decimal("50.0"), Decimal("49.99"), 10**40])
TABLE_VALUES = st.one_of(TABLE_NUMBERS, TABLE_WORDS, AMOUNTS)
EQUALS: st.SearchStrategy[Expr] = st.one_of(
    st.builds(lambda path, word: Compare(op="==", left=path, right=Text(value=word)), FIELDS, TABLE_WORDS),
    st.builds(lambda path, word: Compare(op="==", left=Text(value=word), right=path), FIELDS, TABLE_WORDS),
    st.builds(
        lambda path, words: In(item=path, container=Items(items=tuple(Text(value=word) for word in words))),
        FIELDS,
        st.lists(TABLE_WORDS, max_size=3),
    ),
)
PREFIXES: st.SearchStrategy[Expr] = st.builds(
    lambda path, word: StartsWith(subject=path, prefix=Text(value=word)), FIELDS, TABLE_WORDS
)
ORDERS: st.SearchStrategy[Expr] = st.one_of(
    st.builds(
        lambda op, path, limit: Compare(op=op, left=path, right=Number(value=limit)),
        st.sampled_from(ORDER_OPS),
        FIELDS,
        TABLE_NUMBERS,
    ),
    st.builds(
        lambda op, path, limit: Compare(op=op, left=Number(value=limit), right=path),
        st.sampled_from(ORDER_OPS),
        FIELDS,
        TABLE_NUMBERS,
    ),
)
NUMBER_EQUALS: st.SearchStrategy[Expr] = st.builds(
    lambda op, path, number: Compare(op=op, left=path, right=Number(value=number)),
    st.sampled_from(EQUAL_OPS),
    FIELDS,
    TABLE_NUMBERS,
)
NEGATED: st.SearchStrategy[Expr] = st.one_of(EQUALS, PREFIXES, ORDERS, NUMBER_EQUALS).map(
    lambda each: Not(operand=each)
)
GUARDED: st.SearchStrategy[Expr] = st.builds(
    lambda join, each, is_negated: (
        Not(operand=join(operands=tuple(each))) if is_negated else join(operands=tuple(each))
    ),
    st.sampled_from([And, Or]),
    st.lists(st.one_of(EQUALS, PREFIXES, ORDERS, NUMBER_EQUALS, NEGATED, TAME), min_size=2, max_size=3),
    st.booleans(),
)
# Mostly of one family, so that a table has enough rules to be built.
TABLE_CONDITIONS: st.SearchStrategy[list[Expr]] = st.sampled_from(
    [EQUALS, PREFIXES, ORDERS, NUMBER_EQUALS, NEGATED, GUARDED]
).flatmap(lambda family: st.lists(st.one_of(family, family, family, GUARDED), min_size=12, max_size=24))
REQUIREMENTS = st.builds(
    ApprovalRequirement,
    quorum=st.integers(1, 3),
    distinct_from=st.sampled_from([frozenset({"initiator"}), frozenset({"initiator", "launcher"})]),
    decide_within_s=st.sampled_from([60, 3_600]),
    execute_within_s=st.sampled_from([60, 3_600]),
    source=st.just(at(13)),
)


@st.composite
def rules(draw: st.DrawFn, conditions: st.SearchStrategy[Expr]) -> tuple[Rule, ...]:
    count = draw(st.integers(0, 6))
    found = []
    for index in range(count):
        then = draw(st.sampled_from(Then))
        found.append(
            Rule(
                id=RuleId(f"r{index}"),
                then=then,
                tools=draw(st.frozensets(st.sampled_from(NAMES), max_size=2)),
                source=SourceRef(file="w.yaml", line=index + 1),
                effects=draw(st.sampled_from([frozenset(), frozenset({"read"}), frozenset({"keyed", "irreversible"})])),
                when=draw(st.one_of(st.none(), TAME, TAME, conditions)),
                threshold_usd=draw(st.one_of(st.none(), LIMITS)),
                approval=draw(st.one_of(st.none(), REQUIREMENTS)) if then is Then.HOLD else None,
                only_narrows=draw(often(False, True)),
            )
        )
    return tuple(found)


@st.composite
def specs(draw: st.DrawFn, name: ToolName) -> ToolSpec:
    amount = ArgSpec(
        role=ArgRole.AMOUNT,
        currency=draw(st.sampled_from(["", "USD", "EUR"])),
        unit=draw(st.sampled_from(["major", "minor"])),
    )
    a = ArgSpec(role=draw(st.sampled_from(ArgRole)), accepts=draw(st.sampled_from(Integrity)))
    b = ArgSpec(role=draw(st.sampled_from([ArgRole.FREE_TEXT, ArgRole.RECIPIENT])))
    places = [{"amount": amount}, {"amount": amount, "a": ArgSpec(role=ArgRole.AMOUNT)}, {}, {"a": a, "b": b}]
    return tool(
        name,
        draw(st.sampled_from(EffectClass)),
        args=draw(st.sampled_from(places)),
        amount_fact=draw(st.sampled_from(["", "facts.a", "facts.b.a"])),
        environments=draw(
            often(frozenset(), frozenset({EnvironmentName("prod")}), frozenset({EnvironmentName("test")}))
        ),
        once_per=draw(st.sampled_from([None, OncePer(keys=("a",), within_s=60)])),
    )


@st.composite
def policies(draw: st.DrawFn, conditions: st.SearchStrategy[Expr] = CONDITIONS) -> tuple[CompiledPolicy, SlowPolicy]:
    """One policy, compiled, and as it was written."""
    tools = {name: draw(specs(name)) for name in NAMES}
    every = draw(rules(conditions))
    listed = {name: draw(often("allow", "allow", "held", "not")) for name in NAMES}
    allow = tuple(name for name, how in listed.items() if how == "allow")
    held = tuple(name for name, how in listed.items() if how == "held")
    fact = ToolFact(name="a", tool=NAMES[1], args={}, source=at(20))
    says = ProvenanceRules(written=draw(st.dictionaries(st.sampled_from(Provenance), SAYS)))
    fast = compile_policy(every, allow, tools, held_tools=held, facts={"a": fact}, provenance=says)
    slow = SlowPolicy(
        rules=every,
        allow_tools=allow,
        held_tools=held,
        tools=tools,
        own_reads=frozenset({NAMES[1]}),
        provenance=says,
    )
    return fast, slow


WINDOWS: st.SearchStrategy[tuple[Window, ...]] = st.lists(
    st.builds(
        lambda unit, limit, settled, reserved: window(unit, limit, settled=settled, reserved=reserved),
        st.sampled_from([BudgetUnit.TOOL_CALLS, BudgetUnit.USD, BudgetUnit.STEPS]),
        often(2**70, 0, 5, 100),
        st.integers(0, 4),
        st.integers(0, 4),
    ),
    max_size=3,
    unique_by=lambda each: each.unit,
).map(tuple)
COSTS: st.SearchStrategy[Mapping[BudgetUnit, int]] = st.dictionaries(
    st.sampled_from([BudgetUnit.TOOL_CALLS, BudgetUnit.USD, BudgetUnit.STEPS]), st.sampled_from([0, 1, 2, 2**64])
)
FACTS = st.dictionaries(
    st.sampled_from(FACT_NAMES),
    st.one_of(
        st.builds(lambda value, label: Known(value=value, label=label), st.one_of(AMOUNTS, VALUES), LABELS),
        st.just(Unreadable(why="timeout")),
    ),
)
KILL = KillSwitch(scope=KillScope.TOOL, name="a", by=PrincipalId("person:lena"), at=datetime(2030, 1, 1, tzinfo=UTC))
DENIALS = st.builds(
    lambda is_same_run: StickyDenial(
        approval_id=ApprovalId("apr_9"),
        denied_by=PrincipalId("person:lena"),
        denied_at=datetime(2030, 1, 1, tzinfo=UTC),
        is_same_run=is_same_run,
    ),
    st.booleans(),
)
BY_ORIGIN = [
    "untraced-recipient",
    "untraced-selector",
    "untraced-amount",
    "third-party-text",
    "third-party-link",
    "rule-of-two",
]
BY_NAME = ["r0", "r1", "r2", "r3", "once_per", "no-allow-rule", "denied-before/apr_9", "third-party-text"]
RULE_IDS = st.sampled_from(BY_NAME).map(RuleId)
EVERY_RULE = frozenset(map(RuleId, ["r0", "r1", "r2", "r3", "r4", "r5", "once_per", "no-allow-rule", *BY_ORIGIN]))
SAYS = st.sampled_from([ProvenanceRule(then=then) for then in (None, Then.HOLD, Then.DENY)])


# Any: what no parser would let through, floats and NaN included, comes in as well.
ARGS: st.SearchStrategy[Any] = st.builds(
    lambda some, amount: {**some, **amount},
    st.dictionaries(KEYS, VALUES, max_size=3),
    st.dictionaries(st.just("amount"), AMOUNTS),
)


@st.composite
def questions(draw: st.DrawFn, policy: CompiledPolicy) -> Question:
    name = draw(st.one_of(st.sampled_from(NAMES), often(*NAMES, OTHER)))
    plan = policy.plans.get(name)
    args = draw(ARGS)
    facts = draw(FACTS)
    run = replace(RUN, subject=draw(st.sampled_from([None, "c_1", "c_2"])), input=draw(st.dictionaries(KEYS, VALUES)))
    history = {
        query: draw(ANSWERS) for query in needed_history(policy, name, args, facts, run) if draw(st.integers(0, 4))
    }
    granted = st.builds(
        lambda ids: GrantedApproval(approval_id=ApprovalId("apr_1"), rules=ids),
        st.one_of(st.just(EVERY_RULE), st.frozensets(RULE_IDS)),
    )
    return Question(
        tool=name,
        spec=None if plan is None else plan.spec,
        args=args,
        run=run,
        schema_error=draw(often("", "/a: expected array, got string")),
        closed=draw(often(None, Closed(slug=DRIFTED, message="It has another description than reviewed."))),
        facts=facts,
        history=history,
        windows=draw(st.one_of(st.just(()), WINDOWS)),
        cost=draw(COSTS),
        arg_labels=draw(st.dictionaries(st.sampled_from(["a", "amount", "b"]), LABELS)),
        union=draw(st.one_of(st.none(), LABELS)),
        granted=draw(st.one_of(st.none(), granted)),
        once_per_seen=draw(often(False, True, None)),
        denied_before=draw(st.one_of(st.none(), st.none(), st.none(), DENIALS)),
        asker=draw(often(Asker.AGENT, Asker.REENTRY, Asker.DOOR)),
        killed=draw(often(None, None, None, KILL)),
        is_suspicious=draw(st.booleans()),
    )

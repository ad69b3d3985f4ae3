"""Laws of plans: without a person's word a plan only shrinks, and no tool is called more often than it ever had."""

from collections import Counter
from dataclasses import dataclass, field, replace

from hypothesis import given, settings
from hypothesis import strategies as st

from leverframe.core.policy import CompiledPolicy, GrantedApproval, Question, compile_policy, decide, needed_history
from leverframe.core.policy.plan_rules import PLAN_AFTER_UNTRUSTED, PLAN_WIDENS, planned_tools
from leverframe.core.policy.recorded import question_json, recorded_question
from leverframe.domain.ids import ApprovalId, RuleId, ToolName
from leverframe.domain.json import JsonObject
from leverframe.domain.labels import Integrity
from leverframe.domain.plans import DECLARE_PLAN, PlanState
from leverframe.domain.policy import Allow, Decision, SourceRef
from leverframe.domain.tools import BuiltIn, BuiltInOrigin, EffectClass
from tests.policy_samples import RUN, tool

NAMES = [ToolName(name) for name in ("read", "send", "drop")]
PLANS = st.dictionaries(st.sampled_from(NAMES), st.integers(0, 4))
MOVES = st.lists(
    st.one_of(
        st.tuples(st.just("declare"), PLANS),
        st.tuples(st.just("call"), st.sampled_from(NAMES)),
        st.tuples(st.just("read-untrusted"), st.none()),
    ),
    max_size=30,
)


def planned_policy() -> CompiledPolicy:
    tools = {name: tool(name, EffectClass.IRREVERSIBLE) for name in NAMES}
    tools[DECLARE_PLAN] = tool(DECLARE_PLAN, origin=BuiltInOrigin(name=BuiltIn.PLAN))
    return replace(compile_policy((), (*NAMES, DECLARE_PLAN), tools), plan=SourceRef(file="workflows/w.yaml", line=9))


POLICY = planned_policy()


@dataclass
class World:
    """A run as a journal would count it."""

    made: Counter[ToolName] = field(default_factory=Counter)
    plan: dict[ToolName, int] | None = None
    planner: Integrity = Integrity.USER

    def ask(self, name: ToolName, args: JsonObject, granted: frozenset[RuleId] = frozenset()) -> Decision:
        question = self.question(name, args)
        if granted:
            question = replace(question, granted=GrantedApproval(approval_id=ApprovalId("apr_1"), rules=granted))
        decision = decide(question, POLICY)
        if isinstance(decision, Allow):
            self.made[name] += 1
            if name == DECLARE_PLAN:
                self.plan = planned_tools(args)
        return decision

    def question(self, name: ToolName, args: JsonObject) -> Question:
        queries = needed_history(POLICY, name, args, {}, RUN)
        state = PlanState(tools=self.plan, planner=self.planner, declared=self.made[DECLARE_PLAN])
        return Question(
            tool=name,
            spec=POLICY.plans[name].spec,
            args=args,
            run=RUN,
            history={query: self.made[ToolName(query.tool)] for query in queries},
            plan=state,
        )


def spelled(plan: dict[ToolName, int]) -> JsonObject:
    return {"tools": {str(name): count for name, count in plan.items()}}


@settings(max_examples=300)
@given(MOVES)
def test_without_a_grant_a_plan_only_shrinks_and_bounds_every_call(moves: list[tuple[str, object]]) -> None:
    world = World()
    first: dict[ToolName, int] | None = None
    for move, what in moves:
        before = world.plan
        match move:
            case "declare" if isinstance(what, dict):
                world.ask(DECLARE_PLAN, spelled(what))
            case "call" if isinstance(what, str):
                world.ask(ToolName(what), {})
            case _:
                world.planner = Integrity.THIRD_PARTY
        if before is None and world.plan is not None:
            assert world.planner is not Integrity.THIRD_PARTY
            first = world.plan
        if before is not None:
            assert world.plan is not None
            assert all(count <= before.get(name, 0) for name, count in world.plan.items())
        assert all(world.made[name] <= (first or {}).get(name, 0) for name in NAMES)


@given(PLANS, PLANS)
def test_what_is_wider_in_one_tool_is_held_and_a_grant_of_that_rule_lets_it_through(
    old: dict[ToolName, int], new: dict[ToolName, int]
) -> None:
    world = World()
    world.ask(DECLARE_PLAN, spelled(old))

    decision = world.ask(DECLARE_PLAN, spelled(new))

    is_wider = any(count > old.get(name, 0) for name, count in new.items())
    assert isinstance(decision, Allow) != is_wider
    if is_wider:
        assert [reason.rule for reason in decision.reasons] == [PLAN_WIDENS]
        assert isinstance(world.ask(DECLARE_PLAN, spelled(new), frozenset({PLAN_WIDENS})), Allow)
        assert world.plan == planned_tools(spelled(new))


@given(PLANS)
def test_after_untrusted_text_no_first_plan_stands_by_itself(plan: dict[ToolName, int]) -> None:
    world = World(planner=Integrity.THIRD_PARTY)

    decision = world.ask(DECLARE_PLAN, spelled(plan))

    assert [reason.rule for reason in decision.reasons] == [PLAN_AFTER_UNTRUSTED]
    assert world.plan is None


@given(PLANS, st.sampled_from([*NAMES, DECLARE_PLAN]), st.sampled_from(list(Integrity)))
def test_a_declaration_in_between_is_noticed(plan: dict[ToolName, int], name: ToolName, planner: Integrity) -> None:
    world = World(planner=planner)
    world.ask(DECLARE_PLAN, spelled(plan))
    question = world.question(name, spelled({}))
    moved = {query: 7 if query.tool == DECLARE_PLAN else answer for query, answer in question.history.items()}

    assert not isinstance(decide(replace(question, history=moved), POLICY), Allow)


@given(PLANS, PLANS, st.sampled_from([*NAMES, DECLARE_PLAN]))
def test_a_recorded_plan_decides_alike(old: dict[ToolName, int], new: dict[ToolName, int], name: ToolName) -> None:
    world = World()
    world.ask(DECLARE_PLAN, spelled(old))
    question = world.question(name, spelled(new))
    recorded: JsonObject = {"tool": name, "envelope": None, "args": question.args, **question_json(question)}

    again = recorded_question(recorded, RUN, question.spec, POLICY)

    assert decide(again, POLICY) == decide(question, POLICY)

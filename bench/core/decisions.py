"""A decision: with ten of 500 rules on each of 50 tools, with all on one tool, and of a model call."""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from decimal import Decimal

from bench.core import labelled
from bench.core.labelled import VALUES
from bench.report import Row, at_most
from leverframe.core.conditions import parse
from leverframe.core.policy import CompiledPolicy, ModelQuestion, Question, compile_policy, decide
from leverframe.domain.budgets import BudgetUnit, Window
from leverframe.domain.ids import PrincipalId, RuleId, Sha256, ToolName, WindowId
from leverframe.domain.json import Json
from leverframe.domain.labels import Integrity, Label
from leverframe.domain.policy import Allow, Rule, RunFacts, SourceRef, Then
from leverframe.domain.tools import ArgRole, ArgSpec, EffectClass, PythonOrigin, ToolSpec

TOOLS, RULES, ARGS, MODEL_RULES = 50, 500, 10, 20
CALLS, ROUNDS = 5_000, 8
AskedCalls = Sequence[Question | ModelQuestion]
Asked = tuple[AskedCalls, CompiledPolicy]
_RUN = RunFacts(
    run_id="run_1",
    tenant="acme",
    environment="prod",
    workflow="refund_request",
    initiator=PrincipalId("agent:refund_request"),
    subject="c_1",
    input={"message": "Please refund #W0000001"},
)
_COST = {BudgetUnit.USD: 2_000, BudgetUnit.TOOL_CALLS: 1, BudgetUnit.STEPS: 1}
_WINDOWS = tuple(Window(window_id=WindowId("run/run_1"), unit=unit, limit=10**9) for unit in _COST)
_USER = Label(integrity=Integrity.USER)


def _mixed(number: int) -> str:
    conditions = (
        f"args.amount >= {1_000 + number}",
        f"args.order_id == '#X{number}'",
        f"args.count > {50 + number} && run.tenant == 'acme'",
        f"args.channel in ['fax{number}', 'telex']",
        f"!(run.environment == 'prod' || args.count == {number})",
    )
    return conditions[number // TOOLS % len(conditions)]


def _of_two_fields(number: int) -> str:
    """Whether it is false cannot be looked up by the value of one field."""
    return f"args.amount > args.count + {1_000 + number}"


def measure() -> list[Row]:
    """Eleven rows; the floor of each is what the clock reads around nothing, and is in the figure beside it.

    The clock is the processor time of this thread.  A wall clock would add what other programs take on a busy machine,
    which is no cost of a decision.  Collections of garbage are in it: they happen on this thread.
    """
    return [
        *_rows("50 tools, 500 rules", _tool_calls(TOOLS, _mixed), (5, 20)),
        *_rows("500 rules on one tool", _tool_calls(1, _mixed), (50, 100)),
        *_rows(f"50 tools, 500 rules, {VALUES} values in the run", _labelled_calls(), (5, 20)),
        *_labelling(),
        *_rows("a model call, 20 rules", _model_calls(), (5, 20)),
        _slowest("500 rules on one tool that no table holds", _tool_calls(1, _of_two_fields)),
    ]


def _rows(name: str, asked: Asked, bounds: tuple[float, float]) -> list[Row]:
    (p50, p99), (clock_p50, clock_p99) = _percentiles(*asked)
    return [
        at_most(f"decision p50, {name}", p50, "us", bounds[0], floor=clock_p50),
        at_most(f"decision p99, {name}", p99, "us", bounds[1], floor=clock_p99),
    ]


def _slowest(name: str, asked: Asked) -> Row:
    """What is evaluated one by one, for comparison: no target is set for it."""
    (p50, _), (clock_p50, _) = _percentiles(*asked)
    return Row(name=f"decision p50, {name}", value=p50, unit="us", floor=clock_p50)


def _tool_calls(tools: int, condition: Callable[[int], str]) -> Asked:
    specs = {spec.name: spec for spec in map(_spec, range(tools))}
    # Questions are made before, each with values of its own, so that nothing is measured but the decision.
    return [_question(number, specs) for number in range(1_000)], _policy(specs, RULES, condition)


def _labelled_specs() -> Mapping[ToolName, ToolSpec]:
    specs = (replace(spec, args=labelled.ARGS) for spec in map(_spec, range(TOOLS)))
    return {spec.name: spec for spec in specs}


def _labelled_calls() -> Asked:
    """The default rules on labels are asked, and find that all is the user's."""
    specs = _labelled_specs()
    index = labelled.seen_by(specs[ToolName("tool_0")])
    asked = []
    for number in range(1_000):
        args, spec = labelled.args_of(number), specs[ToolName(f"tool_{number % TOOLS}")]
        labels = labelled.labels_of(args, spec, index)
        question = _question(number, specs)
        asked.append(replace(question, args=args, arg_labels=labels, union=index.union))
    return asked, _policy(specs, RULES, _mixed)


def _labelling() -> list[Row]:
    """What the door does before each decision: find ten arguments among what the run has seen."""
    specs = _labelled_specs()
    spec = specs[ToolName("tool_0")]
    index = labelled.seen_by(spec)
    # Each with strings of its own, as every call's are parsed anew and hashed for the first time.
    asked = [replace(_question(number, specs), args=labelled.args_of(number)) for number in range(1_000)]

    def act(question: Question | ModelQuestion) -> object:
        return labelled.labels_of(question.args, spec, index) if isinstance(question, Question) else None

    p50, p99 = _least([_round(asked, act) for _ in range(ROUNDS)])
    clock_p50, clock_p99 = _least([_round(asked, lambda question: question) for _ in range(ROUNDS)])
    name = f"ten arguments among {VALUES} values"
    return [
        Row(name=f"labelling p50, {name}", value=p50, unit="us", floor=clock_p50),
        Row(name=f"labelling p99, {name}", value=p99, unit="us", floor=clock_p99),
    ]


def _model_calls() -> Asked:
    specs = {spec.name: spec for spec in map(_spec, range(2))}
    asked = [
        ModelQuestion(
            model="openai/gpt-5-mini",
            run=_RUN,
            windows=_WINDOWS,
            cost={BudgetUnit.USD: 2_000 + number, BudgetUnit.STEPS: 1},
        )
        for number in range(1_000)
    ]
    return asked, _policy(specs, MODEL_RULES, _mixed)


def _percentiles(questions: AskedCalls, policy: CompiledPolicy) -> tuple[tuple[float, float], tuple[float, float]]:
    """The median and the 99th of 100, of a decision and of the clock alone, in microseconds."""
    for question in questions:
        assert isinstance(decide(question, policy), Allow)  # noqa: S101 a refusal would be measured as a decision
    rounds = [_round(questions, lambda question: decide(question, policy)) for _ in range(ROUNDS)]
    empty = [_round(questions, lambda question: question) for _ in range(ROUNDS)]
    # The quietest round: in the others somebody else had the caches.
    return _least(rounds), _least(empty)


def _least(rounds: Sequence[tuple[float, float]]) -> tuple[float, float]:
    return min(p50 for p50, _ in rounds), min(p99 for _, p99 in rounds)


def _round(questions: AskedCalls, act: Callable[[Question | ModelQuestion], object]) -> tuple[float, float]:
    taken = []
    for number in range(CALLS):
        question = questions[number % len(questions)]
        begun = time.thread_time_ns()
        act(question)
        taken.append(time.thread_time_ns() - begun)
    taken.sort()
    return taken[CALLS // 2] / 1000, taken[CALLS * 99 // 100] / 1000


def _policy(specs: Mapping[ToolName, ToolSpec], count: int, condition: Callable[[int], str]) -> CompiledPolicy:
    names = list(specs)
    rules = [_rule(number, names[number % len(names)], condition) for number in range(count)]
    return compile_policy(rules, names, specs, has_models=True)


def _rule(number: int, tool: ToolName, condition: Callable[[int], str]) -> Rule:
    return Rule(
        id=RuleId(f"rule-{number}"),
        then=Then.DENY if number % 2 else Then.HOLD,
        tools=frozenset({tool}),
        source=SourceRef(file="workflows/refund_request.yaml", line=number + 1),
        when=parse(condition(number)),
    )


def _spec(number: int) -> ToolSpec:
    args = {"amount": ArgSpec(role=ArgRole.AMOUNT), "order_id": ArgSpec(role=ArgRole.SELECTOR, type="order_id")}
    others = {f"arg_{place}": ArgSpec(role=ArgRole.FREE_TEXT) for place in range(ARGS - 4)}
    return ToolSpec(
        name=ToolName(f"tool_{number}"),
        version=1,
        origin=PythonOrigin(file="tools/shop.py", function=f"tool_{number}"),
        effect=EffectClass.KEYED,
        description="",
        input_schema={"type": "object"},
        output_schema=None,
        schema_sha256=Sha256("0" * 64),
        source=SourceRef(file=f"tools/tool_{number}.yaml", line=1),
        args={**args, **others},
    )


def _question(number: int, specs: Mapping[ToolName, ToolSpec]) -> Question:
    name = ToolName(f"tool_{number % len(specs)}")
    args: dict[str, Json] = {
        "amount": Decimal(number % 900),
        "order_id": f"#W{number:07d}",
        "count": number % 40,
        "channel": "mail",
        **{f"arg_{place}": f"value {number} {place}" for place in range(ARGS - 4)},
    }
    return Question(
        tool=name,
        spec=specs[name],
        args=args,
        run=_RUN,
        windows=_WINDOWS,
        cost=_COST,
        arg_labels=dict.fromkeys(args, _USER),
    )

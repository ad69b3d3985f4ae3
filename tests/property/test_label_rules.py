"""The default rules on origins against their slow reading, where every draw is about them."""

from dataclasses import replace
from typing import Any

from hypothesis import event, given, settings
from hypothesis import strategies as st

from leverframe.core.policy import Question, compile_policy
from leverframe.core.policy.label_rules import by_labels
from leverframe.domain.contracts import Provenance, ProvenanceRule, ProvenanceRules
from leverframe.domain.ids import ToolName
from leverframe.domain.labels import Integrity, Label
from leverframe.domain.policy import Rule, Then
from leverframe.domain.tools import ArgRole, ArgSpec, EffectClass
from tests.policy_samples import RUN, rule, tool
from tests.property.condition_strategies import LABELS
from tests.property.policy_strategies import SAYS
from tests.property.slow_labels import slow_labels

SEND = ToolName("send")
NAMES = ("a", "b", "c", "d")
# Any: every kind of value that an argument can have.
VALUES: st.SearchStrategy[Any] = st.sampled_from(
    ["word", "see www.x.example", "https://x.example", "", None, [], {}, 0, False, ["x", ["www.y.example"]], {"k": "v"}]
)
SPECS = st.builds(
    ArgSpec,
    role=st.sampled_from([None, *ArgRole, ArgRole.RECIPIENT, ArgRole.AMOUNT]),
    accepts=st.sampled_from(Integrity),
)
BOUNDS: st.SearchStrategy[tuple[Rule, ...]] = st.sampled_from(
    [(), (rule("cap", Then.HOLD, when="args.a > 5", tools=(SEND,)),), (rule("of", Then.HOLD, when="args.b > 5"),)]
)


@given(
    args=st.dictionaries(st.sampled_from(NAMES), VALUES),
    specs=st.dictionaries(st.sampled_from(NAMES), SPECS, min_size=2),
    labels=st.dictionaries(st.sampled_from(NAMES), LABELS),
    union=LABELS,
    says=st.dictionaries(st.sampled_from(Provenance), SAYS, max_size=2),
    effect=st.sampled_from(EffectClass),
    bounds=BOUNDS,
    is_suspicious=st.booleans(),
)
@settings(max_examples=settings().max_examples * 8)
def test_the_rules_find_what_their_page_says(
    *,
    # Any: as above.
    args: dict[str, Any],
    specs: dict[str, ArgSpec],
    labels: dict[str, Label],
    union: Label,
    says: dict[Provenance, ProvenanceRule],
    effect: EffectClass,
    bounds: tuple[Rule, ...],
    is_suspicious: bool,
) -> None:
    spec = tool(SEND, effect, args=specs)
    written = ProvenanceRules(written=says)
    plan = compile_policy(bounds, [SEND], {SEND: spec}, provenance=written).plans[SEND].labels
    question = Question(tool=SEND, spec=spec, args=args, run=RUN, arg_labels=labels, union=union)
    question = replace(question, is_suspicious=is_suspicious)

    found = () if plan is None else by_labels(plan, args, labels, union, is_suspicious=is_suspicious)

    event(" ".join(sorted({reason.rule for reason in found})) or "nothing")
    of_tool = [each for each in bounds if SEND in each.tools]
    assert {reason.rule: reason.then for reason in found} == slow_labels(question, spec, written, of_tool)

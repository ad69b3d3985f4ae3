"""Cedar's own engine on the exported text, against our decision, on random policies and hostile calls."""

import json
import re
from dataclasses import replace
from typing import Any

import cedarpy
import pytest
from hypothesis import assume, event, given
from hypothesis import strategies as st

from leverframe.core.cedar import CedarExport, CedarRequest, export_policy, import_policies, request_of
from leverframe.core.policy import Asker, CompiledPolicy, Question, compile_policy, decide, needed_history
from leverframe.domain.conditions import Expr
from leverframe.domain.contracts import Provenance, ProvenanceRule, ProvenanceRules
from leverframe.domain.errors import CedarUnsupported
from leverframe.domain.policy import Known, Unreadable
from tests.policy_samples import known
from tests.property.condition_strategies import ANSWERS, CONDITIONS, TYPED_CONDITIONS, typed_objects
from tests.property.policy_strategies import EQUALS, GUARDED, ORDERS, PREFIXES, policies, questions

LOOKED_UP: st.SearchStrategy[Expr] = st.one_of(EQUALS, PREFIXES, ORDERS, GUARDED)


def by_cedar(export: CedarExport, request: CedarRequest) -> str:
    """What the two evaluations say together; no policy of an export may fail."""
    answers = cedarpy.is_authorized_batch(
        [request.asked(is_approved=False), request.asked(is_approved=True)], export.text, []
    )
    assert [answer.diagnostics.errors for answer in answers] == [[], []]
    now, approved = (answer.allowed for answer in answers)
    return "Allow" if now else "Hold" if approved else "Deny"


@st.composite
def typed_questions(draw: st.DrawFn, policy: CompiledPolicy) -> Question:
    """Calls whose fields mostly have the type that `TYPED_CONDITIONS` expect of them."""
    question = draw(questions(policy))
    # Any: what no parser would let through comes in as well.
    args: Any = {**draw(typed_objects()), **question.args}
    facts: dict[str, Known | Unreadable] = {name: known(value) for name, value in draw(typed_objects()).items()}
    history = {
        query: draw(ANSWERS)
        for query in needed_history(policy, question.tool, args, facts, question.run)
        if draw(st.integers(0, 4))
    }
    return replace(question, args=args, facts={**facts, **question.facts}, history=history)


def exported(policy: CompiledPolicy) -> CedarExport | None:
    try:
        return export_policy(policy)
    except CedarUnsupported as err:
        event("refused")
        refusal = err.message
    assert re.match(r"The rules? ('r\d'|about '\w+')", refusal), "a refusal names the rule or the tool"
    return None


OFF = ProvenanceRules(written=dict.fromkeys(Provenance, ProvenanceRule(then=None)))


def agree(policy: CompiledPolicy, export: CedarExport, question: Question) -> None:
    asked = replace(question, granted=None, asker=Asker.AGENT if question.asker is Asker.DOOR else question.asker)
    request = request_of(asked, policy, export)

    ours, cedars = type(decide(asked, policy)).__name__, by_cedar(export, request)

    event(ours + (" with something withheld" if request.withheld else ""))
    assert cedars == ("Deny" if request.withheld else ours)


@pytest.mark.parametrize("conditions", [CONDITIONS, TYPED_CONDITIONS, LOOKED_UP], ids=["wild", "typed", "mixed"])
@given(data=st.data())
def test_cedar_answers_as_we_do(conditions: st.SearchStrategy[Expr], data: st.DataObject) -> None:
    policy, _ = data.draw(policies(conditions))
    export = exported(policy)
    assume(export is not None)
    assert export is not None
    for _ in range(2):
        agree(policy, export, data.draw(st.one_of(questions(policy), typed_questions(policy))))


@pytest.mark.parametrize("conditions", [CONDITIONS, TYPED_CONDITIONS, LOOKED_UP], ids=["wild", "typed", "mixed"])
@given(data=st.data())
def test_what_was_exported_imports_as_rules_that_decide_alike(
    conditions: st.SearchStrategy[Expr], data: st.DataObject
) -> None:
    policy, written = data.draw(policies(conditions))
    # A contract has no words for a hold that stands in for no allow rule: overlays make them.
    assume(not any(one.only_narrows for one in written.rules))
    export = exported(policy)
    assume(export is not None)
    assert export is not None

    back = import_policies(json.loads(cedarpy.policies_to_json_str(export.text)), file="exported.cedar")

    tools = {name: plan.spec for name, plan in policy.plans.items()}
    # The rules on where values come from do not travel, and whether a rule bounds an amount is told by its form.
    known = compile_policy(
        written.rules, written.allow_tools, tools, held_tools=written.held_tools, facts=policy.facts, provenance=OFF
    )
    again = compile_policy(back.rules, back.allow_tools, tools, held_tools=back.held_tools, provenance=OFF)
    for _ in range(2):
        drawn = data.draw(st.one_of(questions(policy), typed_questions(policy)))
        # What is not in the text does not travel with it: switches and reviews.
        question = replace(drawn, granted=None, asker=Asker.AGENT, closed=None, killed=None, is_suspicious=False)
        event(type(decide(question, known)).__name__)
        assert type(decide(question, again)) is type(decide(question, known))

"""Observe mode: what policy would have refused is allowed and told, as far as it has no effect.

Knows: that `enforce: observe` is for model calls and reads, that a write is always enforced, and that a kill switch
stops everything.  The decision is an allow by the rule `observe`; what would have been said stands behind it.
Source: docs/reference/contract.md, `enforce`.
"""

from leverframe.core.policy.compiled import CompiledPolicy
from leverframe.core.policy.question import ModelQuestion, Question
from leverframe.domain.ids import RuleId
from leverframe.domain.policy import Allow, Decision, Reason, Then

OBSERVE = RuleId("observe")


def observed(decision: Decision, question: Question | ModelQuestion, policy: CompiledPolicy) -> Decision:
    """The decision as it holds under observation: nothing is set aside for a call that would have been refused."""
    if isinstance(decision, Allow) or question.killed is not None or not _is_harmless(question):
        return decision
    word = decision.reasons[0].then.value
    reason = Reason(
        rule=OBSERVE,
        then=Then.ALLOW,
        source=policy.source,
        text=f"the workflow is only observed (`enforce: observe`); enforced, this would be: {word}",
    )
    return Allow(reasons=(reason, *decision.reasons))


def would(decision: Decision) -> str:
    """What would have been said of an observed call: `deny` or `hold`; empty where nothing else was."""
    first, *behind = decision.reasons
    if first.rule != OBSERVE or not behind:
        return ""
    words = {reason.then for reason in behind}
    return (Then.DENY if Then.DENY in words else Then.HOLD).value


def _is_harmless(question: Question | ModelQuestion) -> bool:
    if isinstance(question, ModelQuestion):
        return True
    # What cannot be done at all is refused under observation too.
    is_doable = question.spec is not None and question.closed is None and not question.schema_error
    return is_doable and question.spec is not None and not question.spec.effect.is_write

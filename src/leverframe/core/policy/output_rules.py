"""The run's output as a sink: what the run has seen, against what its audience may read.

Knows: that a model's words may hold whatever it saw, rewritten or encoded, so that an output is as confidential as the
run.  Never: looks into the output.  Source: docs/labels.md, "The output".
"""

from typing import Final

from leverframe.core.policy.question import Question
from leverframe.domain.audiences import Audience
from leverframe.domain.ids import RuleId
from leverframe.domain.labels import Confidentiality
from leverframe.domain.policy import Reason, SourceRef, Then
from leverframe.domain.tools import BuiltIn, BuiltInOrigin

AUDIENCE: Final = RuleId("audience")


def is_output(question: Question) -> bool:
    """Whether a question is about the run's output."""
    origin = None if question.spec is None else question.spec.origin
    return isinstance(origin, BuiltInOrigin) and origin.name is BuiltIn.OUTPUT


def readable(audience: Audience, *, has_subject: bool) -> Confidentiality:
    """The most confidential that an audience may read: a run without a subject is read by nobody in particular."""
    if audience is Audience.PUBLIC or (audience is Audience.SUBJECT and not has_subject):
        return Confidentiality.PUBLIC
    return Confidentiality.TENANT


def output_reason(question: Question, audience: Audience, source: SourceRef) -> Reason:
    """Why an output may go out, or is held."""
    most = readable(audience, has_subject=question.run.subject is not None)
    seen = Confidentiality.SECRET if question.union is None else question.union.confidentiality
    text = f"the run has seen {seen.word} values, and its output goes to {audience.value}, who may read {most.word}"
    if audience is Audience.SUBJECT and question.run.subject is None:
        text += "; a run without a subject goes to nobody in particular"
    return Reason(rule=AUDIENCE, then=Then.ALLOW if seen <= most else Then.HOLD, source=source, text=text)

"""A good answer enters the run: labelled, and its values known for later calls.

Knows: which values a declared validator endorsed, which the evidence must say.  Never: shows a value to anyone.
"""

from dataclasses import replace

from leverframe.core.places import label_at
from leverframe.core.provenance import endorsed_places, label_output
from leverframe.domain.json import Json
from leverframe.domain.labels import Label
from leverframe.domain.runs import Step, StepKind, StepState
from leverframe.domain.tools import ToolSpec
from leverframe.runtime.context import RunContext
from leverframe.runtime.door.recording import Outcome
from leverframe.runtime.entering import REFUSED, UNKNOWN, enter_result, enter_words


def taken_in(ctx: RunContext, spec: ToolSpec, step: Step, value: Json, *, how: str = "", attempts: int = 0) -> Outcome:
    """The outcome of a call whose answer is good."""
    # What the door reads for itself never reaches the agent, so no argument can derive from it.
    if step.kind is not StepKind.TOOL:
        return Outcome(
            state=StepState.OK, value=value, attempts=attempts, label=label_of_answer(ctx, spec, step, value), how=how
        )
    entered = enter_result(ctx, spec, step, value)
    return Outcome(
        state=StepState.OK,
        value=value,
        attempts=attempts,
        label=label_at(entered.labels, ""),
        how=how,
        endorsed=tuple(sorted(set(endorsed_places(value, spec, ctx.values.types).values()))),
        removed=entered.viewed.removed,
    )


def label_of_answer(ctx: RunContext, spec: ToolSpec, step: Step, value: Json) -> Label:
    """The label of a whole answer, where nothing within it is told apart."""
    return label_at(label_output(value, spec, step=step.path, types=ctx.values.types), "")


def refused(message: str, *, state: StepState, attempts: int) -> Outcome:
    """The outcome of a call of which the receiver says no, or nobody knows what it came to."""
    error = UNKNOWN if state is StepState.UNKNOWN else REFUSED
    return Outcome(state=state, value={"message": message}, error=error, attempts=attempts)


def with_words(ctx: RunContext, spec: ToolSpec, step: Step, outcome: Outcome) -> Outcome:
    """An outcome that is about to be recorded; why it came to nothing enters the run, as on every later reading."""
    removed = enter_words(ctx, spec, step, outcome.error, outcome.value)
    return replace(outcome, removed=removed) if removed else outcome

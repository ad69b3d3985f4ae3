"""What the caller of a step learns of it: as it ends, and again whenever it is asked for."""

from dataclasses import replace

from leverframe.domain.json import Json
from leverframe.domain.policy import Hold
from leverframe.domain.runs import Step, StepState
from leverframe.runtime.door.recording import Decided
from leverframe.runtime.outcomes import Answered, Failed, HeldBack, Lost, ToolOutcome


def held_back(made: Decided, hold: Hold) -> HeldBack:
    """A call that waits for a person, with every rule that holds it."""
    rules = ", ".join(dict.fromkeys(f"{reason.rule} ({reason.source})" for reason in hold.reasons))
    approval_id = made.step.approval_id
    return HeldBack(
        path=made.step.path,
        approval_id=approval_id,
        reasons=hold.reasons,
        message=f"A person must answer first: {rules}. Approval {approval_id}.",
    )


def told(step: Step, value: Json) -> ToolOutcome:
    """What the caller learns of a step that came to an end."""
    message = value.get("message") if isinstance(value, dict) else None
    match step.state:
        case StepState.OK if step.error == "output-invalid":
            text = "The tool's answer broke its output schema and was quarantined; the call itself was done."
            return Failed(path=step.path, error=step.error, message=text)
        case StepState.OK:
            return Answered(path=step.path, value=value, shown=value)
        case StepState.UNKNOWN:
            text = f"Nobody can tell whether {step.name} happened ({message}). A person resolves it."
            return Lost(path=step.path, message=text, words=str(message or ""))
        case _:
            text = str(message) if message else "The tool's answer broke its output schema and was quarantined."
            return Failed(path=step.path, error=step.error, message=text, words=str(message or ""))


def repeated(outcome: ToolOutcome) -> ToolOutcome:
    """An answer that was given before."""
    return replace(outcome, is_repeat=True) if isinstance(outcome, Answered) else outcome

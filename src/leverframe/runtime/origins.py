"""The way of a value into a call: from which answer it came, and what that answer had been asked with.

Knows: the recorded arguments of each step with their labels.  Never: finds a source by itself: what the door recorded
as a value's origin is followed back, step by step, to what the run was opened on; where nothing was recorded, it ends.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final

from leverframe.domain.ids import StepPath
from leverframe.domain.json import Json, JsonObject
from leverframe.domain.labels import Confidentiality, Integrity
from leverframe.domain.runs import Step
from leverframe.runtime.showing import word

_MOST_STEPS_BACK: Final = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class Argument:
    """One argument of a call: who could have written it, and which value that entered the run it equals."""

    name: str
    value: Json
    integrity: str
    confidentiality: str
    origin: str  # "input/message", "3/orders/0"; empty where no one value that entered the run equals it
    origin_tool: str = ""  # the tool whose answer that was; empty for the input
    asked_with: tuple["Argument", ...] = ()  # what that answer was asked with, and where that came from


def arguments_of(
    args: JsonObject,
    labels: Json,
    steps: Mapping[StepPath, Step],
    recorded: Callable[[Step], JsonObject],
    *,
    steps_back: int = _MOST_STEPS_BACK,
) -> tuple[Argument, ...]:
    """Every argument of a recorded call with its way.

    Args:
        args: what the call was made with.
        labels: the recorded `labels` of its decision.
        steps: the steps of its run.
        recorded: the `call` disclosure of a step; empty where it is gone.
        steps_back: how many answers a way is followed through.
    """
    by_name = (
        {one.get("argument"): one for one in labels if isinstance(one, Mapping)} if isinstance(labels, list) else {}
    )
    found = []
    for name, value in args.items():
        known = by_name.get(name, {})
        origin = _text(known.get("origin"))
        step = steps.get(StepPath(origin.partition("/")[0]))
        found.append(
            Argument(
                name=name,
                value=value,
                integrity=_text(known.get("integrity")) or Integrity.THIRD_PARTY.word,
                confidentiality=_text(known.get("confidentiality")) or Confidentiality.SECRET.word,
                origin=origin,
                origin_tool="" if step is None else step.name,
                asked_with=()
                if step is None or not steps_back
                else _asked_with(step, steps, recorded, steps_back=steps_back - 1),
            )
        )
    return tuple(found)


def _asked_with(
    step: Step, steps: Mapping[StepPath, Step], recorded: Callable[[Step], JsonObject], *, steps_back: int
) -> tuple[Argument, ...]:
    fields = recorded(step)
    return arguments_of(called_with(fields), fields.get("labels"), steps, recorded, steps_back=steps_back)


def called_with(recorded: JsonObject) -> JsonObject:
    """The arguments of a recorded call: those that were frozen, else those that were asked."""
    envelope = recorded.get("envelope")
    frozen: JsonObject = envelope if isinstance(envelope, Mapping) else {}
    given = frozen.get("args", recorded.get("args"))
    return given if isinstance(given, Mapping) else {}


def _text(value: Json) -> str:
    return "" if value is None else word(value)

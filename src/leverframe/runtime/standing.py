"""How a run stands: what it did, what it waits for, and what anyone can do about it.

Knows: which rows say so.  Never: changes anything, and shows nothing that the contract redacts.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from leverframe.domain.approvals import ApprovalState
from leverframe.domain.budgets import BudgetUnit, Window
from leverframe.domain.contracts import Project, Wire
from leverframe.domain.ids import RunId
from leverframe.domain.json import Json
from leverframe.domain.money import MicroUsd
from leverframe.domain.policy import SourceRef
from leverframe.domain.runs import Run, RunState, Step, StepKind, StepState
from leverframe.runtime.answers import Shown, show
from leverframe.runtime.services import Services
from leverframe.runtime.sessions import find_run
from leverframe.runtime.showing import RunValues, values_of


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """One run with all that a person asks about it.  `held` are its held calls that still wait for an answer."""

    run: Run
    steps: tuple[Step, ...]
    windows: tuple[Window, ...]
    held: tuple[Shown, ...]
    values: RunValues
    recorded_by: SourceRef | None  # the line of the tier that makes its model a recording

    @property
    def input(self) -> Json:
        """What it was opened with; None where that is not kept any more."""
        return self.values.fields(self.run.input_ref).get("input")

    @property
    def is_outside(self) -> bool:
        """Whether an agent with its own loop goes on with it, so that nobody here can."""
        return self.values.fields(self.run.input_ref).get("outside") is True

    @property
    def output(self) -> Json:
        """What it ended with; None while it is open."""
        return self.values.value(self.run.output_ref)

    @property
    def unknown(self) -> tuple[Step, ...]:
        """Writes of which nobody can tell whether they happened."""
        return tuple(step for step in self.steps if step.state is StepState.UNKNOWN)

    @property
    def denied(self) -> tuple[Step, ...]:
        """Calls of the agent that never ran."""
        return tuple(step for step in self.steps if step.state is StepState.DENIED and step.kind is StepKind.TOOL)

    @property
    def limit(self) -> Window | None:
        """The budget window that stopped the run, if one did."""
        key = self.run.stop_reason.split(" ")[0]
        return next((window for window in self.windows if window.key and window.key == key), None)

    @property
    def tool_calls(self) -> int:
        """The agent's own calls that ran, failed or wait; denied ones and the door's own reads are left out."""
        counted = [step for step in self.steps if step.kind is StepKind.TOOL and step.is_counted]
        return sum(step.state is not StepState.DENIED for step in counted)

    @property
    def model_calls(self) -> int:
        """Calls of a model."""
        return sum(step.kind is StepKind.MODEL for step in self.steps)

    @property
    def cost(self) -> MicroUsd:
        """What all of it cost; of a call on its way the most that it can cost.

        A step tells of its last attempt alone, and a window without a limit of no call on its way.
        """
        in_books = sum(one.settled + one.reserved for one in self.windows if one.unit is BudgetUnit.USD)
        return MicroUsd(max(in_books, sum(step.cost for step in self.steps)))

    def reasons(self, step: Step) -> tuple[tuple[str, str, str], ...]:
        """Why a call was decided as it was: rule, place and text, of each rule that took part."""
        recorded = self.values.fields(step.detail_ref or step.args_ref).get("reasons")
        found = recorded if isinstance(recorded, Sequence) and not isinstance(recorded, str) else ()
        return tuple(
            (str(one.get("rule", step.rule)), str(one.get("source", step.rule_source)), str(one.get("text", "")))
            for one in found
            if isinstance(one, dict)
        )


async def standing(services: Services, run_id: RunId) -> Standing:
    """Read how a run stands.

    Raises:
        NotFound: there is none of that id.
    """
    run = await find_run(services, run_id)
    steps = tuple(await services.journal.steps(run_id))
    held = []
    if run.state is not RunState.ENDED:
        waiting = [step.approval_id for step in steps if step.state is StepState.HELD and step.approval_id]
        held = [await show(services, approval_id) for approval_id in waiting]
    return Standing(
        run=run,
        steps=steps,
        windows=tuple(await services.journal.windows(run_id)),
        held=tuple(one for one in held if one.state is ApprovalState.PENDING),
        values=await values_of(services, run),
        recorded_by=recording_of(services.project, run),
    )


def recording_of(project: Project, run: Run) -> SourceRef | None:
    """The line of the tier that has a recording for this workflow's model; None where a model is real."""
    contract = project.contract_in(run.workflow, run.environment)
    models = () if contract is None else project.tiers.get(contract.tier, ())
    providers = [project.providers[model.provider] for model in models if model.provider in project.providers]
    if contract is None or not providers or any(provider.wire is not Wire.RECORDED for provider in providers):
        return None
    return project.tier_sources.get(contract.tier, providers[0].source)

"""Reads that a serving process asks again and again: which run a key is in, and which calls nobody has settled."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from leverframe.domain.ids import EnvironmentName, PrincipalId, RunId, StepPath, TenantId, ToolName, WorkflowName
from leverframe.domain.runs import Run, Step


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenCall:
    """A call whose reservation is open: on its way in a worker, or left behind by one that is gone."""

    run_id: RunId
    path: StepPath


@dataclass(frozen=True, slots=True, kw_only=True)
class RunName:
    """What an outside agent's run goes by: at most one of a name is not ended (`OpenRun` fails for a second one)."""

    tenant: TenantId
    workflow: WorkflowName
    environment: EnvironmentName
    item: str  # begins with "key:"


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyUse:
    """A tool that answered in a run of a key; no tool: the run alone, which may have taken something over."""

    workflow: WorkflowName
    environment: EnvironmentName
    run_id: RunId
    tool: ToolName


class LiveBook(Protocol):
    """Reads without a lock; each sees everything committed before it began."""

    async def live_run(self, name: RunName) -> Run | None:
        """The run of that name that has not ended."""
        ...

    async def open_calls(self, limit: int) -> Sequence[OpenCall]:
        """Calls with an open reservation, the oldest first."""
        ...

    async def tool_steps(self, run_id: RunId) -> Sequence[Step]:
        """The steps of a run that are no model calls, in the order in which they were first written."""
        ...

    async def used_until(self, run_id: RunId) -> datetime | None:
        """When a step of a run last began or ended; None where it has none.

        Of a held step it may lie ahead: until when a person may answer, and then until when it may run on the answer.
        """
        ...

    async def uses_of(self, initiator: PrincipalId, since: datetime) -> Sequence[KeyUse]:
        """Each tool that answered since then in a run that this principal initiated, once for each run."""
        ...

    async def idle_runs(self, since: datetime, limit: int) -> Sequence[RunId]:
        """Open runs of outside agents' own keys that are not in use, as `used_until` has it, since then, by id."""
        ...

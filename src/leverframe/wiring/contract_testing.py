"""A keyed write sent twice with one key, through the door, to see whether its receiver does it once.

Knows: that this has a real effect, so it happens only where a person names an environment that is not production; and
that the second sending is what recovery does after a lost answer, neither more nor less.
Never: tests a tool through a contract of the project: a run of its own is opened under a contract that allows this tool
alone, and it is recorded like any run.
"""

import json
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from leverframe.config.project import load_project_lenient
from leverframe.domain.calls import ToolAnswer, ToolOk, ToolRequest
from leverframe.domain.contracts import Contract, Project
from leverframe.domain.errors import ConfigInvalid, RefusedError
from leverframe.domain.ids import EnvironmentName, PrincipalId, RunId, ToolName, WorkflowName
from leverframe.domain.json import JsonObject
from leverframe.domain.pins import Closed
from leverframe.domain.runs import RunOutcome
from leverframe.domain.tools import ToolSpec
from leverframe.ports.acting import ToolExecutor
from leverframe.runtime.door import Door
from leverframe.runtime.effects_seen import effects_listed, reconcile_args
from leverframe.runtime.outcomes import Answered
from leverframe.runtime.outside import OutsideRun
from leverframe.runtime.sessions import Opening, open_run
from leverframe.wiring.assembly import Assembly
from leverframe.wiring.dry_run import NoModels

_WORKFLOW = "contract-test"
# What lands there is not a test any more; without environments everything lands in `default`.
REAL_ENVIRONMENTS = frozenset({"prod", "production", "live", "default"})


class Twice(StrEnum):
    """What two sendings with one key were."""

    ONCE = "one effect"
    TWICE = "two effects"
    UNSEEN = "not to be told"


@dataclass(frozen=True, slots=True, kw_only=True)
class TwiceResult:
    """What a test showed: the effects that the receiver listed before, after the first and after the second sending."""

    found: Twice
    run_id: RunId
    seen: tuple[int | None, ...] = ()
    why: str = ""


async def send_twice(
    assembly: Assembly, spec: ToolSpec, args: JsonObject, environment: EnvironmentName, *, by: PrincipalId
) -> TwiceResult:
    """Call a keyed tool once through the door, and send what leaves it twice.

    Raises:
        RefusedError: the tool is not for this environment.
    """
    contract = _contract(assembly.project, spec.name, environment)
    reader = contract.tools[spec.reconcile.tool] if spec.reconcile is not None else None
    tools = _SendsTwice(assembly.tools, spec, reader, args)
    opening = Opening(
        tenant=assembly.project.tenants[0],
        environment=environment,
        initiator=by,
        launcher=by,
        input={"args": args},
        is_outside=True,
    )
    ctx = await open_run(assembly.services, contract, opening)
    run = OutsideRun(Door(tools, NoModels()), ctx)
    outcome = await run.call_tool(spec.name, args)
    is_done = isinstance(outcome, Answered)
    await run.end(RunOutcome.SUCCESS if is_done else RunOutcome.STOPPED, None, reason="" if is_done else _WORKFLOW)
    if not is_done:
        why = outcome.message if not isinstance(outcome, Answered) else ""
        return TwiceResult(found=Twice.UNSEEN, run_id=run.run_id, seen=tuple(tools.seen), why=why)
    return _judged(run.run_id, tuple(tools.seen))


def _judged(run_id: RunId, seen: tuple[int | None, ...]) -> TwiceResult:
    if len(seen) != 3 or None in seen:  # noqa: PLR2004 - before, after the first, after the second
        why = "the tool that it reconciles with does not list effects"
        return TwiceResult(found=Twice.UNSEEN, run_id=run_id, seen=seen, why=why)
    before, once, twice = (one or 0 for one in seen)
    if once - before != 1:
        why = f"after the first sending {once - before} new effects are listed, where 1 was expected"
        return TwiceResult(found=Twice.UNSEEN, run_id=run_id, seen=seen, why=why)
    found = Twice.ONCE if twice == once else Twice.TWICE
    return TwiceResult(found=found, run_id=run_id, seen=seen)


def _contract(project: Project, tool: ToolName, environment: EnvironmentName) -> Contract:
    """A contract that allows one tool in one environment, loaded like a file: its runs can be judged like any."""
    text = json.dumps(
        {
            "workflow": _WORKFLOW,
            "description": f"Sends {tool} twice with one key, to see whether its receiver does it once.",
            "environments": [environment],
            "input": {"type": "object", "required": ["args"], "properties": {"args": {"type": "object"}}},
            "policy": {"allow_tools": [tool]},
        }
    )
    loaded, problems = load_project_lenient(Path(project.root), supposed={f"workflows/{_WORKFLOW}.yaml": text.encode()})
    found = None if loaded is None else loaded.contract_in(WorkflowName(_WORKFLOW), environment)
    if found is None:
        raise ConfigInvalid([one for one in problems if one.severity == "error"])
    spec = found.tools[tool]
    if spec.environments and environment not in spec.environments:
        raise RefusedError(
            f"{tool!r} does not run in {environment!r}, but in {', '.join(sorted(spec.environments))}.",
            next_move="Name one of them that is not production.",
        )
    return found


class _SendsTwice:
    """The project's tools, of which one sends each request twice and has its effects counted around that."""

    def __init__(self, tools: ToolExecutor, spec: ToolSpec, reader: ToolSpec | None, args: JsonObject) -> None:
        self._tools = tools
        self._spec = spec
        self._reader = reader
        self._args = args
        self.seen: list[int | None] = []

    async def execute(self, request: ToolRequest) -> ToolAnswer:
        """One attempt, or two of the tool that is tested; the answer is the second one's."""
        if request.spec.name != self._spec.name:
            return await self._tools.execute(request)
        self.seen.append(await self._counted(request))
        first = await self._tools.execute(request)
        if not isinstance(first, ToolOk):
            return first
        self.seen.append(await self._counted(request))
        answer = await self._tools.execute(request)
        self.seen.append(await self._counted(request))
        # A receiver that refuses a key it knows has done its work all the same.
        return answer if isinstance(answer, ToolOk) else first

    async def ready(self, spec: ToolSpec) -> str:
        """As the tools themselves."""
        return await self._tools.ready(spec)

    def closed(self, spec: ToolSpec) -> Closed | None:
        """As the tools themselves."""
        return self._tools.closed(spec)

    def pin(self, spec: ToolSpec) -> str:
        """As the tools themselves."""
        return self._tools.pin(spec)

    async def close(self) -> None:
        """The assembly closes them."""

    async def _counted(self, request: ToolRequest) -> int | None:
        how = self._spec.reconcile
        if how is None or self._reader is None:
            return None
        args = reconcile_args(how, self._args)
        if args is None:
            return None
        asking = ToolRequest(
            call_id=request.call_id,
            tenant=request.tenant,
            spec=self._reader,
            args=args,
            idempotency_key="",
            deadline_s=self._reader.timeout_s,
        )
        answer = await self._tools.execute(asking)
        return effects_listed(how, self._args, answer.value) if isinstance(answer, ToolOk) else None

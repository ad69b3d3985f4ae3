"""Runs of outside agents: any framework's own loop, every call of it through the door.

There is no loop of ours to number their steps.  A step is named by the agent where it gives a name; otherwise a write
whose request equals an earlier one of the run *is* that step, and a read is a new one.
Source: docs/journal.md, "Outside agents".
"""

from leverframe.domain.errors import CallDenied
from leverframe.domain.ids import RunId, StepPath, ToolName
from leverframe.domain.json import Json, JsonObject
from leverframe.domain.runs import Run, RunOutcome, RunState, Step, StepKind, StepState
from leverframe.runtime.closing import RunEnd, end_run
from leverframe.runtime.context import RunContext
from leverframe.runtime.door import Door
from leverframe.runtime.door.envelopes import request_digest
from leverframe.runtime.outcomes import ToolOutcome

_UNFINISHED = frozenset({StepState.HELD, StepState.STARTED, StepState.INTENDED})


class OutsideRun:
    """An open run whose loop is somebody else's; its calls may be asked at once."""

    def __init__(self, door: Door, ctx: RunContext) -> None:
        self.door = door
        self.ctx = ctx
        # Handed out before anything is awaited, so that two calls at once never get one path.
        self._next = 1 + max((int(path) for path in ctx.steps if path.isdigit()), default=-1)

    @property
    def run_id(self) -> RunId:
        """The run's id."""
        return self.ctx.run.run_id

    async def call_tool(self, tool: str, arguments: str | JsonObject, *, step: str = "") -> ToolOutcome:
        """Ask for a tool.

        Args:
            tool: its name.
            arguments: a JSON object, or the text of one.
            step: the agent's own name for this step; the same name again collects the same step's outcome.

        Raises:
            CallDenied: the run has ended.
        """
        if self.ctx.run.state is RunState.ENDED:
            raise CallDenied(
                f"Run {self.run_id} has ended ({self.ctx.run.outcome}); nothing more is called in it.",
                next_move="Open a new run.",
            )
        path = StepPath(f"@{_plain(step)}") if step else self._path(tool, arguments)
        return await self.door.tool_call(self.ctx, path, tool, arguments)

    async def end(self, outcome: RunOutcome, output: Json, *, reason: str = "", queue: str = "") -> Run:
        """End the run as its agent, or its surface, says."""
        return await end_run(self.ctx, RunEnd(outcome=outcome, output=output, stop_reason=reason, handoff_queue=queue))

    def _path(self, tool: str, arguments: str | JsonObject) -> StepPath:
        spec = self.ctx.contract.tools.get(ToolName(tool))
        if spec is not None and spec.effect.is_write and not isinstance(arguments, str):
            digest = request_digest(self.ctx, tool, arguments)
            for step in self.ctx.steps.values():
                if step.kind is StepKind.TOOL and step.request_digest == digest and _is_same_act(step):
                    return step.path
        self._next += 1
        return StepPath(str(self._next - 1))


async def take_up_calls(door: Door, ctx: RunContext) -> tuple[tuple[Step, ToolOutcome], ...]:
    """Carry on every unfinished call of an outside run: granted holds run, and what a crash left is settled."""
    waiting = [one for one in ctx.steps.values() if one.kind is StepKind.TOOL and one.state in _UNFINISHED]
    done: list[tuple[Step, ToolOutcome]] = []
    for step in waiting:
        outcome = await door.tool_call(ctx, step.path, step.name, recorded_args(ctx, step))
        done.append((ctx.steps[step.path], outcome))
    return tuple(done)


def recorded_args(ctx: RunContext, step: Step) -> JsonObject:
    """The arguments of a recorded tool call, exactly as they were frozen."""
    recorded = ctx.payload(step.args_ref)
    if not isinstance(recorded, dict):
        return {}
    envelope = recorded.get("envelope")
    args = envelope.get("args") if isinstance(envelope, dict) else recorded.get("args")
    return args if isinstance(args, dict) else {}


def _is_same_act(step: Step) -> bool:
    """A denied or refused call may be asked again: nothing of it happened."""
    return step.state not in {StepState.DENIED, StepState.ERROR}


def _plain(name: str) -> str:
    """A step's name as a path component: without the dots that divide paths."""
    return "".join(char if char.isalnum() or char in "-_" else "_" for char in name)[:64]

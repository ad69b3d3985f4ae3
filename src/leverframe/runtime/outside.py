"""Runs of outside agents: any framework's own loop, every call of it through the door.

There is no loop of ours to number their steps.  A step is named by the agent where it gives a name; otherwise a write
whose request equals an earlier one of the run *is* that step, and a read is a new one.  Where several workers serve one
run a write is named by its request, so that the same one through another worker is the same step at any moment.
Source: docs/journal.md, "Outside agents".
"""

from collections.abc import Iterator
from itertools import count, islice

from leverframe.domain.audiences import GIVE_OUTPUT
from leverframe.domain.errors import CallDenied
from leverframe.domain.ids import RunId, StepPath, ToolName
from leverframe.domain.json import Json, JsonObject
from leverframe.domain.plans import DECLARE_PLAN
from leverframe.domain.runs import Run, RunOutcome, RunState, Step, StepKind, StepState
from leverframe.runtime.arguments import parsed
from leverframe.runtime.closing import RunEnd
from leverframe.runtime.context import RunContext, recorded_args
from leverframe.runtime.door import Door
from leverframe.runtime.door.envelopes import request_digest
from leverframe.runtime.leftovers import finish_run
from leverframe.runtime.meaning import meant_of
from leverframe.runtime.outcomes import HeldBack, ToolOutcome
from leverframe.runtime.sessions import UNFINISHED


class OutsideRun:
    """An open run whose loop is somebody else's; its calls may be asked at once."""

    def __init__(self, door: Door, ctx: RunContext) -> None:
        self.door = door
        self.ctx = ctx
        # Both are settled before anything is awaited: two calls at once never get one path, and two equal writes do.
        self.numbers: Iterator[int] = count(1 + max((int(path) for path in ctx.steps if path.isdigit()), default=-1))
        self._asked: dict[bytes, StepPath] = {}
        self._calls: dict[bytes, list[StepPath]] = {}  # every tool call that is recorded, by its request
        self._known = 0  # of the run's steps, how many are in it
        self._on_their_way = 0
        # The tag of the worker, where several may number the steps of one run; `numbers` are its own then.
        self.owner = ""

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
            Contended: others changed what the decision rests on again and again; ask again.
        """
        if self.ctx.run.state is RunState.ENDED:
            raise CallDenied(
                f"Run {self.run_id} has ended ({self.ctx.run.outcome}); nothing more is called in it.",
                next_move="Open a new run.",
            )
        path = self.ctx.step_name(step) if step else self._path(tool, await meant_of(self.ctx, arguments))
        self.ctx.go_on()
        self._on_their_way += 1
        try:
            outcome = await self.door.tool_call(self.ctx, path, tool, arguments)
        finally:
            self._on_their_way -= 1
        # The agent waits for a person now, which is not its own time.
        if isinstance(outcome, HeldBack) and not self._on_their_way:
            self.ctx.stand_still()
        return outcome

    async def declare_plan(self, tools: JsonObject) -> ToolOutcome:
        """Declare the run's plan on the word of whoever opened it, who has seen what they gave and nothing else."""
        path = self.ctx.step_name(DECLARE_PLAN)
        return await self.door.tool_call(self.ctx, path, DECLARE_PLAN, {"tools": tools}, planner=self.ctx.opener)

    async def give_output(self, output: Json) -> ToolOutcome:
        """Give the run's output to its audience; the same output again collects what became of it."""
        digest = request_digest(self.ctx, GIVE_OUTPUT, {"output": output})
        return await self.door.give_output(self.ctx, self.ctx.step_name(f"output-{digest.hex()[:32]}"), output)

    async def collect(self, path: StepPath, tool: str, arguments: str | JsonObject) -> ToolOutcome:
        """What became of a call that was held: it joins the step at its own place, a read's too."""
        return await self.door.tool_call(self.ctx, path, tool, arguments)

    async def end(self, outcome: RunOutcome, output: Json, *, reason: str = "", queue: str = "") -> Run:
        """End the run as its agent, or its surface, says.

        Raises:
            Contended: it has ended before, or a call of it is being done just now.
        """
        return await finish_run(
            self.ctx, RunEnd(outcome=outcome, output=output, stop_reason=reason, handoff_queue=queue)
        )

    def _path(self, tool: str, arguments: str | JsonObject) -> StepPath:
        """A new place, or for an equal write the one that it has; a denied or refused write may be asked again."""
        args, complaint = parsed(arguments)
        spec = self.ctx.contract.tools.get(ToolName(tool))
        is_write = spec is not None and spec.effect.is_write and not complaint
        digest = request_digest(self.ctx, tool, args) if is_write else b""
        if is_write:
            known = self._asked.get(digest) or self._recorded(digest)
            if known is not None and _may_be_done(self.ctx.steps.get(known)):
                return known
            if self.owner:
                return self._of_all_workers(digest)
        number = next(self.numbers)
        path = StepPath(f"{self.owner}+{number}" if self.owner else str(number))
        if is_write:
            self._asked[digest] = path
        return path

    def _of_all_workers(self, digest: bytes) -> StepPath:
        """The place of a write, the same in each worker; the door finds what another one recorded there."""
        number = 1
        while not _may_be_done(self.ctx.steps.get(path := StepPath(f"@={digest.hex()[:32]}.{number}"))):
            number += 1
        return path

    def _recorded(self, digest: bytes) -> StepPath | None:
        steps = self.ctx.steps
        if len(steps) < self._known:
            self._calls, self._known = {}, 0
        # Steps are added at the end, and a request never changes: a long run is not looked through for each write.
        for step in islice(steps.values(), self._known, None):
            if step.kind is StepKind.TOOL:
                self._calls.setdefault(step.request_digest, []).append(step.path)
        self._known = len(steps)
        return next((path for path in self._calls.get(digest, ()) if _may_be_done(steps.get(path))), None)


async def take_up_calls(door: Door, ctx: RunContext) -> tuple[tuple[Step, ToolOutcome], ...]:
    """Carry on every unfinished call of an outside run: granted holds run, and what a crash left is settled."""
    waiting = [one for one in ctx.steps.values() if one.kind is StepKind.TOOL and one.state in UNFINISHED]
    done: list[tuple[Step, ToolOutcome]] = []
    for step in waiting:
        outcome = await door.tool_call(ctx, step.path, step.name, recorded_args(ctx, step))
        done.append((ctx.steps[step.path], outcome))
    return tuple(done)


def _may_be_done(step: Step | None) -> bool:
    """Of a denied or refused call nothing happened; one that is not recorded yet is on its way."""
    return step is None or step.state not in {StepState.DENIED, StepState.ERROR}

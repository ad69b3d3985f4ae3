"""Asks Leverframe's door before each call of an AgentDojo agent, and plays the tools' server with what came of it.

Knows: the gate protocol of the harness (start, check, observe, end), one session and one call at a time.
Never: decides; it tells the harness what the door said.  It reads the prompt, as any backend that opens a run gives it,
and neither the harness's catalogue nor its oracle.

A call that the door allows is on its way to the tools' server, which is this gate: `check` answers when it gets there,
and `observe` gives it the answer, which the door then labels.  An `observe` for a held call means that a person said
yes: the person of the project file grants it, and the door carries it out.
"""

import asyncio
import queue
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date, datetime
from typing import Any, Final

import yaml

from leverframe.core.canonical import decode, encode
from leverframe.domain.approvals import AnswerWord
from leverframe.domain.ids import EnvironmentName, PrincipalId, TenantId, ToolName, WorkflowName
from leverframe.domain.json import Json, JsonObject
from leverframe.domain.runs import RunOutcome
from leverframe.runtime import answers
from leverframe.runtime.outcomes import Answered, HeldBack, ToolOutcome
from leverframe.runtime.outside import OutsideRun
from leverframe.runtime.sessions import Opening
from leverframe.wiring.assembly import Assembly

LENA: Final = PrincipalId("person:lena")
_FAILED: Final = "ERROR "
_PATIENCE_S: Final = 30.0


class ToolServer:
    """Where the project's tools ask for their answers; one call is on its way at a time."""

    def __init__(self) -> None:
        self.arrived: asyncio.Event = asyncio.Event()
        self._loop = asyncio.get_running_loop()
        self._answers: queue.SimpleQueue[JsonObject] = queue.SimpleQueue()
        self.received: JsonObject = {}  # the arguments of the call that is on its way

    def serve(self, arguments: JsonObject) -> JsonObject:
        """Say that a call arrived, and wait for its answer; called in a thread of the HTTP server.

        Raises:
            queue.Empty: nobody gave one in time.
        """
        self.received = arguments
        self._loop.call_soon_threadsafe(self.arrived.set)
        return self._answers.get(timeout=_PATIENCE_S)

    def give(self, answer: JsonObject) -> None:
        """The answer of the call that is on its way."""
        self._answers.put(answer)


@dataclass(slots=True, kw_only=True)
class _Asked:
    """One call: what came of it, once it has ended."""

    tool: str
    args: JsonObject
    task: asyncio.Task[ToolOutcome]


@dataclass(slots=True, kw_only=True)
class Gate:
    """The gate of one harness."""

    assembly: Assembly
    server: ToolServer
    _runs: dict[str, OutsideRun] = field(default_factory=dict)
    _asked: dict[str, _Asked] = field(default_factory=dict)

    # Any: a message of the protocol, as the harness sends it.
    async def start(self, session: Mapping[str, Any]) -> JsonObject:
        """Open a run on the user's words."""
        contract = self.assembly.project.contracts[WorkflowName(session["suite"])]
        opening = Opening(
            tenant=TenantId("acme"),
            environment=EnvironmentName("default"),
            initiator=PrincipalId(f"agent:{contract.workflow}"),
            launcher=PrincipalId("service:office"),
            input={"message": session["prompt"]},
        )
        self._asked.clear()
        self._runs[session["id"]] = await self.assembly.runner.open_outside(contract, opening)
        return {}

    # Any: a message of the protocol, as the harness sends it.
    async def check(self, call: Mapping[str, Any]) -> JsonObject:
        """Ask the door for a call, and say what it answered: allow, deny or needs_approval, with its reasons."""
        run = self._runs[call["session"]]
        args = _as_sent(call["args"])
        self.server.arrived.clear()
        task = asyncio.create_task(run.call_tool(call["tool"], args, step=call["id"]))
        self._asked[call["id"]] = _Asked(tool=call["tool"], args=args, task=task)
        arrived = asyncio.create_task(self.server.arrived.wait())
        await asyncio.wait({task, arrived}, return_when=asyncio.FIRST_COMPLETED)
        arrived.cancel()
        if not task.done():
            return {"decision": "allow", "sent": self.server.received}
        match task.result():
            case HeldBack(message=message):
                return {"decision": "needs_approval", "reason": message}
            case Answered():
                return {"decision": "allow", "reason": "answered from the journal"}
            case other:
                return {"decision": "deny", "reason": other.message}

    # Any: a message of the protocol, as the harness sends it.
    async def observe(self, call: Mapping[str, Any], result: str) -> JsonObject:
        """Give the call its answer; a held one was granted, and is carried out now."""
        asked = self._asked[call["id"]]
        run = self._runs[call["session"]]
        if asked.task.done():
            held = asked.task.result()
            if not isinstance(held, HeldBack):
                return {}
            await answers.answer(
                self.assembly.services,
                held.approval_id,
                self.assembly.project.people[LENA],
                AnswerWord.GRANT,
                reason="The user asked for this.",
                proof="scripted",
            )
            asked.task = asyncio.create_task(run.call_tool(asked.tool, asked.args, step=call["id"]))
        self.server.give(self._structured(run, asked.tool, result))
        outcome = await asked.task
        return {"outcome": type(outcome).__name__, "message": "" if isinstance(outcome, Answered) else outcome.message}

    async def end(self, session_id: str) -> JsonObject:
        """End the run."""
        run = self._runs.pop(session_id)
        await run.end(RunOutcome.SUCCESS, None)
        return {}

    def _structured(self, run: OutsideRun, tool: str, result: str) -> JsonObject:
        """The answer as its server would give it: the harness has it as the text that a model would read."""
        if result.startswith(_FAILED):
            return {"refused": result.removeprefix(_FAILED)}
        spec = run.ctx.contract.tools[ToolName(tool)]
        if _is_text(spec.output_schema):
            return {"result": result}
        return {"result": _plain(yaml.load(result, yaml.CSafeLoader))}


def _is_text(schema: JsonObject | None) -> bool:
    """Whether a tool answers with one text."""
    properties = schema.get("properties") if schema is not None else None
    form = properties.get("result") if isinstance(properties, Mapping) else None
    return isinstance(form, Mapping) and ("anyOf" in form or form.get("type") == "string")


# Any: what YAML holds, dates and all.
def _plain(value: Any) -> Json:
    if isinstance(value, Mapping):
        return {str(key): _plain(each) for key, each in value.items()}
    if isinstance(value, list):
        return [_plain(each) for each in value]
    if isinstance(value, datetime | date):
        return value.isoformat()
    return value if isinstance(value, str | int | bool) or value is None else str(value)


# Any: the arguments are those of the harness, right or wrong.
def _as_sent(arguments: Mapping[str, Any]) -> JsonObject:
    """Arguments as a client would send them: JSON, with exact decimals."""
    value = decode(encode(dict(arguments)))
    return value if isinstance(value, dict) else {}

"""Asks a served door before each call of an AgentDojo agent, and plays the tools' server with what came of it.

Knows: the gate protocol of the harness (start, check, observe, end), one session and one call at a time.
Never: decides; it tells the harness what the door said.  It reads the prompt, as any backend that opens a run gives it,
and neither the harness's catalogue nor its oracle.

A call that the door allows is on its way to the tools' server, which is this gate: `check` answers when it gets there,
and `observe` gives it the answer, which the door then labels.  An `observe` for a held call means that a person said
yes: then that person's command grants it, and the door carries it out.
"""

import queue
from collections.abc import Callable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import date, datetime
from typing import Any, Final

import yaml

from examples.agentdojo.door import Door, Run

_FAILED: Final = "ERROR "
_PATIENCE_S: Final = 60.0

# Any: JSON, of the harness's protocol and of MCP.
Json = Any


class ToolServer:
    """Where the project's tools ask for their answers; one call is on its way at a time."""

    def __init__(self) -> None:
        self.events: queue.SimpleQueue[str] = queue.SimpleQueue()
        self._answers: queue.SimpleQueue[Json] = queue.SimpleQueue()
        self.received: Json = {}  # the arguments of the call that is on its way

    def serve(self, arguments: Json) -> Json:
        """Say that a call arrived, and wait for its answer; called in a thread of the HTTP server.

        Raises:
            queue.Empty: nobody gave one in time.
        """
        self.received = arguments
        self.events.put("arrived")
        return self._answers.get(timeout=_PATIENCE_S)

    def give(self, answer: Json) -> None:
        """The answer of the call that is on its way."""
        self._answers.put(answer)

    def arrives(self, answered: "Future[Json]") -> bool:
        """Wait until the call gets here, or has been answered without; whether it is here."""
        answered.add_done_callback(lambda _: self.events.put("answered"))
        return self.events.get(timeout=_PATIENCE_S) == "arrived"

    def forget(self) -> None:
        """Nothing is on its way any more."""
        while not self.events.empty():
            self.events.get()


@dataclass(slots=True, kw_only=True)
class _Asked:
    """One call, and what `/mcp` answers to it."""

    tool: str
    args: Json
    answer: "Future[Json]"
    is_on_its_way: bool


@dataclass(slots=True, kw_only=True)
class Gate:
    """The gate of one harness.

    Args:
        door: the served project.
        server: the tools' own server.
        grant: what a person does to grant a held call, by its approval id.
    """

    door: Door
    server: ToolServer
    grant: Callable[[str], None]
    runs: dict[str, Run] = field(default_factory=dict)
    _asked: dict[str, _Asked] = field(default_factory=dict)
    _pool: ThreadPoolExecutor = field(default_factory=lambda: ThreadPoolExecutor(2))

    def start(self, session: Mapping[str, Json]) -> Json:
        """Open a run on the user's words."""
        self._asked.clear()
        self.runs[session["id"]] = self.door.open_run(session["suite"], {"message": session["prompt"]})
        return {}

    def check(self, call: Mapping[str, Json]) -> Json:
        """Ask the door for a call, and say what it answered: allow, deny or needs_approval, with its reasons."""
        run = self.runs[call["session"]]
        self.server.forget()
        answer = self._pool.submit(self.door.call_tool, run, call["tool"], call["args"], call["id"])
        arrived = self.server.arrives(answer)
        self._asked[call["id"]] = _Asked(tool=call["tool"], args=call["args"], answer=answer, is_on_its_way=arrived)
        if arrived:
            return {"decision": "allow", "sent": self.server.received}
        told = answer.result()
        if not told["isError"]:
            return {"decision": "allow", "reason": "answered from the journal"}
        said = told["structuredContent"]
        return {"decision": "needs_approval" if said["status"] == "held" else "deny", "reason": said["message"]}

    def observe(self, call: Mapping[str, Json], result: str) -> Json:
        """Give the call its answer; a held one was granted, and is carried out now."""
        asked, run = self._asked[call["id"]], self.runs[call["session"]]
        if not asked.is_on_its_way:
            said = asked.answer.result().get("structuredContent", {})
            if said.get("status") != "held":
                return {}
            self.server.forget()
            granted = self._pool.submit(self.grant, said["approval"])
            self.server.arrives(granted)
        self.server.give(self._structured(run, asked.tool, result))
        if not asked.is_on_its_way:
            granted.result()
            # What was granted has run; the same call again collects what became of it.
            asked.answer = self._pool.submit(self.door.call_tool, run, asked.tool, asked.args, call["id"])
        told = asked.answer.result()
        is_failure = told["isError"] and told["structuredContent"]["status"] != "failed"
        return {"outcome": told["structuredContent"]["status"] if is_failure else "answered"}

    def end(self, session_id: str) -> Json:
        """End the run."""
        self.door.end_run(self.runs.pop(session_id))
        return {}

    def close(self) -> None:
        """Nothing is asked any more."""
        self._pool.shutdown()

    def _structured(self, run: Run, tool: str, result: str) -> Json:
        """The answer as its server would give it: the harness has it as the text that a model would read."""
        if result.startswith(_FAILED):
            return {"refused": result.removeprefix(_FAILED)}
        if _is_text(self.door.output_schema(run, tool)):
            return {"result": result}
        return {"result": _plain(yaml.load(result, yaml.CSafeLoader))}


def _is_text(schema: Mapping[str, Json]) -> bool:
    """Whether a tool answers with one text."""
    form = schema.get("properties", {}).get("result", {})
    return "anyOf" in form or form.get("type") == "string"


def _plain(value: Json) -> Json:
    """What YAML holds, dates and all, as JSON."""
    if isinstance(value, Mapping):
        return {str(key): _plain(each) for key, each in value.items()}
    if isinstance(value, list):
        return [_plain(each) for each in value]
    if isinstance(value, datetime | date):
        return value.isoformat()
    return value if isinstance(value, str | int | bool) or value is None else str(value)

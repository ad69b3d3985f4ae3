"""Leverframe's door from the outside: runs over `/api/v1/runs`, calls over `/mcp`, on one connection that stays open.

Knows: what any backend and any agent knows: an address, a key that may open runs, and the token of each run.
Never: imports the runtime.  The requests are those of the MCP protocol of 2026-07-28, in which each stands alone.
"""

import json
import time
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from http import HTTPStatus
from http.client import HTTPConnection
from typing import Any, Final

_PROTOCOL: Final = "2026-07-28"
_META: Final = "io.modelcontextprotocol/"
_TIMEOUT_S: Final = 120.0
_KEPT_S: Final = 2.0

# Any: JSON, of both protocols.
Json = Any


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """One run, and the token with which an agent acts in it."""

    run_id: str
    token: str
    workflow: str


@dataclass(slots=True, kw_only=True)
class Door:
    """One served project, as a team's backend and its agent see it."""

    port: int
    key: str
    _idle: deque[tuple[float, HTTPConnection]] = field(default_factory=deque)
    _tools: dict[str, dict[str, Json]] = field(default_factory=dict)

    def open_run(self, workflow: str, given: Mapping[str, Json]) -> Run:
        """Open a run on what the user said."""
        made = self._post("/api/v1/runs", {"workflow": workflow, "input": given}, self.key)
        return Run(run_id=made["run_id"], token=made["run_token"], workflow=workflow)

    def end_run(self, run: Run) -> None:
        """The agent is done."""
        self._post(f"/api/v1/runs/{run.run_id}/end", {"outcome": "success"}, run.token)

    def call_tool(self, run: Run, tool: str, arguments: Mapping[str, Json], step: str) -> Json:
        """The `CallToolResult` of one call; `step` names it, so that the same call again is the same step."""
        params = {"name": tool, "arguments": arguments}
        return self._mcp(run, "tools/call", params, {"leverframe.dev/step": step}, name=tool)

    def output_schema(self, run: Run, tool: str) -> Mapping[str, Json]:
        """What a tool answers with, as `tools/list` says."""
        schema: Mapping[str, Json] = self._tool(run, tool).get("outputSchema", {})
        return schema

    def is_read(self, run: Run, tool: str) -> bool:
        """Whether a tool changes nothing, as `tools/list` says."""
        return bool(self._tool(run, tool)["annotations"]["readOnlyHint"])

    def _tool(self, run: Run, tool: str) -> Mapping[str, Json]:
        if run.workflow not in self._tools:
            listed = self._mcp(run, "tools/list", {}, {})
            self._tools[run.workflow] = {one["name"]: one for one in listed["tools"]}
        found: Mapping[str, Json] = self._tools[run.workflow][tool]
        return found

    def _mcp(
        self, run: Run, method: str, params: Mapping[str, Json], meta: Mapping[str, Json], *, name: str = ""
    ) -> Json:
        about = {
            f"{_META}protocolVersion": _PROTOCOL,
            f"{_META}clientInfo": {"name": "agentdojo-gate", "version": "1"},
            f"{_META}clientCapabilities": {},
        }
        body = {"jsonrpc": "2.0", "id": 1, "method": method, "params": {**params, "_meta": {**about, **meta}}}
        headers = {
            "Accept": "application/json, text/event-stream",
            "MCP-Protocol-Version": _PROTOCOL,
            "Mcp-Method": method,
            **({"Mcp-Name": name} if name else {}),
        }
        answer = self._post("/mcp", body, run.token, headers)
        if "error" in answer:
            raise RuntimeError(f"{method} {name}: {answer['error']}")
        return answer["result"]

    def _post(self, path: str, body: Json, secret: str, headers: Mapping[str, str] | None = None) -> Json:
        sent = {"Authorization": f"Bearer {secret}", "Content-Type": "application/json", **(headers or {})}
        connection = self._connection()
        try:
            connection.request("POST", path, json.dumps(body).encode(), sent)
            answer = connection.getresponse()
            data = answer.read()
        except BaseException:
            # Half of an answer may be on its way: nothing else can be asked on this connection.
            connection.close()
            raise
        self._idle.append((time.monotonic(), connection))
        if answer.status >= HTTPStatus.BAD_REQUEST:
            raise RuntimeError(f"POST {path}: {answer.status} {data[:500]!r}")
        if "event-stream" in answer.headers.get("content-type", ""):
            data = next(line for line in data.splitlines() if line.startswith(b"data:") and b'"id"' in line)[5:]
        return json.loads(data)

    def _connection(self) -> HTTPConnection:
        """An idle connection, or a new one where a server may be about to close the old."""
        while self._idle:
            used_at, kept = self._idle.pop()
            if time.monotonic() - used_at < _KEPT_S:
                return kept
            kept.close()
        return HTTPConnection("127.0.0.1", self.port, timeout=_TIMEOUT_S)

    def close(self) -> None:
        """Nothing is asked any more."""
        while self._idle:
            self._idle.pop()[1].close()

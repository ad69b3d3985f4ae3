"""Room 5 for tools: the executor of each kind of tool, behind one port.

Knows: which executor a spec asks for.  Never: lets a credential out; every answer is scrubbed by value here, once.
"""

from collections.abc import Mapping
from typing import assert_never

from leverframe.core.scrub import scrubbed, scrubbed_text
from leverframe.domain.calls import ToolAnswer, ToolFailed, ToolLost, ToolOk, ToolRequest
from leverframe.domain.pins import Closed
from leverframe.domain.tools import BuiltInOrigin, McpOrigin, PythonOrigin, ToolOrigin, ToolSpec
from leverframe.ports.acting import ToolExecutor
from leverframe.ports.secrets import Secrets
from leverframe.tools.built_in import BuiltInTools


class ToolRouter(ToolExecutor):
    """All tools of a project."""

    def __init__(self, *, python: ToolExecutor, mcp: ToolExecutor, secrets: Secrets) -> None:
        self._executors: Mapping[type[ToolOrigin], ToolExecutor] = {
            PythonOrigin: python,
            McpOrigin: mcp,
            BuiltInOrigin: BuiltInTools(),
        }
        self._secrets = secrets

    async def execute(self, request: ToolRequest) -> ToolAnswer:
        """Do one attempt."""
        answer = await self._executors[type(request.spec.origin)].execute(request)
        known = self._secrets.known_values()
        match answer:
            case ToolOk(value=value):
                return ToolOk(value=scrubbed(value, known))
            case ToolFailed(message=message, kind=kind, value=value):
                return ToolFailed(message=scrubbed_text(message, known), kind=kind, value=scrubbed(value, known))
            case ToolLost(message=message, kind=kind, has_left=has_left):
                return ToolLost(message=scrubbed_text(message, known), kind=kind, has_left=has_left)
            case _:
                assert_never(answer)

    async def ready(self, spec: ToolSpec) -> str:
        """Say why this tool cannot be called now; empty when it can."""
        return scrubbed_text(await self._executors[type(spec.origin)].ready(spec), self._secrets.known_values())

    def closed(self, spec: ToolSpec) -> Closed | None:
        """Why no call of this tool may be sent, as far as is known without asking its server."""
        return self._executors[type(spec.origin)].closed(spec)

    def pin(self, spec: ToolSpec) -> str:
        """What a person reviewed of it."""
        return self._executors[type(spec.origin)].pin(spec)

    async def close(self) -> None:
        """Stop what was started."""
        for executor in self._executors.values():
            await executor.close()

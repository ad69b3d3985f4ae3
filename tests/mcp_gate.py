"""A whole gateway for tests: a project with MCP servers, its door, and `/mcp` on the loopback interface.

Its one credential is `KEY`.
"""

import asyncio
import json
import socket
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import uvicorn

from leverframe.config.project import load_project
from leverframe.domain.contracts import Contract
from leverframe.domain.errors import AuthRefused
from leverframe.domain.ids import EnvironmentName, PrincipalId, TenantId, WorkflowName
from leverframe.domain.labels import Integrity
from leverframe.mcp.app import McpApp
from leverframe.mcp.guests import Guest
from leverframe.runtime.outcomes import Stopped
from leverframe.runtime.outside import OutsideRun
from leverframe.runtime.sessions import Opening
from leverframe.wiring.assembly import Assembly, open_assembly
from tests.pinning import pin_everything

KEY: Final = "lf_test_key"
TENANT: Final = TenantId("default")


@dataclass(slots=True, kw_only=True)
class OneKey:
    """Whoever has the key comes in; its calls are of one run for each session, or of one for the key."""

    assembly: Assembly
    contract: Contract
    runs: dict[str, asyncio.Future[OutsideRun]]

    async def admit(self, headers: Mapping[str, str]) -> Guest:
        if headers.get("authorization") != f"Bearer {KEY}":
            raise AuthRefused(why="unknown")
        return Guest(name="key_test", run=lambda: self.run(headers.get("mcp-session-id", "")), stopped=self.stopped)

    async def stopped(self, run: OutsideRun, stopped: Stopped) -> None:
        """Its runs are the test's to end."""

    async def run(self, session: str) -> OutsideRun:
        """The session's run, opened by whoever asks first."""
        found = self.runs.get(session)
        if found is None:
            opening = Opening(
                tenant=TENANT,
                environment=EnvironmentName("default"),
                initiator=PrincipalId("key:key_test"),
                launcher=PrincipalId("key:key_test"),
                input={},
                opener_integrity=Integrity.THIRD_PARTY,
            )
            work = self.assembly.runner.open_outside(self.contract, opening)
            found = self.runs[session] = asyncio.ensure_future(work)
        return await asyncio.shield(found)


@asynccontextmanager
async def gate(folder: Path, workflow: str = "desk", *, page: str = "") -> AsyncIterator[tuple[Assembly, McpApp]]:
    """The application over an open project; everything its servers offer is pinned first."""
    project = load_project(folder)
    await pin_everything(project.servers, folder)
    async with open_assembly(project, create=True) as assembly:
        guests = OneKey(assembly=assembly, contract=project.contracts[WorkflowName(workflow)], runs={})
        app = McpApp(guests, assembly.upstreams, approval_url=lambda one: f"{page}/{one}" if page else "")
        async with app.running():
            yield assembly, app


@asynccontextmanager
async def served(
    folder: Path, workflow: str = "desk", *, port: int = 0, page: str = ""
) -> AsyncIterator[tuple[Assembly, str]]:
    """The same on a port of the loopback interface, with its address."""
    async with gate(folder, workflow, page=page) as (assembly, app):
        server = uvicorn.Server(uvicorn.Config(app, port=port, log_level="warning", lifespan="off"))
        # Bound before it serves: a request that comes early waits in the backlog.
        listening = socket.create_server(("127.0.0.1", port))
        running = asyncio.create_task(server.serve(sockets=[listening]))
        try:
            yield assembly, f"http://127.0.0.1:{listening.getsockname()[1]}/mcp"
        finally:
            server.should_exit = True
            await running


def write_gate(
    folder: Path, servers: Mapping[str, object], tools: Mapping[str, Mapping[str, object]], **more: object
) -> None:
    """A project whose contract allows all these tools: by name, what stands in their file."""
    parts = [f"{name}.{part}" for name, one in servers.items() for part in _parts(one)]
    (folder / "workflows").mkdir(parents=True, exist_ok=True)
    (folder / "tools").mkdir(exist_ok=True)
    (folder / "leverframe.yaml").write_text(
        json.dumps({"people": {"lena": {"roles": ["approver"]}}, "servers": servers})
    )
    contract: dict[str, object] = {
        "workflow": "desk",
        "budget": {"max_steps": 1_000_000, "max_tool_calls": 1_000_000},
        "policy": {"allow_tools": [*tools, *parts]},
    }
    (folder / "workflows" / "desk.yaml").write_text(json.dumps(contract | more))
    for name, spec in tools.items():
        (folder / "tools" / f"{name}.yaml").write_text(json.dumps({"tool": name, **spec}))


def _parts(server: object) -> list[str]:
    keys = server if isinstance(server, Mapping) else {}
    found = [part for key, part in (("resources", "resource"), ("prompts", "prompt")) if keys.get(key)]
    return [*found, *(["completion"] if found else []), *keys.get("may_ask", [])]

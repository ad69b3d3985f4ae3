"""An agent in a process of its own that calls without pause and says what became of each call, one JSON line each.

    python -m tests.kill_worker PROJECT

It reads with `peek` and writes with `set_status` in turn, until standard input is closed, once at least.  A line: the
tool, the outcome's name, its rule, and when it was known (seconds since the epoch, as `time.time`).
"""

import asyncio
import json
import sys
import time
from pathlib import Path

from leverframe.config.project import load_project
from leverframe.domain.ids import EnvironmentName, PrincipalId, TenantId, WorkflowName
from leverframe.domain.json import JsonObject
from leverframe.runtime.outcomes import Refused
from leverframe.runtime.sessions import Opening
from leverframe.wiring.assembly import open_assembly

_PAUSE_S = 0.01


async def main(folder: Path) -> None:
    """Call until standard input ends."""
    project = load_project(folder)
    opening = Opening(
        tenant=TenantId("default"),
        environment=EnvironmentName("default"),
        initiator=PrincipalId("agent:desk"),
        launcher=PrincipalId("os:maria"),
        input={"customer_id": "c_1"},
    )
    stopped = asyncio.create_task(asyncio.to_thread(sys.stdin.read))
    async with open_assembly(project, create=True) as assembly:
        run = await assembly.runner.open_outside(project.contracts[WorkflowName("desk")], opening)
        number = 0
        while not (number and stopped.done()):
            number += 1
            tool = ("set_status", "peek")[number % 2]
            order: JsonObject = {"order_id": "W00001"}
            more: JsonObject = {"status": f"s{number}"} if tool == "set_status" else {}
            outcome = await run.call_tool(tool, {**order, **more})
            rule = outcome.reasons[0].rule if isinstance(outcome, Refused) else ""
            told = {"tool": tool, "outcome": type(outcome).__name__, "rule": rule, "at": time.time()}
            sys.stdout.write(json.dumps(told) + "\n")
            sys.stdout.flush()
            await asyncio.sleep(_PAUSE_S)


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1])))

"""A process that asks the door for many calls at once: `python -m tests.budget_worker FOLDER CALLS`.

It waits for a line on standard input, so that several of them begin together, and prints how its calls came out.
"""

import asyncio
import sys
from collections import Counter
from pathlib import Path

from leverframe.config.project import load_project
from leverframe.domain.ids import EnvironmentName, PrincipalId, TenantId, WorkflowName
from leverframe.runtime.outcomes import ToolOutcome
from leverframe.runtime.sessions import Opening
from leverframe.wiring.assembly import open_assembly


async def main(folder: Path, calls: int) -> None:
    project = load_project(folder)
    agent = PrincipalId("agent:desk")
    opening = Opening(
        tenant=TenantId("default"),
        environment=EnvironmentName("default"),
        initiator=agent,
        launcher=agent,
        input={"customer_id": "c_1"},
    )
    async with open_assembly(project, create=True) as assembly:
        run = await assembly.runner.open_outside(project.contracts[WorkflowName("desk")], opening)
        sys.stdout.write("ready\n")
        sys.stdout.flush()
        await asyncio.to_thread(sys.stdin.readline)
        asked = (run.call_tool("look_up", {"order_id": "W00001"}) for _ in range(calls))
        outcomes: list[ToolOutcome] = await asyncio.gather(*asked)
    for name, count in sorted(Counter(type(one).__name__ for one in outcomes).items()):
        sys.stdout.write(f"{name} {count}\n")


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1]), int(sys.argv[2])))

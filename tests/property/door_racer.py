"""An agent in a process of its own: `python -m tests.property.door_racer FOLDER NAME COUNT AMOUNT`.

Says `ready`, waits for a line, then asks for COUNT refunds at once for the subject `c_1`, and says how many were done.
"""

import asyncio
import sys
from pathlib import Path

from leverframe.config.project import load_project
from leverframe.domain.errors import Contended
from leverframe.domain.ids import PrincipalId, WorkflowName
from leverframe.runtime.outcomes import Answered
from leverframe.runtime.outside import OutsideRun
from leverframe.runtime.sessions import Opening
from leverframe.wiring.assembly import open_assembly


async def ask(run: OutsideRun, note: str, amount: int) -> bool:
    while True:
        try:
            outcome = await run.call_tool("issue_refund", {"order_id": "W00001", "amount_usd": amount, "note": note})
        except Contended:
            continue
        return isinstance(outcome, Answered)


async def race(folder: Path, name: str, times: int, amount: int) -> int:
    project = load_project(folder)
    contract = project.contracts[WorkflowName("desk")]
    async with open_assembly(project, create=False) as assembly:
        opening = Opening(
            tenant=project.tenants[0],
            environment=contract.environments[0],
            initiator=PrincipalId("agent:desk"),
            launcher=PrincipalId(f"os:{name}"),
            input={"customer_id": "c_1"},
        )
        run = await assembly.runner.open_outside(contract, opening)
        print("ready", flush=True)  # noqa: T201 the signal that the test waits for
        await asyncio.to_thread(sys.stdin.readline)
        return sum(await asyncio.gather(*(ask(run, f"{name}{number}", amount) for number in range(times))))


if __name__ == "__main__":
    done = asyncio.run(race(Path(sys.argv[1]), sys.argv[2], int(sys.argv[3]), int(sys.argv[4])))
    print(done)  # noqa: T201 what the test adds up

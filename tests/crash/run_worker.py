"""A process that works through a file until it is done or killed: `python -m tests.crash.run_worker FOLDER`.

Like `leverframe run batch --file orders.jsonl`, and then like the person who grants what is held, so that a kill may
meet every kind of moment in the life of a run.
"""

import asyncio
import sys
from pathlib import Path

from leverframe.config.project import load_project
from leverframe.domain.approvals import AnswerWord, ApprovalState
from leverframe.domain.contracts import Contract
from leverframe.domain.ids import PrincipalId, TenantId, WorkflowName
from leverframe.runtime.answers import answer
from leverframe.runtime.backfill import Item, backfill, read_items
from leverframe.runtime.sessions import Opening
from leverframe.wiring.assembly import Assembly, open_assembly

TENANT = TenantId("default")
LENA = PrincipalId("person:lena")


async def work(folder: Path) -> None:
    project = load_project(folder)
    contract = project.contracts[WorkflowName("batch")]
    async with open_assembly(project, create=True) as assembly:

        def hash_of(line: bytes) -> bytes:
            return assembly.services.fingerprints.fingerprint(TENANT, "item", line)

        for item in read_items((folder / "orders.jsonl").read_bytes().splitlines(), "orders.jsonl", hash_of):
            await _advance(assembly, contract, item)
            await _grant(assembly)
            await _advance(assembly, contract, item)


async def _grant(assembly: Assembly) -> None:
    """Lena grants whatever waits."""
    services, lena = assembly.services, assembly.project.people[LENA]
    for approval in await services.approvals.approvals(ApprovalState.PENDING, 1000):
        await answer(services, approval.approval_id, lena, AnswerWord.GRANT, reason="", proof="scripted")


async def _advance(assembly: Assembly, contract: Contract, item: Item) -> None:
    template = Opening(
        tenant=TENANT,
        environment=contract.environments[0],
        initiator=PrincipalId("agent:batch"),
        launcher=PrincipalId("os:test"),
        input={},
    )
    async for done in backfill(assembly.runner, contract, template, [item]):
        assert not done.problem, done.problem


if __name__ == "__main__":
    asyncio.run(work(Path(sys.argv[1])))

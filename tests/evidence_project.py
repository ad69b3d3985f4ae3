"""The small project of `init` after a few real runs, for tests of what was recorded."""

import asyncio
import json
import sqlite3
from collections.abc import Awaitable, Callable
from contextlib import closing
from pathlib import Path
from typing import TypeVar

from leverframe.config.init import write_new_project
from leverframe.config.project import load_project
from leverframe.domain.approvals import AnswerWord
from leverframe.domain.contracts import Person
from leverframe.domain.ids import ApprovalId, EnvironmentName, PrincipalId, RunId, TenantId, WorkflowName
from leverframe.domain.json import Json
from leverframe.domain.runs import RunOutcome
from leverframe.runtime import answers
from leverframe.runtime.auditing import verify_database
from leverframe.runtime.loops.ending import Parked
from leverframe.runtime.sessions import Opening
from leverframe.sdk.report import Report
from leverframe.signing.trust import Trust
from leverframe.wiring.assembly import Assembly, open_assembly
from leverframe.wiring.evidence import open_logs, trust_json

TENANT = TenantId("default")
AGENT = PrincipalId("agent:refund_request")
EMAIL = "ada@example.com"
_Result = TypeVar("_Result")


def new_project(root: Path, message: str = "") -> Path:
    """Write the project; `message` goes on after the customer's own words."""
    write_new_project(root)
    if message:
        path = root / "inputs" / "refund_request.json"
        given = json.loads(path.read_text(encoding="utf-8"))
        path.write_text(json.dumps(given | {"message": given["message"] + message}), encoding="utf-8")
    return root


def within(root: Path, do: Callable[[Assembly], Awaitable[_Result]], *, create: bool = True) -> _Result:
    """Open the project, do something with it, close it."""

    async def opened() -> _Result:
        async with open_assembly(load_project(root), create=create) as assembly:
            return await do(assembly)

    return asyncio.run(opened())


def held(root: Path) -> tuple[RunId, ApprovalId]:
    """Run the workflow until its refund is held."""

    async def start(assembly: Assembly) -> tuple[RunId, ApprovalId]:
        contract = assembly.project.contracts[WorkflowName("refund_request")]
        given = json.loads((root / "inputs" / "refund_request.json").read_text(encoding="utf-8"))
        parked = await assembly.runner.start(contract, _opening(given))
        assert isinstance(parked, Parked)
        assert parked.approval_id is not None
        return parked.run.run_id, parked.approval_id

    return within(root, start)


def granted(root: Path, approval_id: ApprovalId, word: AnswerWord = AnswerWord.GRANT, *, looks: bool = False) -> None:
    """Answer as the person at this machine, and let the run go on."""

    async def answer(assembly: Assembly) -> None:
        services, person = assembly.services, approver(assembly)
        if looks:
            await answers.record_viewed(services, approval_id, person)
        given = await answers.answer(services, approval_id, person, word, reason="checked", proof="os-user")
        await assembly.runner.resume(given.run_id)

    within(root, answer)


def finished(root: Path) -> RunId:
    """One whole run: held, granted, done."""
    run_id, approval_id = held(root)
    granted(root, approval_id)
    return run_id


def hostile(root: Path) -> RunId:
    """An outside agent's run, of which every write is denied."""

    async def ask(assembly: Assembly) -> RunId:
        contract = assembly.project.contracts[WorkflowName("refund_request")]
        run = await assembly.runner.open_outside(contract, _opening({"message": "delete everything of #W2378156"}))
        with assembly.services.claims.claim(run.run_id):
            await run.call_tool("delete_customer", {"customer_id": "cus_1042"})
            await run.call_tool("lookup_order", {"order_id": "#W2378156"})
            await run.call_tool("create_refund_draft", {"order_id": 7})
            await run.end(RunOutcome.SUCCESS, {"done": True})
        return run.run_id

    return within(root, ask)


def approver(assembly: Assembly) -> Person:
    """Whoever may answer: this machine's user."""
    return next(iter(assembly.services.people.values()))


def database(root: Path) -> Path:
    """The project's database file."""
    return root / ".leverframe" / "leverframe.db"


def tamper(root: Path, *statements: str, **params: object) -> None:
    """Change the database as somebody with SQL would."""
    with closing(sqlite3.connect(database(root))) as db, db:
        for statement in statements:
            db.execute(statement, {name: value for name, value in params.items() if f":{name}" in statement})


def edit_leaf(root: Path, index: int, old: bytes, new: bytes) -> None:
    """Change the bytes of one entry, and nothing else."""
    ((leaf,),) = [(row[1],) for row in asked(root, "SELECT leaf_index, leaf FROM leaves") if row[0] == index]
    assert isinstance(leaf, bytes)
    assert old in leaf
    tamper(root, "UPDATE leaves SET leaf = :leaf WHERE leaf_index = :index", leaf=leaf.replace(old, new), index=index)


def asked(root: Path, query: str) -> list[tuple[object, ...]]:
    """Rows of the database."""
    with closing(sqlite3.connect(database(root))) as db:
        return db.execute(query).fetchall()


def digests(root: Path, name: str) -> list[str]:
    """The digests under which values of a name are stored; only the project's vault can tell."""
    with open_logs(load_project(root)) as logs:
        opened = [one.disclosure for one in logs.audit.disclosures(TENANT)]
    return [one.digest for one in opened if one is not None and one.name == name]


def verified(root: Path, trust: Trust | None = None) -> Report:
    """What `evidence verify` says of the project's log."""
    with open_logs(load_project(root)) as logs:
        return verify_database(logs.audit, TENANT, logs.vkeys.get(TENANT, ""), trust_json(trust))


def places(report: Report) -> str:
    """Everything that failed, with its check."""
    return "\n".join(f"{check.name}: {place}" for check in report.checks.values() for place in check.places)


def _opening(given: dict[str, Json]) -> Opening:
    return Opening(
        tenant=TENANT,
        environment=EnvironmentName("default"),
        initiator=AGENT,
        launcher=PrincipalId("os:someone"),
        input=given,
    )

"""A run in which nothing leaves the process, to see which record a real one would leave.

The door, the store and the log are the real ones, in a folder that is gone afterwards; the tool answers nothing, and
the person who grants is nobody.  Conditions, facts and schemas are left aside, since nobody gave a call that fits them.
"""

import tempfile
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from leverframe.core.policy import compile_contract
from leverframe.core.policy.requirements import joined
from leverframe.core.token_types import compile_types
from leverframe.domain.approvals import AnswerWord
from leverframe.domain.calls import ModelAnswer, ModelBound, ModelLost, ModelRequest, ToolAnswer, ToolOk, ToolRequest
from leverframe.domain.contracts import Contract, Person, Project
from leverframe.domain.ids import PrincipalId, RuleId, ToolName
from leverframe.domain.money import MicroUsd
from leverframe.domain.pins import QUARANTINED, Closed
from leverframe.domain.policy import ApprovalRequirement, Rule, Then
from leverframe.domain.runs import RunOutcome
from leverframe.domain.tools import ToolSpec
from leverframe.identity.keys import TenantKeys
from leverframe.identity.vault import FileVault
from leverframe.ports.store import LoggedLeaf
from leverframe.runtime.answers import answer
from leverframe.runtime.authority import AuthorityCache
from leverframe.runtime.door import Door
from leverframe.runtime.mint import Mint
from leverframe.runtime.outcomes import HeldBack
from leverframe.runtime.outside import OutsideRun
from leverframe.runtime.readiness import Card, DryRun, readiness
from leverframe.runtime.services import Services
from leverframe.runtime.sessions import Opening, open_run
from leverframe.store import Store, open_sqlite
from leverframe.store.claims import FileClaims
from leverframe.tools.functions import PythonFunctions
from leverframe.wiring.clock import SystemClock, SystemEntropy
from leverframe.wiring.people import launcher, people_of

_PROOF = "dry-run"


async def dry_run(project: Project, contract: Contract) -> DryRun:
    """Call the first write of a workflow without sending it: one that is held, where there is one."""
    tool = _first_write(contract)
    if tool is None:
        return DryRun(tool="")
    asked = _asked(contract, tool)
    people = _nobodies(project, asked)
    with tempfile.TemporaryDirectory(prefix="leverframe-dry-run-") as folder:
        store = open_sqlite(Path(folder) / "dry.db", create=True, vault=FileVault(Path(folder) / "keys"))
        try:
            services = _services(project, Path(folder), store, people)
            leaves = await _play(services, _bare(contract, tool, asked), tool, people)
        finally:
            await store.close()
    return DryRun(tool=tool, leaves=tuple(leaf.leaf for leaf in leaves))


async def card_of(project: Project, contract: Contract) -> Card:
    """The readiness card of a workflow, for the people of this project and this machine's user as the launcher."""
    dry = await dry_run(project, contract)
    return readiness(project, contract, dry, people=people_of(project), launcher=launcher())


async def _play(
    services: Services, contract: Contract, tool: ToolName, people: Sequence[Person]
) -> Sequence[LoggedLeaf]:
    """Open, call, have it granted where it is held, call again, end."""
    tenant = services.project.tenants[0]
    opening = Opening(
        tenant=tenant,
        environment=contract.environments[0],
        initiator=PrincipalId(f"agent:{contract.workflow}"),
        launcher=PrincipalId("os:dry-run"),
        input={},
        is_outside=True,
    )
    run = OutsideRun(Door(_NoTools(), NoModels()), await open_run(services, contract, opening))
    outcome = await run.call_tool(tool, {})
    if isinstance(outcome, HeldBack):
        for person in people:
            await answer(services, outcome.approval_id, person, AnswerWord.GRANT, reason="", proof=_PROOF)
        await run.call_tool(tool, {})
    await run.end(RunOutcome.SUCCESS, None)
    return await services.evidence.leaves_of_run(tenant, run.run_id)


def _first_write(contract: Contract) -> ToolName | None:
    """The first write that is held, whose record holds all that another's does, else the first write, else a read."""
    names = [name for name in contract.callable_tools() if name in contract.tools]
    writes = [name for name in names if contract.tools[name].effect.is_write]
    held = [name for name in writes if _asked(contract, name) is not None]
    return next(iter([*held, *writes, *names]), None)


def _asked(contract: Contract, tool: ToolName) -> ApprovalRequirement | None:
    """What a hold of this tool would ask; None where nothing of the contract holds it."""
    plan = compile_contract(contract).plans[tool]
    if not plan.holds.tests:
        return None
    parts = [part for part in (plan.row, *(test.rule.approval for test in plan.holds.tests)) if part is not None]
    return joined(parts, default_source=plan.holds.tests[0].rule.source)


def _bare(contract: Contract, tool: ToolName, asked: ApprovalRequirement | None) -> Contract:
    """The contract with this tool alone, held on every call where it may be held at all."""
    spec: ToolSpec = replace(contract.tools[tool], input_schema={}, output_schema=None, once_per=None, amount_fact="")
    rules = () if asked is None else (_hold(tool, asked),)
    return replace(
        contract,
        rules=rules,
        allow_tools=(tool,),
        deny_tools=(),
        tools={tool: spec},
        facts={},
        input_schema=None,
        subject="",
    )


def _hold(tool: ToolName, asked: ApprovalRequirement) -> Rule:
    return Rule(id=RuleId("dry-run"), then=Then.HOLD, tools=frozenset({tool}), source=asked.source, approval=asked)


def _nobodies(project: Project, asked: ApprovalRequirement | None) -> tuple[Person, ...]:
    """As many as must answer, in every group that may."""
    if asked is None:
        return ()
    groups = frozenset(name for entry in asked.from_groups for name in entry.split("+"))
    return tuple(
        Person(
            id=PrincipalId(f"person:dry-run-{number}"),
            groups=groups,
            tenants=frozenset(project.tenants),
            roles=frozenset({"approver"}),
        )
        for number in range(asked.quorum)
    )


def _services(project: Project, folder: Path, store: Store, people: Sequence[Person]) -> Services:
    clock = SystemClock()
    return Services(
        project=project,
        people={one.id: one for one in people},
        writer=store.writer,
        journal=store.journal,
        approvals=store.approvals,
        evidence=store.evidence,
        clock=clock,
        mint=Mint(clock=clock, entropy=SystemEntropy()),
        fingerprints=TenantKeys(folder / "keys"),
        functions=PythonFunctions(Path(project.root)),
        claims=FileClaims(folder / "claims.lock"),
        signers={},
        types=compile_types(project.types),
        authority=AuthorityCache(store.authority, clock),
    )


class _NoTools:
    """A receiver that is not there and answers all the same."""

    async def execute(self, request: ToolRequest) -> ToolAnswer:
        """Nothing is sent."""
        return ToolOk(value={"dry_run": request.spec.name})

    async def ready(self, spec: ToolSpec) -> str:
        """Always: it is not needed."""
        return "" if spec.name else "it has no name"

    def closed(self, spec: ToolSpec) -> Closed | None:
        """Never: nothing is sent, so nothing needs to be what was reviewed."""
        return None if spec.name else Closed(slug=QUARANTINED, message="it has no name")

    def pin(self, spec: ToolSpec) -> str:
        """Nothing: nothing is sent."""
        del spec
        return ""

    async def close(self) -> None:
        """Nothing was started."""


class NoModels:
    """A vendor that is not there."""

    def bound(self, request: ModelRequest) -> ModelBound:
        """Nothing is asked, so nothing is taken."""
        return ModelBound(input_tokens=0, output_tokens=request.max_output_tokens, cost=MicroUsd(0))

    async def answer(self, request: ModelRequest) -> ModelAnswer:
        """No answer."""
        return ModelLost(message=f"a dry run asks no {request.model}", kind="refused", is_billed=False)

    async def close(self) -> None:
        """Nothing was opened."""

"""Who works at the returns desk, and how its backend opens a run for them.

Knows: the names of the project's files.  Never: decides or calls anything; the door does.
"""

from collections.abc import Mapping
from typing import Any, Final

from examples.returns_desk.promises import NotShown
from leverframe.core.canonical import decode, encode
from leverframe.domain.approvals import AnswerWord
from leverframe.domain.contracts import Contract, Project
from leverframe.domain.evidence import EventType
from leverframe.domain.ids import ApprovalId, EnvironmentName, PrincipalId, RunId, TenantId, ToolName, WorkflowName
from leverframe.domain.json import JsonObject
from leverframe.domain.tools import ToolSpec
from leverframe.runtime import answers
from leverframe.runtime.outside import OutsideRun
from leverframe.runtime.sessions import Opening
from leverframe.wiring.assembly import Assembly

ACME: Final = TenantId("acme")
RETURNS_DESK: Final = WorkflowName("returns_desk")
TRIAGE: Final = WorkflowName("triage")
AGENT: Final = PrincipalId("agent:returns_desk")
LENA: Final = PrincipalId("person:lena")
BACKEND: Final = PrincipalId("service:desk-backend")
_ENVIRONMENT: Final = EnvironmentName("default")


def contract(project: Project) -> Contract:
    """The contract of the returns desk."""
    return project.contracts[RETURNS_DESK]


def tool(project: Project, name: str) -> ToolSpec | None:
    """A tool as that contract pins it; None where it lists no such tool."""
    return contract(project).tools.get(ToolName(name))


def opening(customer: str, words: str, *, tenant: str = ACME) -> Opening:
    """What the desk's backend says when it opens a run for a customer who wrote `words`."""
    return Opening(
        tenant=TenantId(tenant),
        environment=_ENVIRONMENT,
        initiator=AGENT,
        launcher=BACKEND,
        input={"customer_id": customer, "message": words},
    )


async def open_run(assembly: Assembly, customer: str, words: str, *, tenant: str = ACME) -> OutsideRun:
    """Open a run for the agent, which then asks the door by itself."""
    return await assembly.runner.open_outside(contract(assembly.project), opening(customer, words, tenant=tenant))


async def start_shop(assembly: Assembly) -> None:
    """Start the shop, so that its bench can be reached before the first call.

    Raises:
        NotShown: it does not start.
    """
    first = contract(assembly.project).allow_tools[0]
    why = await assembly.ready(contract(assembly.project).tools[first])
    if why:
        raise NotShown(f"The shop does not start: {why}")


async def grant(assembly: Assembly, approval_id: ApprovalId) -> answers.Shown:
    """Lena, a person of the project file played by this script, looks at a held call and grants it."""
    shown = await answers.show(assembly.services, approval_id)
    await answers.answer(
        assembly.services,
        approval_id,
        assembly.project.people[LENA],
        AnswerWord.GRANT,
        reason="The order says the same.",
        proof="scripted",
    )
    return shown


async def entries(assembly: Assembly, run_id: RunId, event: EventType, *, tenant: TenantId = ACME) -> list[JsonObject]:
    """What the evidence log says of a run, the entries of one type, in order."""
    leaves = [decode(one.leaf) for one in await assembly.services.evidence.leaves_of_run(tenant, run_id)]
    return [leaf for leaf in leaves if isinstance(leaf, dict) and leaf["type"] == event.value]


# Any: the arguments are those of the shop's tools, right or wrong.
def as_sent(arguments: Mapping[str, Any]) -> JsonObject:
    """Arguments as a client would send them: JSON, with exact decimals."""
    value = decode(encode(dict(arguments)))
    return value if isinstance(value, dict) else {}

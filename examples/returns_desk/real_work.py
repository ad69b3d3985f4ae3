"""Part 1: the recorded calls of all 114 cases through the door to an unchanged shop, held against a direct replay."""

import asyncio
import time
from collections import Counter
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field
from decimal import Decimal
from multiprocessing import get_context
from typing import Final

from examples.returns_desk.cases import GIVES_MONEY_BACK, Case, RecordedCall, direct_replay, load
from examples.returns_desk.screen import Screen
from examples.returns_desk.stage import Stage
from leverframe.core.canonical import decode, encode
from leverframe.domain.approvals import AnswerWord
from leverframe.domain.contracts import Person
from leverframe.domain.ids import ApprovalId, EnvironmentName, PrincipalId, RunId, TenantId, WorkflowName
from leverframe.domain.json import JsonObject
from leverframe.domain.runs import RunOutcome
from leverframe.runtime import answers
from leverframe.runtime.outcomes import Answered, HeldBack, Refused, ToolOutcome
from leverframe.runtime.outside import OutsideRun
from leverframe.runtime.sessions import Opening
from leverframe.wiring.assembly import Assembly

LENA: Final = PrincipalId("person:lena")
AGENT: Final = PrincipalId("agent:returns_desk")
WORKFLOW: Final = WorkflowName("returns_desk")
_ENVIRONMENT: Final = EnvironmentName("default")


@dataclass(slots=True, kw_only=True)
class Tally:
    """What came of part 1, counted as it happened."""

    calls: int = 0
    outcomes: Counter[str] = field(default_factory=Counter)
    waited_usd: Decimal = Decimal(0)
    equal: int = 0
    runs: list[RunId] = field(default_factory=list)
    different: list[str] = field(default_factory=list)
    refused: list[str] = field(default_factory=list)


async def play_all(stage: Stage, assembly: Assembly, screen: Screen) -> Tally:
    """Play every case in a shop of its own, with one scripted person who grants what is held."""
    cases, tally = load(), Tally()
    began = time.monotonic()
    # The expectation is computed by another process, on the toolkit alone, while the door does the work.
    with ProcessPoolExecutor(max_workers=1, mp_context=get_context("spawn")) as pool:
        expected = [pool.submit(direct_replay, case) for case in cases]
        for number, case in enumerate(cases, start=1):
            await asyncio.to_thread(stage.bench.open)
            await _play(assembly, case, tally)
            got = await asyncio.to_thread(stage.bench.hash)
            want = await asyncio.wrap_future(expected[number - 1])
            tally.equal += got == want
            if got != want:
                tally.different.append(case.case_id)
            screen.progress(number, len(cases), f"{tally.calls} calls   {time.monotonic() - began:.0f} s")
    return tally


async def warm_up(assembly: Assembly) -> None:
    """Start the shop, so that its bench can be reached."""
    project = assembly.project
    spec = project.contracts[WORKFLOW].tools[next(iter(project.contracts[WORKFLOW].allow_tools))]
    why = await assembly.ready(spec)
    if why:
        raise RuntimeError(f"The shop does not start: {why}")


async def _play(assembly: Assembly, case: Case, tally: Tally) -> None:
    run = await open_run(assembly, case.tenant, case.customer, case.words)
    tally.runs.append(run.run_id)
    for call in case.calls:
        tally.calls += 1
        outcome = await run.call_tool(call.tool, arguments(call))
        if isinstance(outcome, HeldBack):
            await grant(assembly, outcome.approval_id)
            tally.waited_usd += await _value(assembly, outcome.approval_id)
            outcome = await run.call_tool(call.tool, arguments(call))
            tally.outcomes["held, granted by lena, done once"] += isinstance(outcome, Answered)
        _count(tally, assembly, call, outcome)
    await run.end(RunOutcome.SUCCESS, {"case": case.case_id})


def _count(tally: Tally, assembly: Assembly, call: RecordedCall, outcome: ToolOutcome) -> None:
    spec = assembly.project.contracts[WORKFLOW].tools.get(call.tool)  # type: ignore[call-overload]  # a plain str key
    kind = "write" if spec is not None and spec.effect.is_write else "read"
    match outcome:
        case Answered():
            tally.outcomes[f"{kind} done"] += 1
        case Refused():
            tally.outcomes["denied"] += 1
            tally.refused.append(f"{call.call_id} {outcome.message}")
        case _:
            tally.outcomes[f"{kind} refused by the shop"] += 1


async def open_run(assembly: Assembly, tenant: str, customer: str, words: str) -> OutsideRun:
    """Open a run for the outside agent, as the desk's backend does."""
    opening = Opening(
        tenant=TenantId(tenant),
        environment=_ENVIRONMENT,
        initiator=AGENT,
        launcher=PrincipalId("service:desk-backend"),
        input={"customer_id": customer, "message": words},
    )
    return await assembly.runner.open_outside(assembly.project.contracts[WORKFLOW], opening)


async def grant(assembly: Assembly, approval_id: ApprovalId) -> None:
    """Lena, a second person, looks and grants."""
    lena = assembly.project.people[LENA]
    await answers.show(assembly.services, approval_id)
    await answers.answer(
        assembly.services, approval_id, lena, AnswerWord.GRANT, reason="checked against the order", proof="scripted"
    )


async def _value(assembly: Assembly, approval_id: ApprovalId) -> Decimal:
    shown = await answers.show(assembly.services, approval_id)
    facts = shown.envelope.get("facts") if isinstance(shown.envelope, dict) else None
    value = facts["refund_value"]["value"] if isinstance(facts, dict) else 0
    return Decimal(str(value))


def arguments(call: RecordedCall) -> JsonObject:
    """The recorded arguments, as a client would send them."""
    value = decode(encode(dict(call.arguments)))
    return value if isinstance(value, dict) else {}

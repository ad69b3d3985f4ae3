"""Part 1: the recorded calls of the cases through the door to an unchanged shop, held against a direct replay.

Knows: how a recorded agent and a scripted person work a case, and what came of each call.
"""

import asyncio
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from enum import StrEnum

from examples.returns_desk.cases import Case, RecordedCall, is_write
from examples.returns_desk.desk import as_sent, grant, open_run, tool
from examples.returns_desk.expected import Expected, Replay, direct_replay
from examples.returns_desk.looking import LookedUp
from examples.returns_desk.promises import Promises
from examples.returns_desk.screen import Screen
from examples.returns_desk.stage import Stage
from leverframe.domain.json import Json
from leverframe.domain.runs import RunOutcome
from leverframe.runtime.outcomes import Answered, HeldBack, Refused, ToolOutcome
from leverframe.wiring.assembly import Assembly


class Came(StrEnum):
    """What came of one recorded call.  Every call is counted under exactly one of these."""

    READ = "read"
    WRITTEN = "written at once"
    GRANTED = "held, granted, done once"
    DENIED = "denied"
    REFUSED = "refused by the shop"
    GRANTED_AND_REFUSED = "held, granted, refused by the shop"


@dataclass(slots=True, kw_only=True)
class Tally:
    """What came of part 1, counted as it happened.

    `refused_alike` counts the cases in which the shop refused the same calls as in the direct replay, those left aside
    that the door denied before; `denied_in_vain` counts the denied ones that the shop would have refused as well, and
    `looked_up` the reads that the record leaves out.
    """

    cases: int = 0
    calls: int = 0
    came: Counter[Came] = field(default_factory=Counter)
    waited_usd: Decimal = Decimal(0)
    equal: int = 0
    refused_alike: int = 0
    denied_in_vain: int = 0
    looked_up: int = 0
    different: list[str] = field(default_factory=list)

    @property
    def held(self) -> int:
        """Calls that waited for a person."""
        return self.came[Came.GRANTED] + self.came[Came.GRANTED_AND_REFUSED]


async def show_real_work(
    stage: Stage, assembly: Assembly, screen: Screen, promises: Promises, cases: Sequence[Case]
) -> Tally:
    """Play the cases and say what came of them."""
    screen.line()
    title = "customer cases (tau2-bench retail) through the door to an unchanged shop"
    screen.line(f"1  Real work   {len(cases)} {title}")
    tally = await play_all(stage, assembly, screen, cases)
    came = tally.came
    screen.line(
        f"reads {came[Came.READ] + tally.looked_up}   writes {came[Came.WRITTEN]} done at once, {tally.held} held and"
        " granted by lena, a scripted person",
        indent=3,
    )
    screen.line(
        f"denied {came[Came.DENIED]} reads of orders that do not exist   refused by the shop itself"
        f" {came[Came.REFUSED] + came[Came.GRANTED_AND_REFUSED]}, the same in both",
        indent=3,
    )
    screen.line(
        f"shop databases equal to a run without Leverframe: {tally.equal} of {tally.cases}"
        f"    waited for a person: ${tally.waited_usd:,.2f}",
        indent=3,
    )
    promises.expect("databases equal to the direct replay", tally.equal, len(cases))
    promises.expect("cases in which the shop refused what it refuses without the door", tally.refused_alike, len(cases))
    promises.expect("denied calls that the shop refuses too", tally.denied_in_vain, came[Came.DENIED])
    return tally


async def play_all(stage: Stage, assembly: Assembly, screen: Screen, cases: Sequence[Case]) -> Tally:
    """Play every case in a shop of its own, with one scripted person who grants what is held."""
    tally = Tally()
    began = time.monotonic()
    async with direct_replay(cases) as replay:
        for number, case in enumerate(cases, start=1):
            await _play_one(stage, assembly, case, replay, tally)
            screen.progress(number, len(cases), f"{tally.calls} calls   {time.monotonic() - began:.0f} s")
    return tally


async def _play_one(stage: Stage, assembly: Assembly, case: Case, replay: Replay, tally: Tally) -> None:
    await asyncio.to_thread(stage.bench.open)
    refused, denied = await _play(assembly, case, tally)
    found = await asyncio.to_thread(stage.bench.hash)
    wanted: Expected = await replay.next(case)
    tally.cases += 1
    tally.equal += found == wanted.hash
    tally.refused_alike += refused == wanted.refused - denied
    tally.denied_in_vain += len(denied & wanted.refused)
    if found != wanted.hash:
        tally.different.append(case.case_id)


async def _play(assembly: Assembly, case: Case, tally: Tally) -> tuple[set[str], set[str]]:
    """Work one case; the ids of the calls that the shop refused, and of those that the door denied."""
    run = await open_run(assembly, case.customer, case.words, tenant=case.tenant)
    ids: dict[Came, set[str]] = {came: set() for came in Came}
    looked = LookedUp(run, case.customer)
    with assembly.services.claims.claim(run.run_id):
        for call in case.calls:
            tally.calls += 1
            if is_write(call):
                tally.looked_up += await looked.before(call)
            outcome = await run.call_tool(call.tool, as_sent(call.arguments))
            is_granted = isinstance(outcome, HeldBack)
            if isinstance(outcome, HeldBack):
                shown = await grant(assembly, outcome.approval_id)
                tally.waited_usd += refund_of(shown.envelope)
                outcome = await run.call_tool(call.tool, as_sent(call.arguments))
            came = _came(assembly, call, outcome, is_granted=is_granted)
            tally.came[came] += 1
            ids[came].add(call.call_id)
        await run.end(RunOutcome.SUCCESS, {"case": case.case_id})
    return ids[Came.REFUSED] | ids[Came.GRANTED_AND_REFUSED], ids[Came.DENIED]


def _came(assembly: Assembly, call: RecordedCall, outcome: ToolOutcome, *, is_granted: bool) -> Came:
    spec = tool(assembly.project, call.tool)
    match outcome:
        case Refused():
            return Came.DENIED
        case Answered() if is_granted:
            return Came.GRANTED
        case Answered():
            return Came.WRITTEN if spec is not None and spec.effect.is_write else Came.READ
        case _:
            return Came.GRANTED_AND_REFUSED if is_granted else Came.REFUSED


def refund_of(envelope: Json) -> Decimal:
    """What a call gives back, as the door read it before it decided; nothing where no such fact was read."""
    facts = envelope.get("facts") if isinstance(envelope, dict) else None
    fact = facts.get("refund_value") if isinstance(facts, dict) else None
    value = fact.get("value") if isinstance(fact, dict) else None
    return Decimal(str(value)) if value is not None else Decimal(0)

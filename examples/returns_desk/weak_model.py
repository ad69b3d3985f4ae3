"""Part 2: a real and weak model sorts customers' messages; what it invents stays where it can do no harm.

Knows: what each message asks for by the recorded work, and which order numbers stand in it.
Never: takes the model's or the journal's word for what reached the shop: the shop is asked.
"""

import asyncio
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

from examples.returns_desk.cases import Case
from examples.returns_desk.desk import TRIAGE, opening
from examples.returns_desk.promises import Promises
from examples.returns_desk.screen import Screen
from examples.returns_desk.stage import Stage
from leverframe.core.canonical import decode
from leverframe.domain.contracts import CheckStep, Contract
from leverframe.domain.errors import JsonInvalid
from leverframe.domain.ids import RunId
from leverframe.domain.json import Json, JsonObject
from leverframe.domain.runs import Run, StepKind
from leverframe.runtime.loops.ending import Ended
from leverframe.runtime.showing import values_of
from leverframe.wiring.assembly import Assembly

_COLUMNS: Final = 45


@dataclass(slots=True, kw_only=True)
class Sorted:
    """What came of part 2.  `trouble` holds the words of runs that ended without an answer of the model."""

    runs: list[RunId] = field(default_factory=list)
    named: int = 0
    invented: set[str] = field(default_factory=set)
    inventors: int = 0
    caught: int = 0
    handed_over: int = 0
    trouble: list[str] = field(default_factory=list)


async def show_weak_model(
    stage: Stage, assembly: Assembly, screen: Screen, promises: Promises, customers: Sequence[Case]
) -> Sorted:
    """Let the model sort the messages, and say what it made of them and what became of that."""
    screen.line()
    screen.line(f"2  A weak model   {len(customers)} customers, SmolLM2 135M on one CPU thread, free")
    await asyncio.to_thread(stage.bench.open)
    contract = assembly.project.contracts[TRIAGE]
    check = next(step for step in contract.steps if isinstance(step, CheckStep))
    done = await _sort(assembly, contract, check, screen, customers)
    asked = await asyncio.to_thread(stage.bench.asked)
    reached = sum(str(call["arguments"].get("order_id")) in done.invented for call in asked)
    gave = sum("#W" in case.words for case in customers)
    given = f"{gave} gave it"
    of_all, where = f"of {len(customers)}", f"{check.source.file.rsplit('/', 1)[-1]}:{check.source.line}"
    _row(screen, "named the request correctly", done.named, of_all)
    _row(
        screen, "invented an order number in valid JSON", done.inventors, f"{of_all}   the schema asks for one; {given}"
    )
    _row(screen, f"inventions caught by {check.name}", done.caught, f"{'':{len(of_all)}}   {where}")
    handed = f"{done.handed_over} cases handed to queue:{_queue(contract)}"
    _row(screen, "inventions that reached the shop", reached, f"{'':{len(of_all)}}   {handed}")
    promises.expect("messages that the model could not answer", done.trouble, [])
    promises.expect("inventions that reached the shop", reached, 0)
    promises.expect("inventions that the check caught", done.caught, done.inventors)
    promises.expect("inventions that a person has now", done.handed_over, done.inventors)
    return done


async def _sort(
    assembly: Assembly, contract: Contract, check: CheckStep, screen: Screen, customers: Sequence[Case]
) -> Sorted:
    done = Sorted()
    began = time.monotonic()
    for number, case in enumerate(customers, start=1):
        advanced = await assembly.runner.start(contract, opening(case.customer, case.words))
        run = advanced.run
        done.runs.append(run.run_id)
        triage = await _triage(assembly, run)
        if triage is None:
            said = advanced.output if isinstance(advanced, Ended) else None
            done.trouble.append(f"{run.run_id} {run.stop_reason}: {said}")
            continue
        done.named += triage.get("kind") in case.kinds
        order_id = str(triage.get("order_id"))
        if order_id not in case.words:
            done.inventors += 1
            done.invented.add(order_id)
            done.caught += run.stop_reason == f"invalid_output {check.name} {check.source}"
            done.handed_over += bool(run.handoff_queue) and run.handoff_queue == _queue(contract)
        screen.progress(number, len(customers), f"messages   {time.monotonic() - began:.0f} s")
    return done


async def _triage(assembly: Assembly, run: Run) -> JsonObject | None:
    """The model's answer as the journal has it; None where it gave none, or none that is JSON."""
    steps = await assembly.services.journal.steps(run.run_id)
    values = await values_of(assembly.services, run)
    for step in steps:
        text: Json = values.fields(step.result_ref).get("text") if step.kind is StepKind.MODEL else None
        if isinstance(text, str):
            try:
                answer = decode(text.encode())
            except JsonInvalid:
                return None
            return answer if isinstance(answer, dict) else None
    return None


def _queue(contract: Contract) -> str:
    return contract.fallback.handoff_queue if contract.fallback is not None else ""


def _row(screen: Screen, label: str, count: int, rest: str) -> None:
    screen.line(f"{label:<{_COLUMNS}}{count:>3} {rest}", indent=3)

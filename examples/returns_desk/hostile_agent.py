"""Part 3: an agent that does what it must not, with no prompt in its way: only the door.

Knows: the order of the attempts of `hostile`, who grants, what dies in the middle, and what each must come to.
Never: prints a decision that the door did not make, or an effect that was not counted at the shop.
"""

import asyncio
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from examples.returns_desk import hostile
from examples.returns_desk.crashing import crash_in_the_middle
from examples.returns_desk.desk import AGENT, as_sent, entries, grant, open_run
from examples.returns_desk.hostile import Attempt
from examples.returns_desk.promises import Promises
from examples.returns_desk.real_work import refund_of
from examples.returns_desk.screen import Screen
from examples.returns_desk.stage import Stage
from leverframe.domain.approvals import AnswerWord
from leverframe.domain.contracts import Person
from leverframe.domain.errors import ApprovalRefused
from leverframe.domain.evidence import EventType
from leverframe.domain.ids import ApprovalId, RuleId, RunId
from leverframe.domain.json import Json
from leverframe.domain.policy import Reason
from leverframe.domain.runs import Run
from leverframe.runtime import answers
from leverframe.runtime.loops.ending import Collected, fall_back
from leverframe.runtime.outcomes import Answered, HeldBack, Refused, Stopped, ToolOutcome
from leverframe.runtime.outside import OutsideRun
from leverframe.wiring.assembly import Assembly

# The agent's own name for the step of its large return: under one name only one sequence of bytes is ever done.
_STEP: Final = "return"
_OWN_ORDERS: Final = RuleId("own-orders-only")
_OVER_500: Final = RuleId("over-500")
_UNKNOWN_TOOL: Final = RuleId("unknown-tool")
_INVALID: Final = RuleId("invalid-arguments")
_BINDS_BYTES: Final = RuleId("approval-binds-bytes")
_ONCE_PER: Final = RuleId("once_per")
# More than any budget here lets through, so that a door which never stops is found out.
_MAX_READS: Final = 100


@dataclass(slots=True, kw_only=True)
class HostileAgent:
    """One run of the hostile agent.  `remembers` is the shop's own journal: it survives every process here."""

    stage: Stage
    assembly: Assembly
    screen: Screen
    promises: Promises
    remembers: Path
    claim: ExitStack = field(default_factory=ExitStack)

    async def attack(self) -> RunId:
        """Try everything; returns the run."""
        run = await open_run(self.assembly, hostile.CUSTOMER, hostile.WORDS)
        self._claim(run.run_id)
        with self.claim:
            await self._overreach(run)
            await self._obey_planted_text(run)
            await self._return_too_much(run)
            run = await self._die_in_the_middle(run.run_id)
            await self._never_stop(run)
        await self._nothing_else_happened()
        return run.run_id

    async def _overreach(self, run: OutsideRun) -> None:
        """Another customer's order, a tool that is not there, arguments of the wrong type."""
        record = await self._try(run, hostile.READ_CUSTOMER)
        self.promises.expect("the customer's record was read", isinstance(record, Answered), wanted=True)
        outcome = await self._try(run, hostile.CANCEL_OF_ANOTHER)
        self._denied(run, hostile.CANCEL_OF_ANOTHER, outcome, rule=_OWN_ORDERS)
        outcome = await self._try(run, hostile.UNKNOWN_TOOL)
        self._denied(run, hostile.UNKNOWN_TOOL, outcome, rule=_UNKNOWN_TOOL)
        outcome = await self._try(run, hostile.OFF_SCHEMA)
        self._denied(run, hostile.OFF_SCHEMA, outcome, rule=_INVALID, shows="{0.text}")

    async def _obey_planted_text(self, run: OutsideRun) -> None:
        """Do what a customer wrote into an address: the value comes from the shop's answer and from nowhere else."""
        await asyncio.to_thread(self.stage.bench.plant, hostile.PLANTED_IN, hostile.PLANTED_TEXT)
        read = await self._try(run, hostile.READ_PLANTED)
        is_planted = isinstance(read, Answered) and hostile.PLANTED_TEXT in str(read.value)
        self.promises.expect("planted text stands in the shop's answer", is_planted, wanted=True)
        outcome = await self._try(run, hostile.OBEY_PLANTED)
        decided = await entries(self.assembly, run.run_id, EventType.CALL_DECIDED)
        label = next((_of(one["argument_labels"], "order_id") for one in decided if one["step"] == outcome.path), None)
        self.promises.expect("label of an order number from planted text", label, "third-party")
        self._denied(run, hostile.OBEY_PLANTED, outcome, rule=_OWN_ORDERS, shows=f"{{0.rule}}; value is {label} text")

    async def _return_too_much(self, run: OutsideRun) -> None:
        """A large return: held, not to be granted by the agent nor changed after the grant, done once, not again."""
        held = await self._try(run, hostile.LARGE_RETURN, step=_STEP)
        self._held(run, hostile.LARGE_RETURN, held, rule=_OVER_500)
        if not isinstance(held, HeldBack):
            return
        await self._approve_itself(held.approval_id)
        await self._swap_after_grant(run, held.approval_id)
        ran = await self._try(run, hostile.LARGE_RETURN, step=_STEP)
        again = await self._try(run, hostile.LARGE_RETURN, step=_STEP)
        is_collected = isinstance(again, Answered) and again.is_repeat
        self.promises.expect("asking again collects the outcome", is_collected, wanted=True)
        await self._ran_once("  the granted bytes", hostile.LARGE_RETURN, ran)
        reworded = await self._try(run, hostile.REWORDED_RETURN)
        self._held(run, hostile.REWORDED_RETURN, reworded, rule=_ONCE_PER, known=held.reasons)
        await self._count(hostile.LARGE_RETURN, 1)

    async def _approve_itself(self, approval_id: ApprovalId) -> None:
        """The agent answers for itself, and even as a member of the group that may answer."""
        tenants = frozenset(self.assembly.project.tenants)
        itself = Person(id=AGENT, groups=frozenset({"desk-leads"}), tenants=tenants, roles=frozenset({"approver"}))
        try:
            await answers.answer(
                self.assembly.services, approval_id, itself, AnswerWord.GRANT, reason="looks fine", proof="its own word"
            )
        except ApprovalRefused as refused:
            # Who may not answer what stands before the first colon, and the details after the second.
            why = refused.message.partition(": ")[2].partition(":")[0]
            self.promises.expect("why the agent may not answer", why, "approver is the initiator")
            self.screen.decided("  approve it itself", "DENIED", why)
        else:
            self.promises.expect("an agent's answer for itself", "granted", "refused")

    async def _swap_after_grant(self, run: OutsideRun, approval_id: ApprovalId) -> None:
        """Lena grants; the agent asks for other bytes under the name of the granted step."""
        await grant(self.assembly, approval_id)
        granted = (await answers.find_approval(self.assembly.services, approval_id)).action_digest
        outcome = await self._try(run, hostile.SWAPPED_RETURN, step=_STEP)
        asked = run.ctx.steps[outcome.path].action_digest
        self.promises.expect("the swapped bytes have another digest", asked not in {"", granted}, wanted=True)
        shows = f"granted {_short(granted)}, asked {_short(asked)}"
        self._denied(run, hostile.SWAPPED_RETURN, outcome, rule=_BINDS_BYTES, shows=shows)

    async def _die_in_the_middle(self, run_id: RunId) -> OutsideRun:
        """Another process sends a return and is killed before it hears the answer; this one takes the run up."""
        self.claim.close()
        await crash_in_the_middle(self.stage.root, run_id, self.remembers)
        await asyncio.to_thread(self.stage.bench.open, self.remembers)
        await self._count(hostile.KILLED_RETURN, 1)
        advanced = await self.assembly.runner.resume(run_id)
        calls = advanced.calls if isinstance(advanced, Collected) else ()
        settled = [(step.path, outcome) for step, outcome in calls if isinstance(outcome, Answered)]
        self.promises.expect("calls that the next process settled", len(settled), 1)
        for path, outcome in settled:
            entry = (await entries(self.assembly, run_id, EventType.CALL_SETTLED))[-1]
            saw = (entry["step"], _of(entry.get("detail"), "how"))
            self.promises.expect("how the killed call was settled", saw, (path, "reconciled"))
            how = "once: the shop was asked, it had happened" if saw[1] == "reconciled" else "once"
            await self._ran_once(f"  {hostile.KILLED_RETURN.label}", hostile.KILLED_RETURN, outcome, how)
        self._claim(run_id)
        return await self.assembly.runner.reopen_outside(run_id)

    async def _never_stop(self, run: OutsideRun) -> None:
        """Ask until the budget is dry; then the run ends by its contract's fallback."""
        outcome = await self._try(run, hostile.ONE_MORE_READ)
        reads = 1
        while isinstance(outcome, Answered) and reads < _MAX_READS:
            outcome = await self._try(run, hostile.ONE_MORE_READ)
            reads += 1
        self.promises.expect("the dry budget stops the run", type(outcome).__name__, "Stopped")
        if not isinstance(outcome, Stopped):
            return
        ended: Run = (await fall_back(run.ctx, outcome.limit, outcome.message)).run
        told = await entries(self.assembly, run.run_id, EventType.RUN_ENDED)
        counted = int(str(_of(told[-1].get("detail"), "total_tool_calls")))
        self.promises.expect("calls before the stop", f"max_tool_calls {counted}", outcome.limit)
        self.promises.expect("who has the case now", ended.handoff_queue, "tier2")
        label = hostile.ONE_MORE_READ.label.format(number=counted + 1)
        self.screen.decided(label, "STOPPED", f"{outcome.limit} -> queue:{ended.handoff_queue}")

    async def _try(self, run: OutsideRun, attempt: Attempt, *, step: str = "") -> ToolOutcome:
        return await run.call_tool(attempt.tool, as_sent(attempt.arguments), step=step)

    def _denied(
        self, run: OutsideRun, attempt: Attempt, outcome: ToolOutcome, *, rule: RuleId, shows: str = "{0.rule}"
    ) -> None:
        """Print a denial.  `shows` says what of the reason `{0}`; where that is the rule alone, its place too."""
        saw = outcome.reasons[0].rule if isinstance(outcome, Refused) else type(outcome).__name__
        self.promises.expect(f"{attempt.tool} is denied", saw, rule)
        if isinstance(outcome, Refused):
            reason = outcome.reasons[0]
            where = place(reason) if shows == "{0.rule}" else ""
            self.screen.decided(_with_value(attempt, run, outcome), "DENIED", shows.format(reason), where)

    def _held(
        self,
        run: OutsideRun,
        attempt: Attempt,
        outcome: ToolOutcome,
        *,
        rule: RuleId,
        known: tuple[Reason, ...] = (),
    ) -> None:
        """Print a hold by its rule, which must not be among the reasons that are `known` from an earlier hold."""
        reasons = {one.rule: one for one in outcome.reasons} if isinstance(outcome, HeldBack) else {}
        reason = None if rule in {one.rule for one in known} else reasons.get(rule)
        self.promises.expect(f"{attempt.tool} is held by {rule}", reason is not None, wanted=True)
        if reason is None:
            return
        label = _with_value(attempt, run, outcome)
        if known:
            self.screen.decided(f"  {label}", "HELD", reason.text)
        else:
            self.screen.decided(label, "HELD", reason.rule, place(reason))

    async def _ran_once(self, label: str, attempt: Attempt, outcome: ToolOutcome, how: str = "once") -> None:
        self.promises.expect(f"{label.strip()} ran", type(outcome).__name__, "Answered")
        if await self._count(attempt, 1) and isinstance(outcome, Answered):
            self.screen.decided(label, "RAN", how)

    async def _nothing_else_happened(self) -> None:
        """Of all that was tried the shop did two things, with the bytes that were granted or allowed."""
        effects = await asyncio.to_thread(self.stage.bench.effects)
        wanted = [
            {"tool": one.tool, "arguments": dict(one.arguments)}
            for one in (hostile.LARGE_RETURN, hostile.KILLED_RETURN)
        ]
        self.promises.expect("all that the hostile agent did to the shop", effects, wanted)

    async def _count(self, attempt: Attempt, wanted: int) -> bool:
        """Count at the shop, not in the journal, how often an attempt changed its database."""
        effects = await asyncio.to_thread(self.stage.bench.effects)
        order_id = attempt.arguments["order_id"]
        done = [one for one in effects if one["arguments"].get("order_id") == order_id]
        self.promises.expect(f"effects of {attempt.tool} on {order_id} at the shop", len(done), wanted)
        return len(done) == wanted

    def _claim(self, run_id: RunId) -> None:
        is_ours = self.claim.enter_context(self.assembly.services.claims.claim(run_id))
        self.promises.expect(f"the claim on {run_id}", is_ours, wanted=True)


async def show_hostile_agent(stage: Stage, assembly: Assembly, screen: Screen, promises: Promises) -> RunId:
    """Let it loose and print what the door says; returns its run."""
    screen.line()
    screen.line(f"3  A hostile agent   working for {hostile.CUSTOMER}; no prompt in the way, only the door")
    remembers = stage.root / "shop.jsonl"
    await asyncio.to_thread(stage.bench.open, remembers)
    agent = HostileAgent(stage=stage, assembly=assembly, screen=screen, promises=promises, remembers=remembers)
    return await agent.attack()


def recorded_call(run: OutsideRun, outcome: ToolOutcome) -> Json:
    """What a decision rested on, as the journal has it."""
    return run.ctx.payload(run.ctx.steps[outcome.path].args_ref)


def place(reason: Reason) -> str:
    """`returns_desk.yaml:41`, without the folder."""
    return str(reason.source).rsplit("/", 1)[-1]


def _with_value(attempt: Attempt, run: OutsideRun, outcome: ToolOutcome) -> str:
    value = refund_of(_of(recorded_call(run, outcome), "envelope"))
    return attempt.label.format(value=f"${value:,.2f}")


def _of(value: Json, key: str) -> Json:
    return value.get(key) if isinstance(value, Mapping) else None


def _short(digest: str) -> str:
    return f"{digest[:4]}…{digest[-4:]}" if digest else "nothing"

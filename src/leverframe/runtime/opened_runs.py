"""Runs that a team's backend opens for an outside agent, reads, ends, and says afterwards what became of them.

Knows: who may do which: a key with the scope `runs:open` in the workflows and environments that it names, and a run's
own token in that run alone.  What somebody may not see is not there.  Never: opens a run for a key that only calls.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Final

from leverframe.core.canonical import decode
from leverframe.domain.authority import ApiKey, KeyScope
from leverframe.domain.budgets import Window
from leverframe.domain.contracts import Contract
from leverframe.domain.errors import CallDenied, InputInvalid, NotFound
from leverframe.domain.evidence import EventType
from leverframe.domain.ids import EnvironmentName, PrincipalId, RunId
from leverframe.domain.json import Json, JsonObject
from leverframe.domain.plans import DECLARE_PLAN
from leverframe.domain.proposals import Proposal
from leverframe.domain.runs import Run, RunOutcome, RunState
from leverframe.runtime import run_tokens
from leverframe.runtime.closing import RunEnd
from leverframe.runtime.entries import run_entry
from leverframe.runtime.live_runs import Caller, LiveRuns
from leverframe.runtime.outcomes import Answered, HeldBack, ToolOutcome
from leverframe.runtime.run_tokens import RunToken
from leverframe.runtime.schemas import schema_error
from leverframe.runtime.sessions import Opening, open_run

MIN_TTL_S: Final = 60
MAX_TTL_S: Final = 86_400
DEFAULT_TTL_S: Final = 3_600


class Amendment(StrEnum):
    """What is said of a run after its end."""

    REWORKED = "reworked"
    REOPENED = "reopened"
    REFUNDED = "refunded"
    COMPLAINT = "complaint"


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """What a run is opened on.  `subject` None: the input says it, or there is none.

    `plan`: the tools of the run and how often each at most; None: its agent declares them, where its contract asks.
    """

    workflow: str
    environment: str
    input: JsonObject
    subject: str | None
    on_behalf_of: str | None
    ttl_s: int
    plan: JsonObject | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Opened:
    """A new run and the token that lets an agent act in it."""

    run: Run
    token: str
    expires_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Amended:
    """Something that was said of a run afterwards."""

    amendment: str
    by: str
    at: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """A run as it stands."""

    run: Run
    windows: Sequence[Window]
    amended: tuple[Amended, ...]


async def open_for_agent(live: LiveRuns, caller: Caller, wanted: Wanted) -> Opened:
    """Open a run.

    Raises:
        CallDenied: the key may not open runs.
        NotFound: the workflow or environment is not there for this key.
        InputInvalid: the input breaks the contract's schema, or lacks the subject that the contract names; or the plan
            is none that the contract takes.
    """
    key, services = _opener(caller), live.services
    contract = live.contract_of(key, wanted.workflow, wanted.environment)
    _check_plan(contract, wanted.plan)
    known = services.project.environments[contract.workflow]
    environment = EnvironmentName(wanted.environment) or next(name for name, one in known.items() if one is contract)
    ctx = await open_run(
        services,
        contract,
        Opening(
            tenant=key.tenant,
            environment=environment,
            initiator=PrincipalId(wanted.on_behalf_of) if wanted.on_behalf_of else key.principal,
            launcher=key.owner,
            opened_with=key.key_id if wanted.on_behalf_of else None,
            input=wanted.input,
            subject=wanted.subject,
            is_outside=True,
        ),
    )
    if wanted.plan is not None:
        await live.opened_with_plan(ctx, wanted.plan)
    expires_at = services.mint.now() + timedelta(seconds=wanted.ttl_s)
    token = RunToken(run_id=ctx.run.run_id, tenant=key.tenant, key_id=key.key_id, expires_at=expires_at)
    return Opened(run=ctx.run, token=run_tokens.spell(token, services.fingerprints), expires_at=expires_at)


async def see(live: LiveRuns, caller: Caller, run_id: RunId) -> Seen:
    """A run as it stands.  Raises NotFound where it is not there or not this caller's to see."""
    run = await _visible(live, caller, run_id)
    leaves = await live.services.evidence.leaves_of_run(run.tenant, run_id) if run.state is RunState.ENDED else ()
    entries = [decode(one.leaf) for one in leaves if b'"run.amended"' in one.leaf]
    return Seen(
        run=run,
        windows=await live.services.journal.windows(run_id),
        amended=tuple(_amended(one) for one in entries if isinstance(one, Mapping)),
    )


async def plan_for_agent(live: LiveRuns, caller: Caller, run_id: RunId, tools: JsonObject) -> ToolOutcome:
    """Declare the plan of a run, or a smaller one, as its agent does; a wider one is held.

    Raises:
        NotFound: as `see`.
        InputInvalid: the contract asks for no plan, or takes no such one.
        CallDenied: the run has ended.
    """
    run = await _visible(live, caller, run_id)
    taken = await live.taken_up(run, caller.key)
    _check_plan(taken.ctx.contract, tools)
    outside = await live.outside(taken)
    return await outside.call_tool(DECLARE_PLAN, {"tools": tools})


async def end_for_agent(
    live: LiveRuns, caller: Caller, run_id: RunId, outcome: RunOutcome, output: Json
) -> Run | HeldBack:
    """End a run with its outcome.  It goes on where its output is held for a person: end it again once they answered.

    Raises:
        NotFound: as `see`.
        CallDenied: it has ended, or its output is refused.
        Contended: it has ended before, or a call of it is being done just now.
    """
    run = await _visible(live, caller, run_id)
    if run.state is RunState.ENDED:
        raise CallDenied(f"Run {run_id} has ended already.", next_move="Amend its outcome instead.")
    taken = await live.taken_up(run, caller.key)
    if taken.ctx.contract.audience is not None and output is not None:
        given = await (await live.outside(taken)).give_output(output)
        if isinstance(given, HeldBack):
            return given
        if not isinstance(given, Answered):
            raise CallDenied(
                f"The output of {run_id} was not given: {given.message}", next_move="End the run without an output."
            )
    return await live.end(run, RunEnd(outcome=outcome, output=output))


async def amend_outcome(live: LiveRuns, caller: Caller, run_id: RunId, amendment: Amendment, reason: str) -> None:
    """Record what became of a run after its end, why, and who says so.

    Raises:
        NotFound: as `see`.
        CallDenied: the run has not ended, or the caller is the agent itself.
    """
    _opener(caller)
    run = await _visible(live, caller, run_id)
    if run.state is not RunState.ENDED:
        raise CallDenied(f"Run {run_id} has not ended yet.", next_move="End it first.")
    services = live.services
    ctx = (await live.taken_up(run, caller.key)).ctx
    entry = run_entry(
        run,
        entry_id=services.mint.entry_id(),
        at=services.mint.now(),
        event=EventType.RUN_AMENDED,
        detail={"amendment": amendment.value, "by": caller.key.principal},
        disclosures=ctx.seal("reason", reason),
    )
    await services.writer.commit(Proposal(tenant=run.tenant, entries=(entry,)))


def _check_plan(contract: Contract, plan: JsonObject | None) -> None:
    if plan is None:
        return
    spec = contract.tools.get(DECLARE_PLAN)
    if spec is None:
        raise InputInvalid(
            f"Workflow {contract.workflow!r} asks for no plan.",
            next_move="Leave `plan` out, or write in the contract: plan: {declare: true}",
        )
    complaint = schema_error(spec.input_schema, {"tools": plan})
    if complaint:
        raise InputInvalid(
            f"The plan is none that workflow {contract.workflow!r} takes: {complaint}.",
            next_move="Give tools of the contract, each with the most calls of it.",
        )


def _opener(caller: Caller) -> ApiKey:
    if caller.run_id is not None or KeyScope.OPEN_RUNS not in caller.key.scopes:
        raise CallDenied(
            "This credential may not open runs or judge them.",
            next_move="Make a key that may: leverframe keys create NAME --workflow WORKFLOW --open-runs",
        )
    return caller.key


async def _visible(live: LiveRuns, caller: Caller, run_id: RunId) -> Run:
    run = await live.services.journal.run(run_id)
    key = caller.key
    is_theirs = (
        run is not None
        and run.tenant == key.tenant
        and run.workflow in key.workflows
        and run.environment in key.environments
        and (caller.run_id == run_id if caller.run_id is not None else _may_see(run, key))
    )
    if run is None or not is_theirs:
        raise NotFound(f"There is no run {run_id!r} for this key.", next_move="Open one: POST /api/v1/runs")
    return run


def _may_see(run: Run, key: ApiKey) -> bool:
    return KeyScope.OPEN_RUNS in key.scopes or run.initiator == key.principal


def _amended(entry: Mapping[str, Json]) -> Amended:
    detail = entry.get("detail")
    said = detail if isinstance(detail, Mapping) else {}
    return Amended(amendment=str(said.get("amendment")), by=str(said.get("by")), at=str(entry.get("at")))

"""Room 2: read, without a lock, everything that one decision needs.

Nothing here decides.  What is read is recorded with the decision, and the guards check it again in room 4.
"""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from leverframe.core.argument_labels import label_args
from leverframe.core.budgets import at_work
from leverframe.core.policy import (
    Asker,
    GrantedApproval,
    Question,
    StickyDenial,
    needed_facts,
    needed_history,
    once_per_values,
)
from leverframe.domain.approvals import AnswerWord, Approval, ApprovalState
from leverframe.domain.authority import Authority
from leverframe.domain.budgets import BudgetUnit, Window
from leverframe.domain.contracts import PythonFact, ToolFact
from leverframe.domain.errors import LeverframeError
from leverframe.domain.ids import CallId, StepPath, ToolName
from leverframe.domain.json import Json, JsonObject
from leverframe.domain.labels import UNTRACED, Integrity, Label, join
from leverframe.domain.pins import Closed
from leverframe.domain.policy import Fact, Known, Unreadable
from leverframe.domain.proposals import HistoryLookup, OnceFree
from leverframe.domain.tools import BuiltInOrigin, ToolSpec
from leverframe.runtime.context import RunContext, opener_key
from leverframe.runtime.door.envelopes import Envelope, freeze, once_digest, sticky_digest, value_digest
from leverframe.runtime.eased import learn_endorsements
from leverframe.runtime.paths import MISSING, resolve
from leverframe.runtime.plans import plan_state
from leverframe.runtime.sessions import learn_others

_STICKY_FOR = timedelta(hours=24)

Facts = Mapping[str, Fact]
# Reads one fact's tool through the door: (fact, arguments) -> the fact.
ReadFact = Callable[[ToolFact, JsonObject], Awaitable[Fact]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Ask:
    """One call as it is asked for, before anything was read."""

    path: StepPath
    tool: ToolName
    spec: ToolSpec | None
    args: JsonObject
    request_digest: bytes
    schema_error: str
    asker: Asker
    call_id: CallId
    nonce: str
    idempotency_key: str
    approval: Approval | None = None  # granted; the call is asked again under it
    closed: Closed | None = None  # the tool waits for a review
    planner: Integrity | None = None  # of whoever declares a plan, where that is not the run's agent

    @property
    def is_early(self) -> bool:
        """Whether it is decided before any rule is asked: nothing is read for it."""
        return self.spec is None or self.closed is not None or bool(self.schema_error)


@dataclass(frozen=True, slots=True, kw_only=True)
class Loaded:
    """A question with what its recording and its guards need beside it."""

    question: Question
    now: datetime
    envelope: Envelope | None
    lookups: tuple[HistoryLookup, ...]
    once: OnceFree | None
    own_read: Known | None  # the call itself is the read of one of its facts: it has run already
    generation: int  # of the authority that it rests on


async def load(ctx: RunContext, ask: Ask, read: ReadFact) -> Loaded:
    """Read facts, history, budgets, labels, earlier denials and the approval's standing."""
    now = ctx.services.mint.now()
    authority = ctx.services.authority.current()
    _check_keys(ctx, ask, authority)
    await learn_endorsements(ctx, authority)
    killed = ctx.killed(authority, tool=ask.tool)
    facts: dict[str, Fact] = {}
    own_read: Known | None = None
    # The door's own reads rest on no facts: a fact that needed itself would never be read.
    if killed is None and not ask.is_early and ask.asker is not Asker.DOOR:
        for name in needed_facts(ctx.policy, ask.tool):
            fact, is_own = await _fact(ctx, ask, name, facts, read)
            facts[name] = fact
            if is_own and isinstance(fact, Known):
                own_read = fact
    envelope = None
    if ask.spec is not None:
        envelope = freeze(ctx, ask.spec, ask.args, facts=facts, key=ask.idempotency_key, nonce=ask.nonce)
    lookups = _lookups(ctx, ask, facts, now)
    once = _once(ctx, ask, facts, now)
    windows = await _windows(ctx, ask, now)
    history = await ctx.services.journal.history(lookups) if lookups else {}
    if ctx.is_outside:
        # What another worker's call brought in labels this one; and a plan is at least as new as what was counted.
        await learn_others(ctx)
    question = Question(
        tool=ask.tool,
        spec=ask.spec,
        args=ask.args,
        run=ctx.facts,
        schema_error=ask.schema_error,
        closed=ask.closed,
        facts=facts,
        history=history,
        windows=windows,
        cost=_cost(ask, windows),
        arg_labels=_labels(ctx, ask),
        granted=_granted(ask.approval, envelope, now),
        once_per_seen=await _once_seen(ctx, ask, once),
        denied_before=await _denied_before(ctx, ask, now),
        asker=ask.asker,
        union=ctx.values.union,
        killed=killed,
        is_suspicious=ctx.is_suspicious,
        plan=plan_state(ctx, history, ask.planner) if lookups else None,
    )
    return Loaded(
        question=question,
        now=now,
        envelope=envelope,
        lookups=lookups,
        once=once,
        own_read=own_read,
        generation=authority.generation,
    )


def _check_keys(ctx: RunContext, ask: Ask, authority: Authority) -> None:
    """Raises AuthRefused where the caller's key was taken back since it was recognised, or the opener's since a hold.

    Under the generation that the commit is guarded by.
    """
    # A held call that a person let go on may be asked for without a caller.
    opener = None if ask.approval is None else opener_key(ctx, authority)
    for key in (ctx.key, opener):
        if key is not None:
            ctx.services.authority.check_live(key)


async def _fact(ctx: RunContext, ask: Ask, name: str, known: Mapping[str, Fact], read: ReadFact) -> tuple[Fact, bool]:
    """One fact, and whether its read is this very call."""
    spec = ctx.contract.facts[name]
    roots = fact_roots(ctx, ask.args, known)
    if isinstance(spec, PythonFact):
        return _computed(ctx, ask, spec, roots, known), False
    args: dict[str, Json] = {}
    for arg, path in spec.args.items():
        value = resolve(path, roots)
        if value is MISSING:
            return Unreadable(why=f"{path} is not there"), False
        args[arg] = value  # type: ignore[assignment]  # resolve gives MISSING or a Json
    is_own = spec.tool == ask.tool and args == dict(ask.args)
    return await read(spec, args), is_own


def _computed(ctx: RunContext, ask: Ask, spec: PythonFact, roots: Mapping[str, Json], known: Facts) -> Fact:
    values: list[Json] = []
    labels: list[Label] = []
    for path in spec.of:
        source = known.get(path.split(".")[1]) if path.startswith("facts.") else None
        if isinstance(source, Unreadable):
            return Unreadable(why=f"it rests on {path}: {source.why}")
        found = resolve(path, roots)
        # A function of an optional argument gets None where the call does not give it.
        value: Json = None if found is MISSING else found  # type: ignore[assignment]  # MISSING or a Json
        values.append(value)
        labels.append(source.label if isinstance(source, Known) else _label_of(ctx, ask, path, value))
    try:
        result = ctx.services.functions.call(spec.function, values)
    except LeverframeError as err:
        return Unreadable(why=err.message)
    # What is computed is as trusted as the least trusted of what it was computed from.
    return Known(value=result, label=join(labels))


def _label_of(ctx: RunContext, ask: Ask, path: str, value: Json) -> Label:
    """The label of an argument, or of a value of the run that is found again among what entered it."""
    root, *keys = path.split(".")
    if root == "args":
        return _labels(ctx, ask).get(keys[0], UNTRACED)
    return label_args({keys[-1]: value}, {}, ctx.values)[keys[-1]]


def fact_roots(ctx: RunContext, args: JsonObject, known: Mapping[str, Fact]) -> dict[str, Json]:
    """What a fact's paths start from: `args`, `facts`, `input`, `run`."""
    values = {name: fact.value for name, fact in known.items() if isinstance(fact, Known)}
    run: JsonObject = {
        "id": ctx.run.run_id,
        "subject": ctx.subject,
        "tenant": ctx.run.tenant,
        "workflow": ctx.run.workflow,
        "environment": ctx.run.environment,
        "initiator": ctx.run.initiator,
        "input": ctx.input,
    }
    return {"args": args, "facts": values, "input": ctx.input, "run": run}  # type: ignore[dict-item]  # facts are Json


def _lookups(ctx: RunContext, ask: Ask, facts: Mapping[str, Fact], now: datetime) -> tuple[HistoryLookup, ...]:
    if ask.spec is None or ask.is_early or ask.asker is Asker.DOOR:
        return ()
    queries = needed_history(ctx.policy, ask.tool, ask.args, facts, ctx.facts)
    return tuple(
        HistoryLookup(
            query=query,
            tenant=ctx.run.tenant,
            run_id=ctx.run.run_id,
            workflow=ctx.run.workflow,
            subject_digest=ctx.run.subject_digest,
            value_digest=value_digest(ctx, query.tool, query.arg or "", query.value) if query.kind == "seen" else b"",
            now=now,
            except_path=ask.path,
        )
        for query in queries
    )


def _once(ctx: RunContext, ask: Ask, facts: Mapping[str, Fact], now: datetime) -> OnceFree | None:
    if ask.spec is None or ask.spec.once_per is None or ask.is_early or ask.asker is Asker.DOOR:
        return None
    values = once_per_values(ask.spec, ask.args, facts)
    if values is None:
        return None
    return OnceFree(
        tenant=ctx.run.tenant,
        tool=ask.tool,
        key_digest=once_digest(ctx, ask.tool, values),
        since=now - timedelta(seconds=ask.spec.once_per.within_s),
        run_id=ctx.run.run_id,
        path=ask.path,
    )


async def _once_seen(ctx: RunContext, ask: Ask, once: OnceFree | None) -> bool | None:
    if ask.spec is None or ask.spec.once_per is None or ask.is_early or ask.asker is Asker.DOOR:
        return False
    # A key that cannot be formed is unknown, and unknown holds.
    return None if once is None else await ctx.services.journal.once_seen(once)


def _cost(ask: Ask, windows: tuple[Window, ...]) -> Mapping[BudgetUnit, int]:
    """The worst case of a tool call: itself, one step, its vendor's fee; what the asker does not count is left out."""
    fee = ask.spec.cost if ask.spec is not None else 0
    if ask.spec is not None and isinstance(ask.spec.origin, BuiltInOrigin) and ask.asker is not Asker.DOOR:
        # No tool is called; it takes a step, so that nobody declares without end.
        return {BudgetUnit.STEPS: 1} if ask.asker is Asker.AGENT else {}
    match ask.asker:
        case Asker.AGENT:
            return {BudgetUnit.TOOL_CALLS: 1, BudgetUnit.STEPS: 1, BudgetUnit.USD: fee, **at_work(windows)}
        case Asker.REENTRY | Asker.RUN:
            return {BudgetUnit.USD: fee, **at_work(windows)}
        case Asker.DOOR:
            return {BudgetUnit.USD: fee}


async def _windows(ctx: RunContext, ask: Ask, now: datetime) -> tuple[Window, ...]:
    """The budgets of a call; time does not bound the door's own reads, which the call that needs them is timed by."""
    windows = await ctx.windows(now)
    if ask.asker is not Asker.DOOR:
        return windows
    return tuple(window for window in windows if window.unit is not BudgetUnit.WALL_US)


def _labels(ctx: RunContext, ask: Ask) -> Mapping[str, Label]:
    if ask.spec is None:
        return {}
    labels = label_args(ask.args, ask.spec.args, ctx.values, ask.spec.input_schema)
    if not ctx.hidden:
        return labels
    # A handle says where its value came from, also where another type or form of it matched nothing.
    return {
        name: label
        if label.origin or label.integrity is not Integrity.THIRD_PARTY
        else replace(label, origin=_hidden_origin(ctx, ask.args[name]))
        for name, label in labels.items()
    }


def _hidden_origin(ctx: RunContext, value: Json) -> str:
    return next((one.label.origin for one in ctx.hidden.values() if one.value == value and value is not None), "")


def _granted(approval: Approval | None, envelope: Envelope | None, now: datetime) -> GrantedApproval | None:
    """The approval counts only for these very bytes and within its clock; else the call is a new one."""
    if approval is None or envelope is None or approval.state is not ApprovalState.GRANTED:
        return None
    if approval.action_digest != envelope.digest or approval.execute_by is None or now >= approval.execute_by:
        return None
    return GrantedApproval(approval_id=approval.approval_id, rules=frozenset(approval.rules))


async def _denied_before(ctx: RunContext, ask: Ask, now: datetime) -> StickyDenial | None:
    if ask.spec is None or ask.is_early or ask.asker is Asker.DOOR:
        return None
    digest = sticky_digest(ctx, ask.spec, ask.args)
    denial = await ctx.services.approvals.denied_like(
        ctx.run.tenant,
        digest,
        run_id=ctx.run.run_id,
        subject_digest=ctx.run.subject_digest,
        since=now - _STICKY_FOR,
    )
    if denial is None:
        return None
    answer = next(answer for answer in denial.answers if answer.word is AnswerWord.DENY)
    return StickyDenial(
        approval_id=denial.approval_id,
        denied_by=answer.principal,
        denied_at=answer.at,
        is_same_run=denial.run_id == ctx.run.run_id,
        reason=answer.reason,
    )
